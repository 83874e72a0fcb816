// Package keys holds the keys that sign tokens: it makes them, or reads them
// from a folder of PEM files, rotates them, signs with the one whose turn it
// is, and publishes the public halves of all that tokens in force were signed
// with.
//
// There is a line of keys per algorithm: RS256 for ID tokens, ES256 for the
// tokens of APIs. Generated keys are kept sealed in SQL and are the same on every
// server. Which of a line signs follows from their times and the clock alone, so
// servers need not agree on anything. While the folder holds a PEM file for an
// algorithm, the newest such file signs, the others only verify, and kept keys of
// that line stay published and untouched.
//
// A request never parses, generates or encodes a key: all it uses is built
// when the keys change and swapped in at once. The package knows no HTTP and
// no claims (RFC 7517, RFC 7638, RFC 7515).
package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// Store keeps the generated keys, sealed at rest.
type Store interface {
	// SigningKeys returns all kept keys.
	SigningKeys(ctx context.Context) ([]storage.SigningKey, error)
	// UpdateSigningKeys must replace the kept keys with what change makes of
	// them, in one transaction that no other update overlaps, and leave a
	// change row for the other servers. When change fails, it must write
	// nothing and return that error.
	UpdateSigningKeys(ctx context.Context, change func([]storage.SigningKey) ([]storage.SigningKey, error)) error
}

// ErrFileSigns says that a PEM file signs, so keys of its algorithm are not rotated.
var ErrFileSigns = errors.New("a PEM file of the keys folder signs; put a newer file there instead")

// Config is what a Ring needs.
type Config struct {
	Store Store // required
	// Dir is a folder of PEM files to sign with. For algorithms that it has no file
	// for, and when it is empty, kept keys sign.
	Dir string
	// RotateEvery is how long a kept key signs; 0: until the rotate command.
	RotateEvery time.Duration
	// LongestToken is how long a signature must stay verifiable: the longest
	// life of any token, or longer, as an ID token serves as id_token_hint
	// after it has expired. Required.
	LongestToken time.Duration
	Now          func() time.Time // default time.Now
	Logger       *slog.Logger     // default: none
}

// Ring is the set of keys at hand. It is safe for concurrent use.
type Ring struct {
	config Config
	rules  settings

	reloading sync.Mutex // one at a time, so that an older reading never replaces a newer
	current   atomic.Pointer[snapshot]
}

