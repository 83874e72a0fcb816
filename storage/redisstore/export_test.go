package redisstore

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// Raw is the store's own client, for tests that look behind it.
func (s *Store) Raw() redis.UniversalClient { return s.client }

// FastForward moves the embedded server's clock.
func (s *Store) FastForward(d time.Duration) { s.embedded.server.FastForward(d) }
