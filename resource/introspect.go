package resource

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// maxAnswers bounds the answers that are kept. Only tokens that were verified get
// here, so a stranger can't fill it.
const maxAnswers = 10_000

// answers are what the issuer said about tokens, by their hashes: a dump of memory
// should not hold tokens that can be used.
type answers struct {
	mu    sync.Mutex
	about map[tokenHash]*answer
}

type tokenHash [sha256.Size]byte

// answer is one answer and how long it counts.
type answer struct {
	mu     sync.Mutex
	active bool
	until  time.Time
	asking once[bool]
}

// inForce asks the issuer about a token that has been verified (RFC 7662 §2). When
// nobody answers, the token is not accepted: it may have been revoked.
func (a *API) inForce(ctx context.Context, raw string) error {
	active, err := a.introspect(ctx, raw)
	if err != nil {
		return fmt.Errorf("%w: introspect: %w", ErrUnavailable, err)
	}
	if !active {
		return &Refusal{Reason: ReasonRevoked}
	}
	return nil
}

func (a *API) introspect(ctx context.Context, raw string) (bool, error) {
	if a.c.Introspect.CacheFor == 0 {
		return a.askIssuer(ctx, raw)
	}
	kept := a.asked.find(sha256.Sum256([]byte(raw)), a.c.Now())
	if active, ok := kept.counts(a.c.Now()); ok {
		return active, nil
	}
	return kept.asking.start(a.life, func(ctx context.Context) (bool, error) {
		active, err := a.askIssuer(ctx, raw)
		if err == nil {
			kept.keep(active, a.c.Now().Add(a.c.Introspect.CacheFor))
		}
		return active, err
	}).wait(ctx)
}

func (a *API) askIssuer(ctx context.Context, raw string) (bool, error) {
	p := a.latest.Load()
	if p == nil || p.introspection == "" {
		return false, errors.New("no introspection endpoint is known")
	}
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	c := a.c.Introspect
	text, err := a.issuer.post(ctx, p.introspection, form, credentials{c.ClientID, c.ClientSecret, c.ClientSecretBasic})
	if err != nil {
		return false, err
	}
	var said struct {
		Active bool `json:"active"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return false, err
	}
	return said.Active, nil
}

// find returns the place for a token's answer and makes room for it.
func (k *answers) find(of tokenHash, now time.Time) *answer {
	k.mu.Lock()
	defer k.mu.Unlock()
	if found := k.about[of]; found != nil {
		return found
	}
	if k.about == nil {
		k.about = map[tokenHash]*answer{}
	}
	if len(k.about) >= maxAnswers {
		k.makeRoom(now)
	}
	fresh := &answer{}
	k.about[of] = fresh
	return fresh
}

// makeRoom drops what no longer counts and, if that is not enough, a tenth of the
// rest, whichever: their tokens are asked about once more.
func (k *answers) makeRoom(now time.Time) {
	for of, kept := range k.about {
		if _, ok := kept.counts(now); !ok {
			delete(k.about, of)
		}
	}
	for of := range k.about {
		if len(k.about) <= maxAnswers*9/10 {
			return
		}
		delete(k.about, of)
	}
}

// counts returns the answer if there is one that still counts.
func (a *answer) counts(now time.Time) (active, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.active, now.Before(a.until)
}

func (a *answer) keep(active bool, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.active, a.until = active, until
}
