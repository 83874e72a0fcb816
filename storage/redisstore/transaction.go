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

// CreateTransaction keeps t, sealed, until it has expired and for a while after.
func (s *Store) CreateTransaction(ctx context.Context, t storage.Transaction, now time.Time) error {
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
	return failed(operation, s.client.Set(ctx, transactionKey(t.ID), sealed, ttl+transactionKeep).Err())
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
