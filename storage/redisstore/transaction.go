package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// CreateTransaction keeps t, sealed, until it has expired and for a while after. It
// takes one from each limit, or keeps nothing and returns the [*storage.Limited]
// that says which refused.
func (s *Store) CreateTransaction(ctx context.Context, t storage.Transaction, now time.Time, limits ...storage.Limit) error {
	const operation = "create transaction"
	ttl, ok := until(t.ExpiresAt, now)
	if !ok {
		return fmt.Errorf("%s: it has expired already", operation)
	}
	plain, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	sealed := s.vault.Seal(vault.Transaction, string(t.ID), plain)
	return failed(operation, s.keepWithin(ctx, transactionKey(t.ID), sealed, ttl+transactionKeep, limits, now))
}

// KeepPosted keeps a form, sealed, for postedLife. It takes one from each limit, or
// keeps nothing and returns the [*storage.Limited] that says which refused.
func (s *Store) KeepPosted(ctx context.Context, p storage.Posted, now time.Time, limits ...storage.Limit) error {
	sealed := s.vault.Seal(vault.Posted, postedPlace(p.Endpoint, p.Ref), []byte(p.Form))
	return failed("keep posted form", s.keepWithin(ctx, postedKey(p.Ref), sealed, postedLife, limits, now))
}

func postedPlace(endpoint, ref string) string { return endpoint + " " + ref }

// Posted returns the form that was kept for the endpoint, or [storage.ErrNotFound].
func (s *Store) Posted(ctx context.Context, endpoint, ref string) (form string, err error) {
	return s.openPosted(endpoint, ref, s.client.Get(ctx, postedKey(ref)))
}

// TakePosted is [Store.Posted], once: who asks again, or at the same time, gets
// [storage.ErrNotFound].
func (s *Store) TakePosted(ctx context.Context, endpoint, ref string) (form string, err error) {
	var value *redis.StringCmd
	// In one step, where GETDEL would ask for Redis 6.2. The command has its own error.
	_, _ = s.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		value = tx.Get(ctx, postedKey(ref))
		tx.Del(ctx, postedKey(ref))
		return nil
	})
	return s.openPosted(endpoint, ref, value)
}

func (s *Store) openPosted(endpoint, ref string, value *redis.StringCmd) (form string, err error) {
	const operation = "read posted form"
	sealed, err := value.Bytes()
	if errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("%s: %w", operation, storage.ErrNotFound)
	}
	if err != nil {
		return "", failed(operation, err)
	}
	plain, err := s.vault.Open(vault.Posted, postedPlace(endpoint, ref), sealed)
	if err != nil {
		return "", fmt.Errorf("%s: %w: %w", operation, storage.ErrNotFound, err)
	}
	return string(plain), nil
}

// keepWithin writes a value and takes from the limits in one round trip. In a
// Cluster no script can do both: counters share a node and records are spread. So
// the two go out together, and what was refused is deleted again.
func (s *Store) keepWithin(ctx context.Context, key string, value []byte, ttl time.Duration, limits []storage.Limit, now time.Time) error {
	limits = counted(limits)
	if len(limits) == 0 {
		return s.client.Set(ctx, key, value, ttl).Err()
	}
	keys, argv := make([]string, len(limits)), []any{now.UnixMilli()}
	for i, l := range limits {
		keys[i] = limitKey(l)
		argv = append(argv, l.Burst, l.Every.Milliseconds())
	}
	pipe := s.client.Pipeline()
	took := pipe.EvalSha(ctx, takeLimits.digest, keys, argv...)
	kept := pipe.Set(ctx, key, value, ttl)
	_, _ = pipe.Exec(ctx) // each command has its own error
	values, err := took.Slice()
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // Redis restarted
		values, err = s.run(ctx, takeLimits, keys, argv)
	}
	if err != nil {
		return err
	}
	r := reply{values: values}
	if r.number() == 1 {
		return errors.Join(kept.Err(), r.err("take limits"))
	}
	refused := r.limited(limits)
	if err := r.err("take limits"); err != nil {
		return err
	}
	// One that stays after all ends with its TTL.
	_ = s.client.Del(ctx, key).Err()
	return &refused
}

// Login returns a login transaction and the challenge in it, which is
// [storage.ChallengeGone] when there is none (an empty challenge ID asks for
// none). An unknown transaction is [storage.ErrNotFound]. The caller compares
// the transaction's ExpiresAt.
func (s *Store) Login(
	ctx context.Context, id storage.TransactionID, challenge storage.ChallengeID,
) (storage.Transaction, storage.Challenge, error) {
	const operation = "read login"
	none := storage.Challenge{ID: challenge, State: storage.ChallengeGone}
	if id == "" {
		return storage.Transaction{}, none, fmt.Errorf("%s: %w", operation, storage.ErrNotFound)
	}
	pipe := s.client.Pipeline()
	sealed := pipe.Get(ctx, transactionKey(id))
	var record *redis.MapStringStringCmd
	if challenge != "" {
		record = pipe.HGetAll(ctx, challengeKey(challenge))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return storage.Transaction{}, none, failed(operation, err)
	}
	t, err := s.openTransaction(id, sealed)
	if err != nil {
		return storage.Transaction{}, none, fmt.Errorf("%s: %w", operation, err)
	}
	if record == nil {
		return t, none, nil
	}
	c, err := s.readChallenge(challenge, record)
	if err != nil {
		return storage.Transaction{}, none, failed(operation, err)
	}
	return t, c, nil
}

// openTransaction opens a sealed transaction. One that does not open is not
// found: its key was removed from the secret key file, and the login starts over.
func (s *Store) openTransaction(id storage.TransactionID, sealed *redis.StringCmd) (storage.Transaction, error) {
	value, err := sealed.Bytes()
	if errors.Is(err, redis.Nil) {
		return storage.Transaction{}, storage.ErrNotFound
	}
	if err != nil {
		return storage.Transaction{}, failed("transaction", err)
	}
	plain, err := s.vault.Open(vault.Transaction, string(id), value)
	if err != nil {
		return storage.Transaction{}, fmt.Errorf("transaction: %w: %w", storage.ErrNotFound, err)
	}
	t := storage.Transaction{ID: id}
	if err := json.Unmarshal(plain, &t); err != nil {
		return storage.Transaction{}, fmt.Errorf("transaction: %w", err)
	}
	return t, nil
}
