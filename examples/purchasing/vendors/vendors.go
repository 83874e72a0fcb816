// Package vendors is what the example is about: the vendors of a purchasing
// department, in memory. It knows nothing of HTTP, gRPC or tokens.
package vendors

import (
	"errors"
	"strings"
	"sync"
	"unicode/utf8"
)

// Employee is the number of an employee. It is a type of its own, so that nobody
// passes a name or a subject where an employee is wanted.
type Employee string

// Vendor is somebody whom the department buys from.
type Vendor struct {
	ID      int64    `json:"id"`
	Name    string   `json:"name"`
	AddedBy Employee `json:"added_by"`
}

// Book holds the vendors. The zero value is empty; it is safe for concurrent use.
type Book struct {
	mu  sync.Mutex
	all []Vendor
}

// ErrName refuses a vendor without a name that can be read.
var ErrName = errors.New("a vendor needs a name of at most 100 characters")

// Add writes a vendor into the book, and who added it.
func (b *Book) Add(name string, by Employee) (Vendor, error) {
	name = strings.TrimSpace(name)
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > 100 {
		return Vendor{}, ErrName
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v := Vendor{ID: int64(len(b.all)) + 1, Name: name, AddedBy: by}
	b.all = append(b.all, v)
	return v, nil
}

// All are the vendors, the oldest first; never nil.
func (b *Book) All() []Vendor {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Vendor{}, b.all...)
}
