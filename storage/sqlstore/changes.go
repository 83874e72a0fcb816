package sqlstore

import (
	"context"
	"fmt"

	"github.com/handset-oidc/handset/storage"
)

// changesPage is how many changes one call returns at most.
const changesPage = 1000

// Changes returns the changes behind after, the oldest first, at most 1000; call
// again until none comes. [storage.ErrNotFound]: some of them were swept already,
// so the caller must drop all it has cached and go on from [Store.LastChange].
func (s *Store) Changes(ctx context.Context, after int64) (all []storage.Change, err error) {
	err = s.db.read(ctx, func(c *conn) error {
		all, err = list(c, changesAfter, func(r scanner) (ch storage.Change, err error) {
			err = r.Scan(&ch.ID, &ch.Kind, &ch.Ref)
			return ch, err
		}, after, int64(changesPage))
		if err != nil || len(all) == 0 || all[0].ID == after+1 {
			return err
		}
		return fmt.Errorf("%w: the changes behind %d were swept", storage.ErrNotFound, after)
	})
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return all, nil
}

// LastChange returns the number of the newest change, 0 when there is none.
func (s *Store) LastChange(ctx context.Context) (last int64, err error) {
	err = s.db.read(ctx, func(c *conn) error { return c.row(lastChange).Scan(&last) })
	return last, wrap("read last change", err)
}
