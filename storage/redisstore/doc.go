// Package redisstore keeps what lives for minutes in Redis: login transactions,
// challenges with their tries, counters, opaque access tokens and used client
// assertions. Each write has a TTL (keys.go); losing all of it ends the logins
// under way and opens no door.
//
// A decision and its write are one script (scripts/*.lua), so that two servers,
// or 200 parallel guesses, can't both see the old state. Scripts are told the
// time and never ask Redis for it. A script whose answer was lost is not sent
// again: it may have run.
//
// The same code speaks to a Redis, a Sentinel, a Cluster, and to the embedded
// server (miniredis in this process, behind an in-memory pipe that no one else
// can reach). storage/storagetest holds them to the same promises.
//
// What is personal is sealed before it is written, names of keys are random or
// keyed MACs, and codes and tokens arrive as MACs only. Records carry their own
// end where it matters (ExpiresAt): Redis may forget late, so callers compare.
package redisstore
