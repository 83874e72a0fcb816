package people

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/attributes"
)

// maxRecordLines is how many lines one record may span: a quote that is never closed
// must not swallow the people behind it.
const maxRecordLines = 20

// table reads CSV with a header, separated by commas, semicolons or tabs.
type table struct {
	lines   *lines
	schema  attributes.Schema
	comma   byte
	columns []string // phone_number, user_id, blocked, or an attribute
	text    bytes.Reader
	buffer  *bufio.Reader
}

// The columns that are no attributes.
const (
	columnNumber  = "phone_number"
	columnID      = "user_id"
	columnBlocked = "blocked"
)

func openTable(l *lines, schema attributes.Schema) (*table, error) {
	t := &table{lines: l, schema: schema}
	t.buffer = bufio.NewReader(&t.text)
	first, err := l.first()
	if err != nil {
		return nil, err
	}
	t.comma = separator(first.text)
	header, line, err := t.record()
	if err != nil {
		return nil, err
	}
	for i, cell := range header {
		name, err := t.column(cell)
		if err != nil {
			return nil, refuse(line, "column %d%s: %v", i+1, named(cell), err)
		}
		if slices.Contains(t.columns, name) {
			return nil, refuse(line, "column %d: there are two of %s", i+1, name)
		}
		t.columns = append(t.columns, name)
	}
	if !slices.Contains(t.columns, columnNumber) {
		return nil, refuse(line, "no column is called phone_number, phone or number")
	}
	return t, nil
}

// separator is what the header has most of.
func separator(header []byte) byte {
	best := byte(',')
	for _, c := range []byte{';', '\t'} {
		if bytes.Count(header, []byte{c}) > bytes.Count(header, []byte{best}) {
			best = c
		}
	}
	return best
}

// column reads a cell of the header.
func (t *table) column(cell string) (string, error) {
	cell = strings.TrimSpace(cell)
	switch folded := strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(cell)); folded {
	case "phone", "number", columnNumber:
		return columnNumber, nil
	case columnID, columnBlocked:
		return folded, nil
	}
	if !attributes.IsName(cell) {
		return "", errors.New("is no name of a column; the first line must be the header")
	}
	return cell, t.schema.Known(cell)
}

// named is the name of a column for an error. A list without a header has a person
// there, who must not get into a report.
func named(cell string) string {
	if cell = strings.TrimSpace(cell); !attributes.IsName(cell) {
		return ""
	}
	return " (" + cell + ")"
}

// Next returns the next person.
func (t *table) Next() (Row, error) {
	for {
		cells, line, err := t.record()
		switch {
		case err != nil:
			return Row{}, err
		case !slices.ContainsFunc(cells, func(cell string) bool { return strings.TrimSpace(cell) != "" }):
			continue // a spreadsheet's empty row
		case len(cells) != len(t.columns):
			return Row{}, refuse(line, "has %d cells, the header has %d", len(cells), len(t.columns))
		}
		row := Row{Line: line, Attributes: map[string]any{}}
		for i, cell := range cells {
			if err := t.cell(&row, t.columns[i], strings.TrimSpace(cell)); err != nil {
				return Row{}, &LineError{Line: line, Reason: err.Error()}
			}
		}
		return row, nil
	}
}

// cell reads one cell; an empty one says nothing.
func (t *table) cell(row *Row, column, text string) error {
	if text == "" {
		return nil
	}
	switch column {
	case columnNumber:
		row.Number = text
	case columnID:
		row.ID = text
		return checkID(text)
	case columnBlocked:
		switch strings.ToLower(text) {
		case "true", "false":
			blocked := strings.EqualFold(text, "true")
			row.Blocked = &blocked
		default:
			return errors.New("blocked: want true or false")
		}
	default:
		value, err := t.schema.Parse(column, text)
		if err != nil {
			return fmt.Errorf("%s: %w", column, err)
		}
		row.Attributes[column] = value
	}
	return nil
}

// record returns the cells of the next record and the line it begins at. It finds its
// end itself, for the library would read on for the end of a quote for ever.
func (t *table) record() ([]string, int, error) {
	for {
		text, line, err := t.whole()
		if err != nil {
			return nil, line, err
		}
		t.text.Reset(text)
		t.buffer.Reset(&t.text)
		r := csv.NewReader(t.buffer)
		r.Comma, r.FieldsPerRecord = rune(t.comma), -1
		cells, err := r.Read()
		switch {
		case errors.Is(err, io.EOF): // a blank line
			continue
		case err != nil:
			return nil, line, refuse(line, `a quote stands where it may not: a cell with quotes is quoted as a whole, its own quotes doubled`)
		}
		return cells, line, nil
	}
}

// whole returns the text of the next record: one line, or more when a quote goes on.
func (t *table) whole() (text []byte, n int, err error) {
	first, err := t.lines.next()
	if err != nil {
		return nil, 0, err
	}
	if first.err != nil {
		return nil, first.n, first.err
	}
	text = first.text
	var more []line
	for inside := quoted(text, t.comma, false); inside; {
		one, err := t.lines.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, first.n, err
		}
		if err == nil {
			more = append(more, one)
		}
		if err != nil || one.err != nil || len(more) >= maxRecordLines || len(text)+len(one.text) > maxLine {
			t.lines.giveBack(more)
			return nil, first.n, refuse(first.n, "a quote is opened and not closed")
		}
		text = append(append(text, '\n'), one.text...)
		inside = quoted(one.text, t.comma, true)
	}
	return text, first.n, nil
}

// quoted reports whether a quote is open at the end of a line, given whether one was
// at its beginning.
func quoted(text []byte, comma byte, inside bool) bool {
	start := true // of a cell
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case inside && b == '"' && i+1 < len(text) && text[i+1] == '"':
			i++
		case inside:
			inside = b != '"'
		case b == '"' && start:
			inside = true
		}
		start = b == comma && !inside
	}
	return inside
}
