package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// errTakeBack ends an import's transaction without keeping it.
var errTakeBack = errors.New("nothing is to be kept")

// ImportUsers takes over a list of people in one durable transaction, each as
// [storage.Import] says, and returns what became of each. The later ones of a list
// meet the earlier. A person who gets blocked is blocked as [Store.BlockUser] does.
// Other writes wait for it: long lists are given piece by piece, when they need not
// be kept together. An error of its own says that nothing was written.
func (s *Store) ImportUsers(ctx context.Context, people []storage.Import, mode storage.ImportMode, now time.Time) ([]storage.Imported, error) {
	out := make([]storage.Imported, len(people))
	err := s.db.write(ctx, durable, func(c *conn) error {
		refused, updated := 0, 0
		for i, p := range people {
			if ctx.Err() != nil {
				return unavailable(ctx.Err())
			}
			var err error
			if out[i], err = s.importOne(c, p, now); err != nil {
				return err
			}
			switch out[i].Outcome {
			case storage.Refused:
				refused++
			case storage.Updated:
				updated++
			}
		}
		if mode == storage.ImportNone || mode == storage.ImportAll && refused > 0 {
			return errTakeBack
		}
		if updated > 0 {
			return change(c, storage.ChangeUser, "")
		}
		return nil
	})
	if err != nil && !errors.Is(err, errTakeBack) {
		return nil, fmt.Errorf("import users: %w", err)
	}
	return out, nil
}

// importOne finds out all that can be wrong with a person before it writes: there is
// no going back behind one person of many. err ends the whole import.
func (s *Store) importOne(c *conn, p storage.Import, now time.Time) (done storage.Imported, err error) {
	before, known, err := s.importTarget(c, p)
	if err == nil {
		done, err = s.importTo(c, p, before, known, now)
	}
	if taken, ok := errors.AsType[*storage.TakenError](err); ok {
		return storage.Imported{ID: before.ID, Err: taken}, nil
	}
	return done, err
}

// importTarget finds the person whom an import means, or makes up a new one.
func (s *Store) importTarget(c *conn, p storage.Import) (u storage.User, known bool, err error) {
	u, _, err = s.findUser(c, p.Number)
	switch {
	case err == nil && p.ID != "" && u.ID != p.ID:
		return storage.User{ID: p.ID}, false, &storage.TakenError{Field: "phone_number", By: u.ID}
	case err == nil:
		return u, true, nil
	case !errors.Is(err, storage.ErrNotFound):
		return u, false, err
	case p.ID == "":
		return storage.User{ID: p.NewID, Number: p.Number}, false, nil
	}
	u, err = s.scanUser(c.row(userByID, string(p.ID)))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.User{ID: p.ID, Number: p.Number}, false, nil
	}
	return u, err == nil, err
}

func (s *Store) importTo(c *conn, p storage.Import, before storage.User, known bool, now time.Time) (storage.Imported, error) {
	given := before
	given.Attributes = maps.Clone(before.Attributes)
	u, err := p.Decide(given, known)
	if err != nil {
		return storage.Imported{ID: before.ID, Err: err}, nil
	}
	u.ID = before.ID
	if known {
		u.VerifiedAt = before.VerifiedAt
		same, err := s.sameMetadata(c, u.ID, p.Metadata)
		if err != nil {
			return storage.Imported{}, err
		}
		if !same && p.MetadataDiffers != nil {
			return storage.Imported{ID: u.ID, Err: p.MetadataDiffers}, nil
		}
		if same && u.Number == before.Number && u.Blocked == before.Blocked && sameAttributes(u.Attributes, before.Attributes) {
			return storage.Imported{ID: u.ID, Outcome: storage.Unchanged}, nil
		}
	}
	if err := s.free(c, u); err != nil {
		return storage.Imported{}, err
	}
	if !known {
		u.UpdatedAt = now
		if u.CreatedAt.IsZero() {
			u.CreatedAt = now
		}
		if err := s.addUser(c, u); err != nil {
			return storage.Imported{}, err
		}
		return storage.Imported{ID: u.ID, Outcome: storage.Added}, s.importMetadata(c, u.ID, p.Metadata)
	}
	u.UpdatedAt = now
	if err := s.replaceUser(c, before.Number, u); err != nil {
		return storage.Imported{}, err
	}
	switch {
	case u.Blocked && !before.Blocked:
		err = s.block(c, u.ID, now)
	case !u.Blocked && before.Blocked:
		_, err = c.exec(unblockUser, string(u.ID))
	}
	if err != nil {
		return storage.Imported{}, err
	}
	return storage.Imported{ID: u.ID, Outcome: storage.Updated}, s.importMetadata(c, u.ID, p.Metadata)
}

// importMetadata keeps the metadata of an import that brings some.
func (s *Store) importMetadata(c *conn, id storage.UserID, m *storage.Metadata) error {
	if m == nil {
		return nil
	}
	return s.putMetadata(c, id, *m)
}

// sameMetadata reports whether an import leaves the metadata of a person as it is.
func (s *Store) sameMetadata(c *conn, id storage.UserID, m *storage.Metadata) (bool, error) {
	if m == nil {
		return true, nil
	}
	kept, err := s.metadata(c, id)
	return sameAttributes(kept.App, m.App) && sameAttributes(kept.User, m.User), err
}

func sameAttributes(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}
