package people

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

const (
	// batch is how many people one transaction takes. Logins that wait for one look
	// again every so often, so it is short: BenchmarkBesideAnImport measures their wait.
	batch = 200
	// breath is how long the database is left to others between two of them.
	breath = 10 * time.Millisecond
)

// ImportStore keeps people.
type ImportStore interface {
	// ImportUsers must take over all people in one transaction, each as
	// [storage.Import] says, and return what became of each.
	ImportUsers(ctx context.Context, people []storage.Import, mode storage.ImportMode, now time.Time) ([]storage.Imported, error)
}

// Importer takes over lists of people.
type Importer struct {
	Store  ImportStore
	Schema attributes.Schema
	// Rules are those of the login page: whom nobody can text can't log in.
	Rules phone.Rules
	// Country is where numbers without a country calling code are at home. Empty:
	// they are refused.
	Country string
	// Format is one of [Formats]; empty: see [Open].
	Format string
	// NewID makes the subject of a new person who brings none.
	NewID func() storage.UserID
	Now   func() time.Time
	// Update changes people who are there already; otherwise those who differ are
	// refused.
	Update bool
	// Atomic keeps nobody when one is refused, in one transaction: other writes wait.
	Atomic bool
	// DryRun keeps nobody, and tells what would become of them.
	DryRun bool
	// Report gets each refused line, in the order of the list.
	Report func(*LineError) error
	// Note gets what is not taken of a line that is, in the order of the list; nil:
	// nobody does.
	Note func(Remark) error
}

// Remark is what is to be told of a line that is taken: see [Row].
type Remark struct {
	Place           string
	Notes, NotTaken []string
}

// Summary counts what became of the people of a list.
type Summary struct {
	Added     int `json:"added"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Refused   int `json:"refused"`
}

// Import reads a list to its end. The summary is true also beside an error: what it
// counts is kept, and to import the list again finds it unchanged.
func (im *Importer) Import(ctx context.Context, r io.Reader) (Summary, error) {
	rows, err := Open(r, im.Format, im.Schema)
	if err != nil {
		return Summary{}, err
	}
	unit := ""
	if _, ok := rows.(*entries); ok {
		unit = entryUnit
	}
	run := &importRun{Importer: im, unit: unit, numbers: map[phone.Number]int{}, ids: map[string]int{}, values: map[[2]string]int{}}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			err = run.flush(ctx)
			return run.summary, err
		}
		if err := run.take(row, err); err != nil {
			return run.summary, err
		}
		if len(run.people) < batch || im.Atomic {
			continue
		}
		if err := run.flush(ctx); err != nil {
			return run.summary, err
		}
		if err := pause(ctx, breath); err != nil {
			return run.summary, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// importRun is one list under way.
type importRun struct {
	*Importer
	unit    string // what the list counts, if not lines
	summary Summary
	people  []storage.Import
	rows    []Row        // of people
	refused []*LineError // since the last flush
	// Where numbers, IDs and unique values stood first.
	numbers map[phone.Number]int
	ids     map[string]int
	values  map[[2]string]int
}

// take adds a row, or why it can't be read, to those of the next flush.
func (r *importRun) take(row Row, err error) error {
	var p storage.Import
	if err == nil {
		if p, err = r.person(row); err != nil {
			err = &LineError{Line: row.Line, Reason: err.Error()}
		}
	}
	if refusal, ok := errors.AsType[*LineError](err); ok {
		r.refused = append(r.refused, refusal)
		return nil
	}
	if err != nil {
		return err
	}
	r.people, r.rows = append(r.people, p), append(r.rows, row)
	return nil
}

// person checks a row by itself and against the lines before it.
func (r *importRun) person(row Row) (storage.Import, error) {
	number, err := r.number(row.Number)
	if err != nil {
		return storage.Import{}, fmt.Errorf("phone_number: %w", err)
	}
	if err := r.once(row, number); err != nil {
		return storage.Import{}, err
	}
	p := storage.Import{
		ID: storage.UserID(row.ID), NewID: r.NewID(), Number: number,
		Decide: func(u storage.User, known bool) (storage.User, error) { return r.decide(u, known, row, number) },
	}
	if p.Metadata = row.Metadata; !r.Update {
		p.MetadataDiffers = errDiffers
	}
	return p, nil
}

var (
	// rounded is what a spreadsheet makes of a long number: its last digits are gone.
	rounded = regexp.MustCompile(`^[+'"]?[0-9]+([.,][0-9]*)?[eE][+-]?[0-9]+$`)
	// decimal is what software makes of it that takes it for a quantity.
	decimal = regexp.MustCompile(`^\+?[0-9]{6,}[.,]0*$`)
)

// number reads a number as the login page does.
func (r *importRun) number(text string) (phone.Number, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return phone.Number{}, errors.New("is missing")
	case rounded.MatchString(text):
		return phone.Number{}, errors.New("a spreadsheet has rounded it (as in 8.19012E+11): format its column as text and fill it in again")
	case decimal.MatchString(text):
		return phone.Number{}, errors.New("a program took it for a quantity (as in 819012345678.0): export the column as text")
	case r.Country == "" && !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "＋") && !strings.HasPrefix(text, "00"):
		return phone.Number{}, errors.New("want the international form (+81...), or say by --country where numbers without it belong")
	}
	return r.Rules.Parse(text, r.Country)
}

