package auth0

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/handset-oidc/handset/internal/strictjson"
)

// maxFile bounds what is read of a file that is held in memory: a tenant has hundreds
// of clients, and its API lists a thousand users.
const maxFile = 64 << 20

// Open reads a file as text, however it came: packed by gzip, as jobs and extensions
// write it, and in UTF-16, as a shell of Windows keeps what it is told to.
func Open(r io.Reader) (io.Reader, error) {
	begin := bufio.NewReader(r)
	switch magic, _ := begin.Peek(2); string(magic) { // who reads on meets the error again
	case "\x1f\x8b":
		unpacked, err := gzip.NewReader(begin)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		begin = bufio.NewReader(unpacked)
	case "PK":
		return nil, errors.New("is a zip archive; unpack it first")
	}
	return transform.NewReader(begin, unicode.BOMOverride(transform.Nop)), nil
}

// page is what a list with totals, or one that is read by checkpoints, says beside the
// list.
type page struct {
	total int
	next  string
}

// ReadUsers reads users that do not stand in a line each: arrays, pages of them, or
// objects over several lines.
func ReadUsers(r io.Reader) ([]json.RawMessage, error) {
	return readList(r, "users", "user_id", "phone_number")
}

// readList reads arrays, pages with an array under that name, and entries by themselves,
// as many as there are. Entries are known by having one of those keys: a file without
// any is another one.
func readList(r io.Reader, member string, keys ...string) ([]json.RawMessage, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFile:
		return nil, fmt.Errorf("has more than %d MiB", maxFile>>20)
	}
	want := fmt.Sprintf("want a JSON array of %s, as the Management API returns it", member)
	var all []json.RawMessage
	var last page
	d := json.NewDecoder(bytes.NewReader(text))
	for n := 0; ; n++ {
		var raw json.RawMessage
		err := d.Decode(&raw)
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			if len(all) > 0 && !slices.ContainsFunc(all, func(raw json.RawMessage) bool { return hasOne(raw, keys) }) {
				return nil, errors.New(want)
			}
			return all, last.check(len(all), member)
		case err != nil:
			return nil, fmt.Errorf("is no JSON from line %d on; %s", brokenLine(text, int(d.InputOffset())), want)
		}
		list, of, err := readPage(raw, member)
		if err != nil && hasOne(raw, keys) {
			list, of, err = []json.RawMessage{raw}, last, nil
		}
		var o Object
		_ = json.Unmarshal(raw, &o) // or it has no status
		if status := 0; err != nil && o.Read(map[string]any{"statusCode": &status}) == nil && status != 0 {
			return nil, fmt.Errorf("is an error of the Management API (status %d) in place of %s; read them again", status, member)
		}
		if err != nil {
			return nil, errors.New(want)
		}
		all, last = append(all, list...), of
	}
}

// hasOne reports whether an object has one of these members.
func hasOne(raw json.RawMessage, names []string) bool {
	var o Object
	return json.Unmarshal(raw, &o) == nil && slices.ContainsFunc(names, func(name string) bool { return o[name] != nil })
}

// brokenLine is the line that JSON ends in which can't be read; from is where its value
// begins.
func brokenLine(text []byte, from int) int {
	at := len(text)
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(text[from:], &json.RawMessage{})); ok {
		at = min(at, from+int(syntax.Offset))
	}
	return 1 + bytes.Count(bytes.TrimRight(text[:at], "\n"), []byte("\n"))
}

func readPage(raw json.RawMessage, member string) (list []json.RawMessage, of page, err error) {
	if json.Unmarshal(raw, &list) == nil && list != nil {
		return list, page{total: len(list)}, nil
	}
	var o Object
	if err := strictjson.Decode(raw, &o); err != nil {
		return nil, of, err
	}
	if json.Unmarshal(o[member], &list) != nil || list == nil {
		return nil, of, errors.New("has no such member")
	}
	return list, of, o.Read(map[string]any{"total": &of.total, "next": &of.next})
}

// check refuses what is not the whole of a list: what is missing would be missed later.
func (p page) check(n int, member string) error {
	switch {
	case p.total > n:
		return fmt.Errorf("%w of %d of %d %s; want all in one file", ErrPage, n, p.total, member)
	case p.next != "":
		return fmt.Errorf("%w of %s, and not the last; want all in one file", ErrPage, member)
	}
	return nil
}

// ErrPage is returned for a part of a longer list.
var ErrPage = errors.New("is one page")
