package passcode

import (
	"context"
	"sync"
	"time"

	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// road is a connection and the region it texts: texts that leave by the same
// senders, mostly.
type road struct {
	connection storage.ConnectionName
	region     string
}

// roads remembers how the last text of each road fared, for decoys to fare alike. A decoy that is always handed over at once would tell who is
// registered: by the time while the route is slow, and by the page that says "we
// can't send texts" while it is down (security.md row 27).
type roads struct {
	mu   sync.Mutex
	last map[road]fare
}

// fare is how long a text took and how it ended.
type fare struct {
	took time.Duration
	err  error
}

func (r *roads) saw(name road, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[road]fare{}
	}
	r.last[name] = fare{took, err}
}

// imitated is a failure that a decoy shares with the last real text. It is one
// to everybody but the log, which says that no text was to leave.
type imitated struct{ err *sms.Error }

func (e *imitated) Error() string { return "imitates the last text's failure: " + e.err.Error() }
func (e *imitated) Unwrap() error { return e.err }

// mimic takes as long as the last text did and returns what it ended with.
func (r *roads) mimic(ctx context.Context, name road) error {
	r.mu.Lock()
	last := r.last[name]
	r.mu.Unlock()
	if last.took > 0 {
		timer := time.NewTimer(last.took)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return last.err
}
