// Package sqlstore keeps what must last in SQL: people, sessions, grants, refresh
// tokens, clients, connections, signing keys, and the changes that servers follow.
// It runs on SQLite; the statements are written so that PostgreSQL can join.
//
// All SQL is in queries/*.sql and migrations/. A method of [Store] is one whole
// intention in one transaction; every change that another server must know of
// leaves its row in `changes` in that transaction. Writes have one of two
// qualities: durable ones are on the disk before the method returns, fast ones
// survive the death of the process, not of the machine (design.md §6).
//
// The package seals what is personal (numbers, signing keys, options of
// connections) and finds numbers by a blind index; codes, cookies, tokens and
// secrets reach it as MACs only. It knows no HTTP and no protocol, asks no
// database for the time, and logs nothing.
package sqlstore
