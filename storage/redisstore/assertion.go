package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/handset-oidc/handset/storage"
)

// UseAssertion spends a client assertion once (RFC 7523 §3, jti); tag is the
// keyed tag of its client and jti. A second use is [storage.ErrConsumed] until
// the assertion, and the leeway that its verifier may allow, has expired. After
// [storage.ErrUnavailable] it may have been spent.
func (s *Store) UseAssertion(ctx context.Context, tag string, expires, now time.Time) error {
	const operation = "use assertion"
	ttl, _ := until(expires, now)
	// Sent once: a second try after a lost answer would find the first one's key,
	// and refuse the client for its own assertion.
	cmd := once{redis.NewCmd(ctx, "set", assertionKey(tag), "1", "nx", "px", (ttl + assertionLeeway).Milliseconds())}
	err := s.client.Process(ctx, cmd)
	if errors.Is(err, redis.Nil) {
		return fmt.Errorf("%s: %w", operation, storage.ErrConsumed)
	}
	return failed(operation, err)
}
