package people

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxLine is how long a line may be, in bytes, and a record of several lines.
const maxLine = 64 << 10

// LineError is why one line, or the record that begins there, is refused. The lines
// behind it can still be read.
type LineError struct {
	Line   int
	Reason string
	// Unit is what Line counts, if not lines.
	Unit string
}

func (e *LineError) Error() string { return placed(e.Unit, e.Line) + ": " + e.Reason }

// placed names a place in a list.
func placed(unit string, n int) string {
	if unit == "" {
		unit = "line"
	}
	return fmt.Sprint(unit, " ", n)
}

func refuse(line int, format string, args ...any) error {
	return &LineError{Line: line, Reason: fmt.Sprintf(format, args...)}
}

// line is one line of a file, without its end.
type line struct {
	n    int
	text []byte
	err  error // why it can't be used
}

// lines reads a file line by line, and holds one line in memory.
type lines struct {
	r *bufio.Reader
	n int
	// again are lines that were given back, in their order.
	again []line
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReader(marked(r))} }

// marked reads what a byte-order mark says: UTF-8 or UTF-16. Without one the text is
// taken for UTF-8.
func marked(r io.Reader) io.Reader {
	return transform.NewReader(r, unicode.BOMOverride(transform.Nop))
}

// next returns the next line, or [io.EOF].
func (l *lines) next() (line, error) {
	if len(l.again) > 0 {
		first := l.again[0]
		l.again = l.again[1:]
		return first, nil
	}
	var text []byte
	long := false
	for {
		part, err := l.r.ReadSlice('\n')
		if long = long || len(text)+len(part) > maxLine; !long {
			text = append(text, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(text) == 0 && !long) {
			return line{}, err
		}
		l.n++
		return checked(l.n, text, long), nil
	}
}

func checked(n int, text []byte, long bool) line {
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	out := line{n: n, text: text}
	switch {
	case long:
		out.err = refuse(n, "is longer than %d bytes", maxLine)
	case bytes.IndexByte(text, 0) >= 0:
		out.err = refuse(n, "holds zero bytes: if the file is UTF-16, save it as UTF-8")
	case !utf8.Valid(text):
		out.err = refuse(n, "is not UTF-8: save the file as UTF-8 (of a spreadsheet: CSV UTF-8)")
	case bytes.ContainsRune(text, utf8.RuneError):
		out.err = refuse(n, "holds characters that were lost when the file was made (U+FFFD)")
	}
	return out
}

// giveBack makes next return these lines again.
func (l *lines) giveBack(taken []line) { l.again = append(taken, l.again...) }

// first returns the first line that is not blank, and leaves it to be read again.
func (l *lines) first() (line, error) {
	for {
		one, err := l.next()
		if err != nil {
			return one, err
		}
		if one.err != nil || len(bytes.TrimSpace(one.text)) > 0 {
			l.giveBack([]line{one})
			return one, nil
		}
	}
}
