package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, or one that deserves a warning.
type Problem struct {
	// Path is the key, such as clients[0].callbacks[1], or the name of an
	// environment variable; empty when it is the file as a whole.
	Path string
	// Message says what is wrong and what to do.
	Message string
}

// String returns path and message on one line.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Warning is something that works and is probably not meant.
type Warning = Problem

// Error is all that is wrong with a configuration.
type Error struct {
	// Source is the file's name.
	Source   string
	Problems []Problem
}

// Error lists the problems, one per line.
func (e *Error) Error() string {
	var b strings.Builder
	if len(e.Problems) == 1 {
		fmt.Fprintf(&b, "%s: 1 problem", e.Source)
	} else {
		fmt.Fprintf(&b, "%s: %d problems", e.Source, len(e.Problems))
	}
	for _, p := range e.Problems {
		b.WriteString("\n  - " + p.String())
	}
	return b.String()
}

// Join adds problems to what Load found, in one error; nil when there are none.
// What is found of a value that could not even be read is left out.
func Join(source string, err error, more ...Problem) error {
	found, ok := errors.AsType[*Error](err)
	if err != nil && !ok {
		return err
	}
	all := &Error{Source: source}
	if found != nil {
		all.Problems = slices.Clone(found.Problems)
	}
	all.Problems = append(all.Problems, unrepeated(all.Problems, more)...)
	if len(all.Problems) == 0 {
		return nil
	}
	return all
}

// report collects problems and warnings.
type report struct {
	problems []Problem
	warnings []Warning
}

func (r *report) problem(path, message string) {
	r.problems = append(r.problems, Problem{path, message})
}

func (r *report) warn(path, message string) {
	r.warnings = append(r.warnings, Warning{path, message})
}

// join appends a key to a path; either may be empty.
func join(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}

// at appends an index to a path.
func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// list writes names as words: "a, b and c".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// choice writes names as alternatives: "a, b or c".
func choice(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
