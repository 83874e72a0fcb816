package redisstore

import (
	"context"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// embedded is a Redis in this process. It listens nowhere: connections are
// in-memory pipes, so that no one else on the machine can read codes' MACs or
// reset counters.
type embedded struct {
	server *miniredis.Miniredis
	ticked time.Time
}

func newEmbedded() *embedded {
	return &embedded{server: miniredis.NewMiniRedis(), ticked: time.Now()}
}

func (e *embedded) client(timeout time.Duration) redis.UniversalClient {
	o := options(timeout)
	o.Addrs = []string{"embedded"}
	// No network to wait for: only a machine out of breath takes this long.
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = 4*timeout, 4*timeout, 4*timeout
	o.Dialer = func(context.Context, string, string) (net.Conn, error) { return e.server.Dial() }
	return redis.NewUniversalClient(o)
}

// run moves the server's clock once a second. Its own clock would scan all keys
// at each command.
func (e *embedded) run(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			now := time.Now()
			e.server.FastForward(now.Sub(e.ticked))
			e.ticked = now
		}
	}
}

func (e *embedded) close() { e.server.Close() }
