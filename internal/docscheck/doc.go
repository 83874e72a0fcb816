// Package docscheck holds the documents true: its tests follow every link, find
// every test that a page names, hold tables against the code, and do what the
// README says, command by command. It has no code of its own.
package docscheck
