// Package storage holds the records that Handset keeps and the errors its
// stores return. It is a leaf: it knows no database, no HTTP and no protocol
// beyond the names of things.
//
// Two kinds of stores fill these records. What lives for minutes (login
// transactions, challenges, counters, opaque access tokens) is in Redis:
// storage/redisstore. What must last (people, clients, sessions, grants,
// refresh tokens, signing keys) is in SQL: storage/sqlstore. The promises both
// keep are executable: storage/storagetest.
//
// Records carry plain values. A store seals what is personal before it writes
// it (phone numbers, signing keys, secrets of senders) and opens it when it
// reads. Tokens, codes and client secrets never reach a store: it is given
// their MACs ([vault.MAC]).
//
// Times are UTC, and whole seconds in SQL; stores are told the time (now) and
// never ask a database for it.
package storage
