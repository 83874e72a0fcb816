package sqlstore

import (
	"context"
	"time"
)

const (
	// sweepBatch is how many rows one transaction of a sweep deletes: logins wait
	// for one batch at most.
	sweepBatch = 500
	// keptChanges is how many changes stay for servers that were away.
	keptChanges = 100_000
)

// Sweep deletes the sessions that are past their end, the grants of which no token
// can live any more, revoked tokens that have expired, texts and what is known of
// them after 30 days, verifications after 7, and old changes, in small transactions. A grant stays until its
// refresh tokens and the last access token have expired, so that reuse of its code is
// noticed that long.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	steps := []struct {
		deletes statement
		bound   int64
	}{
		{deleteExpiredSessions, now.Unix()},
		{deleteEndedGrants, now.Unix()},
		{deleteExpiredRevokedTokens, now.Unix()},
		{deleteOldChanges, keptChanges},
		{deleteOldTexts, now.Add(-keptTexts).UnixMilli()},
		{deleteOldTextEvents, now.Add(-keptTexts).UnixMilli()},
		{deleteOldReceipts, now.Add(-keptTexts).UnixMilli()},
		{deleteOldVerifications, now.Add(-keptVerifications).UnixMilli()},
		{deleteSilentServers, now.Add(-silentServer).UnixMilli()},
	}
	for _, step := range steps {
		if err := s.sweep(ctx, step.deletes, step.bound); err != nil {
			return wrap("sweep", err)
		}
	}
	return nil
}

func (s *Store) sweep(ctx context.Context, deletes statement, bound int64) error {
	for {
		var n int64
		err := s.db.write(ctx, fast, func(c *conn) (err error) {
			n, err = c.exec(deletes, bound, int64(sweepBatch))
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
