package mint

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// What a generation of remembered tokens may hold. There are two, so this is half
// of what is kept: a few megabytes with the claims, however many tokens come.
const (
	rememberedTokens = 1_000
	rememberedBytes  = 1 << 20
)

// remembered keeps what tokens say whose signature was verified. A client shows the
// same token for as long as it lives, and to verify it costs more than what it asks
// for.
//
// It answers for what follows from the text of a token alone. Whether the key is
// still published, the token in force and the client registered, is looked at each
// time. A token is found by the hash of the whole of it, so that one that differs
// anywhere is another one.
type remembered struct {
	mu sync.Mutex
	// young fills up and becomes old, and what was old is forgotten. What is asked
	// for again moves to young.
	young, old generation
}

// generation is a share of the tokens, and how long their texts are in all.
type generation struct {
	tokens map[digest]verifiedToken
	bytes  int
}

type digest [sha256.Size]byte

// verifiedToken is a token, the key that its signature was verified by, and the
// length of its text.
type verifiedToken struct {
	token APIToken
	key   storage.KeyID
	size  int
}

// find returns what a token says that was verified before and has not expired.
func (r *remembered) find(raw string, now time.Time) (verifiedToken, bool) {
	if len(raw) > maxAPIToken { // none of ours, and not worth a hash
		return verifiedToken{}, false
	}
	name := digest(sha256.Sum256([]byte(raw)))
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.young.tokens[name]
	if !ok {
		if v, ok = r.old.tokens[name]; !ok {
			return verifiedToken{}, false
		}
		r.keep(name, v)
	}
	if !now.Before(v.token.Expires) {
		r.young.remove(name)
		r.old.remove(name)
		return verifiedToken{}, false
	}
	return v, true
}

// add remembers a token. What it says must not be changed any more.
func (r *remembered) add(raw string, token APIToken, key storage.KeyID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(sha256.Sum256([]byte(raw)), verifiedToken{token, key, len(raw)})
}

func (r *remembered) keep(name digest, v verifiedToken) {
	if len(r.young.tokens) >= rememberedTokens || r.young.bytes+v.size > rememberedBytes {
		r.old, r.young = r.young, generation{}
	}
	if r.young.tokens == nil {
		r.young.tokens = map[digest]verifiedToken{}
	}
	r.young.remove(name) // two requests may have verified it at once
	r.young.tokens[name] = v
	r.young.bytes += v.size
}

func (g *generation) remove(name digest) {
	g.bytes -= g.tokens[name].size
	delete(g.tokens, name)
}
