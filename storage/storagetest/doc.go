// Package storagetest holds the promises that every store keeps, as suites that
// take a constructor: those of SQL in sql_*.go, those of Redis in redis_*.go. Each
// case is named after its promise. A store's own tests run its suite; a new store
// is done when the suite passes.
package storagetest
