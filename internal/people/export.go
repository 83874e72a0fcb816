package people

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/storage"
)

// page is how many people are read at a time.
const page = 500

// ExportStore lists people.
type ExportStore interface {
	// Users must return up to limit people in the order of their IDs, from the
	// first behind after on.
	Users(ctx context.Context, after storage.UserID, limit int) ([]storage.User, error)
}

// each visits everyone, and holds one page in memory.
func each(ctx context.Context, store ExportStore, visit func(storage.User) error) error {
	for after := storage.UserID(""); ; {
		people, err := store.Users(ctx, after, page)
		if err != nil || len(people) == 0 {
			return err
		}
		for _, u := range people {
			if err := visit(u); err != nil {
				return err
			}
		}
		after = people[len(people)-1].ID
	}
}

// Exporter writes everyone as a list that an import understands. It holds whole
// numbers.
type Exporter struct {
	Store  ExportStore
	Schema attributes.Schema
	// Format is one of [Formats].
	Format string
}

// Export writes the list and returns how many people it has, and the names of
// attributes that the schema does not know: an import will not take these.
func (e *Exporter) Export(ctx context.Context, w io.Writer) (n int, unknown []string, err error) {
	out := bufio.NewWriter(w)
	seen := map[string]bool{}
	note := func(u storage.User) {
		n++
		for name := range u.Attributes {
			seen[name] = true
		}
	}
	if e.Format == NDJSON {
		err = e.objects(ctx, out, note)
	} else {
		err = e.table(ctx, out, note)
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if e.Schema.Known(name) != nil {
			unknown = append(unknown, name)
		}
	}
	return n, unknown, errors.Join(err, out.Flush())
}

func (e *Exporter) objects(ctx context.Context, w io.Writer, note func(storage.User)) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return each(ctx, e.Store, func(u storage.User) error {
		note(u)
		return encoder.Encode(object{
			UserID: string(u.ID), PhoneNumber: u.Number.E164(), Blocked: &u.Blocked, Attributes: u.Attributes,
		})
	})
}

// table looks at everyone twice: the header comes first and names all attributes.
func (e *Exporter) table(ctx context.Context, w io.Writer, note func(storage.User)) error {
	names := map[string]bool{}
	for _, name := range e.Schema.Names() {
		names[name] = true
	}
	err := each(ctx, e.Store, func(u storage.User) error {
		for name := range u.Attributes {
			names[name] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	columns := slices.Sorted(maps.Keys(names))
	out := csv.NewWriter(w)
	if err := out.Write(append([]string{columnID, columnNumber, columnBlocked}, columns...)); err != nil {
		return err
	}
	err = each(ctx, e.Store, func(u storage.User) error {
		note(u)
		cells := []string{string(u.ID), u.Number.E164(), strconv.FormatBool(u.Blocked)}
		for _, name := range columns {
			cells = append(cells, cellText(u.Attributes[name]))
		}
		for name := range u.Attributes {
			if !names[name] {
				return fmt.Errorf("attribute %s was new while the list was written; write it again", name)
			}
		}
		return out.Write(cells)
	})
	out.Flush()
	return errors.Join(err, out.Error())
}

func cellText(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