// Open reads the keys, making the first when there is none; of servers that
// start at once, all end with the same. The keys of a folder that can't all be
// used are an error that names the file.
func Open(ctx context.Context, c Config) (*Ring, error) {
	if c.Store == nil || c.LongestToken <= 0 {
		return nil, errors.New("keys: Store and LongestToken are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Ring{config: c, rules: settings{rotateEvery: c.RotateEvery, longestToken: c.LongestToken}}
	if err := r.Maintain(ctx, r.now()); err != nil {
		return nil, err
	}
	r.warnAboutModes(ctx)
	return r, nil
}

// now is the time in the grain that keys are kept in.
func (r *Ring) now() time.Time { return r.config.Now().UTC().Truncate(time.Second) }

// Maintain brings the keys up to date at now: it makes the one that is due,
// drops those whose last token has expired, looks at the folder again, and
// loads the result. Call it every minute or so. After an error the keys at
// hand stay in use.
func (r *Ring) Maintain(ctx context.Context, now time.Time) error {
	files, err := readDir(r.config.Dir)
	if err != nil {
		return err
	}
	for _, alg := range Algorithms() {
		// Where its folder signs, a server writes nothing: a folder that is mounted
		// on one of two servers must not retire the keys that the other signs with.
		if signs(files, alg) {
			continue
		}
		if _, err := r.apply(ctx, alg, now, planRotation); err != nil {
			return err
		}
	}
	return r.Reload(ctx)
}

// apply writes what the plan asks for the keys of one algorithm. A key is
// generated before the transaction, which holds the database's only write lock;
// the plan is made anew inside it, as another server may have been first. It
// returns the ID of the key it made, if any.
func (r *Ring) apply(ctx context.Context, alg Algorithm, now time.Time, decide func([]storage.SigningKey, time.Time, settings) plan) (storage.KeyID, error) {
	now = now.UTC().Truncate(time.Second)
	kept, err := r.config.Store.SigningKeys(ctx)
	if err != nil {
		return "", fmt.Errorf("read signing keys: %w", err)
	}
	first := decide(of(kept, alg), now, r.rules)
	if !first.needed() {
		return "", nil
	}
	var fresh storage.SigningKey
	if !first.newFrom.IsZero() {
		if fresh, err = generate(alg, now); err != nil {
			return "", err
		}
	}
	var made storage.KeyID
	err = r.config.Store.UpdateSigningKeys(ctx, func(kept []storage.SigningKey) ([]storage.SigningKey, error) {
		made = ""
		p := decide(of(kept, alg), now, r.rules)
		others := slices.DeleteFunc(kept, func(k storage.SigningKey) bool { return k.Algorithm == string(alg) })
		next := append(others, p.keys...)
		if p.newFrom.IsZero() || fresh.ID == "" {
			return next, nil // what is still missing, the next Maintain makes
		}
		fresh.SignsFrom = p.newFrom
		made = fresh.ID
		return append(next, fresh), nil
	})
	if err != nil {
		return "", fmt.Errorf("update signing keys: %w", err)
	}
	if made != "" {
		r.config.Logger.InfoContext(ctx, "signing key made", "key_id", made, "algorithm", string(alg), "signs_from", fresh.SignsFrom)
	}
	return made, nil
}

// Reload reads store and folder and swaps in what they hold. Call it when a
// change row says so. After an error the keys at hand stay in use.
func (r *Ring) Reload(ctx context.Context) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	next, err := read(ctx, r.config.Store, r.config.Dir, r.now())
	if err != nil {
		return err
	}
	r.current.Store(next)
	return nil
}

// Rotate publishes a new kept key of an algorithm now; it signs after
// [PublishAhead]. When a key is waiting for its turn already, that one is returned
// and none is made.
func (r *Ring) Rotate(ctx context.Context, alg Algorithm) (Info, error) {
	if err := r.refuseWhileFileSigns(alg); err != nil {
		return Info{}, err
	}
	if _, err := r.apply(ctx, alg, r.now(), planForced); err != nil {
		return Info{}, err
	}
	infos, err := r.List(ctx)
	if err != nil {
		return Info{}, err
	}
	line := slices.DeleteFunc(infos, func(i Info) bool { return i.Algorithm != string(alg) })
	i := slices.IndexFunc(line, func(i Info) bool { return i.State == Pending })
	if i < 0 {
		i = 0 // the very first key signs at once
	}
	return line[i], nil
}

// Import keeps the private key of a PEM text and publishes it now; it signs
// after [PublishAhead]. A key that is kept already is [storage.ErrConflict].
// Errors never quote the text.
func (r *Ring) Import(ctx context.Context, pem []byte) (Info, error) {
	key, err := parsePEM(pem)
	if err != nil {
		return Info{}, fmt.Errorf("import signing key: the text %w", err)
	}
	if err := r.refuseWhileFileSigns(algorithmOf(key.Public())); err != nil {
		return Info{}, err
	}
	now := r.now()
	imported, err := record(key, now)
	if err != nil {
		return Info{}, err
	}
	err = r.config.Store.UpdateSigningKeys(ctx, func(kept []storage.SigningKey) ([]storage.SigningKey, error) {
		if slices.ContainsFunc(kept, func(k storage.SigningKey) bool { return k.ID == imported.ID }) {
			return nil, fmt.Errorf("import signing key %s: %w", imported.ID, storage.ErrConflict)
		}
		imported.SignsFrom = importTurn(of(kept, Algorithm(imported.Algorithm)), now)
		return append(kept, imported), nil
	})
	if err != nil {
		return Info{}, err
	}
	infos, err := r.List(ctx)
	if err != nil {
		return Info{}, err
	}
	return infos[slices.IndexFunc(infos, func(i Info) bool { return i.ID == imported.ID })], nil
}

// importTurn is when an imported key signs: after it was published for long
// enough, and after every key that waits already.
func importTurn(kept []storage.SigningKey, now time.Time) time.Time {
	if len(kept) == 0 {
		return now
	}
	turn := now.Add(PublishAhead)
	for _, k := range kept {
		turn = latest(turn, k.SignsFrom.Add(time.Second))
	}
	return turn
}

func (r *Ring) refuseWhileFileSigns(alg Algorithm) error {
	files, err := readDir(r.config.Dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if algorithmOf(f.key.Public()) == alg {
			return fmt.Errorf("%w (%s)", ErrFileSigns, f.name)
		}
	}
	return nil
}

// warnAboutModes tells of key files that other users of the machine can read.
func (r *Ring) warnAboutModes(ctx context.Context) {
	for _, i := range r.current.Load().infos {
		if i.worldReadable {
			r.config.Logger.WarnContext(ctx, "signing key file is readable by everyone", "file", i.File)
		}
	}
}

// Signer returns the signer of an algorithm, one of [Algorithms], whose turn it is.
func (r *Ring) Signer(alg Algorithm) *Signer { return r.current.Load().signerAt(alg, r.config.Now()) }

// Ready reports whether a key signs of every algorithm: one whose turn has come. On
// a server whose clock was set back before that, no token would be good.
func (r *Ring) Ready(context.Context) error {
	now := r.config.Now()
	for alg, turns := range r.current.Load().turns {
		if !slices.ContainsFunc(turns, func(t turn) bool { return !t.from.After(now) }) {
			return fmt.Errorf("no signing key's turn has come for %s; is the clock right?", alg)
		}
	}
	return nil
}

// JWKS returns the published keys as JSON (RFC 7517 §5), public members only,
// and the text's strong ETag. The bytes are shared: don't change them.
func (r *Ring) JWKS() (body []byte, etag string) {
	s := r.current.Load()
	return s.body, s.etag
}

// PublicKey returns the published key of that ID, or nil. There is no guessing
// for a signature that names no key. Which algorithm it is for, its type says.
func (r *Ring) PublicKey(id storage.KeyID) any {
	if k, ok := r.current.Load().byID[id]; ok {
		return k
	}
	return nil
}
