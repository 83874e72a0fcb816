// Package archtest holds the rules of the house that a compiler does not:
// which package may know which, and what may be done only in one place. It has
// tests and nothing else. A rule says why it is there; so does each exception,
// and an exception that nothing needs any more fails too.
package archtest
