package redisstore

import (
	"context"
	"time"

	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/storage"
)

// TakeLimit takes one from a limit and says what is left of it, in one round trip. When
// the limit refuses it returns a [*storage.Limited]. One that is off must not be asked.
func (s *Store) TakeLimit(ctx context.Context, l storage.Limit, now time.Time) (storage.Taken, error) {
	const operation = "take limit"
	values, err := s.run(ctx, takeLimits, []string{limitKey(l)}, []any{now.UnixMilli(), l.Burst, l.Every.Milliseconds()})
	if err != nil {
		return storage.Taken{}, failed(operation, err)
	}
	r := reply{values: values}
	if r.number() == 0 {
		refused := r.limited([]storage.Limit{l})
		if err := r.err(operation); err != nil {
			return storage.Taken{}, err
		}
		return storage.Taken{}, &refused
	}
	times, _ := r.next().([]any)
	full := (&reply{values: times}).time()
	if err := r.err(operation); err != nil {
		return storage.Taken{}, err
	}
	return storage.Taken{Left: limit.Left(l, full, now), FullAt: full}, nil
}
