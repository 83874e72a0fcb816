package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// UseAssertion spends a client assertion once (RFC 7523 §3, jti); tag is the
// keyed tag of its client and jti. A second use is [storage.ErrConsumed] until
// the assertion, and the leeway that its verifier may allow, has expired.
func (s *Store) UseAssertion(ctx context.Context, tag string, expires, now time.Time) error {
	const operation = "use assertion"
	ttl, _ := until(expires, now)
	fresh, err := s.client.SetNX(ctx, assertionKey(tag), "1", ttl+assertionLeeway).Result()
	if err != nil {
		return failed(operation, err)
	}
	if !fresh {
		return fmt.Errorf("%s: %w", operation, storage.ErrConsumed)
	}
	return nil
}
