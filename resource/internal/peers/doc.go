// Package peers holds package resource against other people's libraries: the ones that
// Go programs verify tokens with otherwise, and a reader of HTML. Do they agree, and
// what does each cost? It has tests and nothing else. They stand here, where nobody
// imports them, because a program's go.sum also names what the tests of the packages
// that it imports need.
package peers