// once refuses what stood in the list before.
func (r *importRun) once(row Row, number phone.Number) error {
	if line, ok := r.numbers[number]; ok {
		return fmt.Errorf("phone_number: is the same as in %s", placed(r.unit, line))
	}
	if line, ok := r.ids[row.ID]; ok && row.ID != "" {
		return fmt.Errorf("user_id: is the same as in %s", placed(r.unit, line))
	}
	var values [][2]string
	for _, name := range r.Schema.Unique() {
		if row.Attributes[name] == nil {
			continue
		}
		value := [2]string{name, fmt.Sprint(row.Attributes[name])}
		if line, ok := r.values[value]; ok {
			return fmt.Errorf("%s: is the same as in %s", name, placed(r.unit, line))
		}
		values = append(values, value)
	}
	r.numbers[number], r.ids[row.ID] = row.Line, row.Line
	for _, value := range values {
		r.values[value] = row.Line
	}
	return nil
}

// errDiffers refuses a person who is there, and not as the list has them.
var errDiffers = errors.New("is registered already, and differs (--update changes who is there)")

// decide says what becomes of a person. It is called inside a transaction.
func (r *importRun) decide(u storage.User, known bool, row Row, number phone.Number) (storage.User, error) {
	differs := !known || u.Number != number
	if !known && row.Verified {
		u.VerifiedAt = r.Now()
	}
	if !known && row.CreatedAt.Before(r.Now()) { // others' clocks may go wrong
		u.CreatedAt = row.CreatedAt
	}
	u.Number = number
	if row.Blocked != nil {
		differs = differs || u.Blocked != *row.Blocked
		u.Blocked = *row.Blocked
	}
	if u.Attributes == nil {
		u.Attributes = map[string]any{}
	}
	for name, value := range row.Attributes {
		differs = differs || !reflect.DeepEqual(u.Attributes[name], value)
		if value == nil {
			delete(u.Attributes, name)
			continue
		}
		u.Attributes[name] = value
	}
	switch {
	case !differs:
		return u, nil
	case known && !r.Update:
		return u, errDiffers
	}
	if missing := r.Schema.Missing(u.Attributes); len(missing) > 0 {
		return u, fmt.Errorf("%s: is missing", strings.Join(missing, ", "))
	}
	return u, nil
}

func (r *importRun) mode() storage.ImportMode {
	switch {
	case r.DryRun, r.Atomic && len(r.refused) > 0:
		return storage.ImportNone
	case r.Atomic:
		return storage.ImportAll
	}
	return storage.ImportEach
}

// flush writes those who were taken since the last one, and reports the refused.
func (r *importRun) flush(ctx context.Context) error {
	var done []storage.Imported
	if len(r.people) > 0 {
		var err error
		if done, err = r.Store.ImportUsers(ctx, r.people, r.mode(), r.Now()); err != nil {
			return err
		}
	}
	var remarks []Row
	for i, one := range done {
		if row := r.rows[i]; one.Outcome != storage.Refused && len(row.Notes)+len(row.NotTaken) > 0 {
			remarks = append(remarks, row)
		}
		switch one.Outcome {
		case storage.Added:
			r.summary.Added++
		case storage.Updated:
			r.summary.Updated++
		case storage.Unchanged:
			r.summary.Unchanged++
		case storage.Refused:
			r.refused = append(r.refused, &LineError{Line: r.rows[i].Line, Reason: one.Err.Error()})
		}
	}
	if r.Atomic && len(r.refused) > 0 {
		r.summary, remarks = Summary{}, nil
	}
	if err := r.tell(remarks); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	r.people, r.rows, r.refused = r.people[:0], r.rows[:0], r.refused[:0]
	return nil
}

// tell reports the refused and what is not taken of others, in the order of the list.
func (r *importRun) tell(remarks []Row) error {
	slices.SortStableFunc(r.refused, func(a, b *LineError) int { return a.Line - b.Line })
	remark := func(before int) error {
		for len(remarks) > 0 && remarks[0].Line < before {
			row := remarks[0]
			remarks = remarks[1:]
			if r.Note == nil {
				continue
			}
			if err := r.Note(Remark{placed(r.unit, row.Line), row.Notes, row.NotTaken}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, refusal := range r.refused {
		r.summary.Refused++
		refusal.Unit = r.unit
		if err := errors.Join(remark(refusal.Line), r.Report(refusal)); err != nil {
			return err
		}
	}
	return remark(math.MaxInt)
}
