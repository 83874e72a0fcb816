package people

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/handset-oidc/handset/internal/attributes"
	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/storage"
)

// Row is one person as a list has them.
type Row struct {
	Line   int
	Number string // as it was written
	ID     string // empty: not said
	// Blocked is nil when it is not said.
	Blocked *bool
	// Attributes are checked by the schema; nil takes one away.
	Attributes map[string]any
	// Notes say what of the line is not taken.
	Notes []string
	// Verified says that the number was proved where the list comes from.
	Verified bool
	// Metadata is what else applications keep with the person; nil: nothing is said.
	Metadata *storage.Metadata
}

// Rows reads a list. Next returns a [*LineError] for a line that is refused and can be
// called again, [io.EOF] behind the last, and any other error for good.
type Rows interface{ Next() (Row, error) }

// The formats of lists.
const (
	CSV    = "csv"
	NDJSON = "ndjson"
)

// Formats lists them.
func Formats() []string { return []string{CSV, NDJSON} }

// Open begins to read a list. Without a format it looks at the first line. It fails
// when the list as a whole can't be used: a header that is wrong, nothing in it.
func Open(r io.Reader, format string, schema attributes.Schema) (Rows, error) {
	l := newLines(r)
	first, err := l.first()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the list is empty")
	}
	if err != nil {
		return nil, err
	}
	if format == "" && bytes.HasPrefix(bytes.TrimSpace(first.text), []byte("{")) {
		format = NDJSON
	}
	if format == Auth0 {
		if bytes.HasPrefix(bytes.TrimSpace(first.text), []byte("[")) {
			return nil, ErrArray
		}
		return &objects{l, auth0Users{schema}.parse}, nil
	}
	if format == NDJSON {
		return &objects{l, ndjson{schema}.parse}, nil
	}
	t, err := openTable(l, schema)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// objects reads one JSON object per line.
type objects struct {
	lines *lines
	parse func(line) (Row, error)
}

// ndjson is Handset's own form of them.
type ndjson struct{ schema attributes.Schema }

// object is a person of NDJSON, read and written.
type object struct {
	UserID      string         `json:"user_id,omitempty"`
	PhoneNumber any            `json:"phone_number"`
	Blocked     *bool          `json:"blocked,omitempty"`
	Attributes  map[string]any `json:"attributes,omitempty"`
}

// Next returns the next person.
func (o *objects) Next() (Row, error) {
	for {
		one, err := o.lines.next()
		switch {
		case err != nil:
			return Row{}, err
		case one.err != nil:
			return Row{}, one.err
		case len(bytes.TrimSpace(one.text)) == 0:
			continue
		}
		row, err := o.parse(one)
		if err != nil {
			return Row{}, &LineError{one.n, err.Error()}
		}
		return row, nil
	}
}

func (o ndjson) parse(one line) (Row, error) {
	var in object
	if err := strictjson.Decode(one.text, &in); err != nil {
		return Row{}, objectError(one, err)
	}
	row := Row{Line: one.n, ID: in.UserID, Blocked: in.Blocked, Attributes: in.Attributes}
	switch number := in.PhoneNumber.(type) {
	case string:
		row.Number = number
	case nil:
	default:
		return Row{}, errors.New("phone_number: want text in quotes")
	}
	if err := checkID(row.ID); err != nil {
		return Row{}, err
	}
	for name, value := range row.Attributes {
		if value == nil {
			if err := o.schema.Known(name); err != nil {
				return Row{}, attributeError(name, err)
			}
			continue
		}
		checked, err := o.schema.Check(name, value)
		if err != nil {
			return Row{}, attributeError(name, err)
		}
		row.Attributes[name] = checked
	}
	return row, nil
}

// objectError says what is wrong without the library's words, which quote the text.
func objectError(one line, err error) error {
	if twice, ok := errors.AsType[*strictjson.TwiceError](err); ok {
		return fmt.Errorf("%s: stands there twice", foreign([]string{twice.Name}))
	}
	if errors.Is(err, strictjson.ErrDeep) || errors.Is(err, strictjson.ErrText) {
		return fmt.Errorf("has %w", err)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return errors.New("want a JSON object")
		}
		return fmt.Errorf("%s: is of the wrong type", wrong.Field)
	}
	if _, strange := errors.AsType[*strictjson.UnknownError](err); strange {
		return errors.New("has an unknown member; they are user_id, phone_number, blocked and attributes")
	}
	if d := json.NewDecoder(bytes.NewReader(one.text)); d.Decode(&object{}) == nil && d.More() {
		return errors.New("want one JSON object per line")
	}
	return errors.New("is not a JSON object")
}

// attributeError names an attribute, unless the name could be anything.
func attributeError(name string, err error) error {
	if !attributes.IsName(name) {
		return fmt.Errorf("attributes: %w", err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// machines is how the subjects of machines end (decision 0018). A person whose subject
// ended so would be taken for one, where tokens are checked.
const machines = "@clients"

// checkID takes what can be a sub (OIDC Core §2: at most 255 ASCII characters), is no
// machine's, and can't be mistaken for a number on a command line.
func checkID(id string) error {
	if len(id) > 255 || strings.HasPrefix(id, "+") || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("user_id: want at most 255 visible ASCII characters, the first no +")
	}
	if strings.HasSuffix(id, machines) {
		return errors.New("user_id: ends in " + machines + ", as those of machines do, and no person's may")
	}
	return nil
}
