// Package people reads and writes lists of people: CSV, as spreadsheets make it, and
// NDJSON, one JSON object per line. It refuses line by line, with the line and the
// reason, and never repeats a number or a value in a reason: reports get passed on.
// What may be said of people is the business of internal/attributes, how they are
// kept that of a store.
package people
