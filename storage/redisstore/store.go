package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// Config says which Redis to use.
type Config struct {
	// URL is "embedded", "redis://[user:password@]host[:port][/db]", the same
	// with "rediss" for TLS, "unix:///path", several hosts with commas for a
	// Cluster, or "sentinel://master[:password]@host,host[/db]".
	URL string
	// Vault seals what is personal. Required.
	Vault *vault.Vault
	// Timeout bounds each wait: to connect, to write, to read an answer and, twice
	// as long, for a free connection. With the embedded server all but the first
	// are four times as long. Zero is half a second.
	Timeout time.Duration
	// Logger gets the boot check's warning; slog.DiscardHandler when nil.
	Logger *slog.Logger
}

// Store is safe for concurrent use. Each of its methods is one round trip, and
// returns an error that wraps [storage.ErrUnavailable] when Redis can't be
// reached in time or refuses for a while; then nothing may be assumed done.
type Store struct {
	client   redis.UniversalClient
	vault    *vault.Vault
	embedded *embedded // nil with a real Redis
}

// Open connects and checks that Redis never evicts what it was told to keep:
// an evicted counter is a limit that does not hold (security.md row 26). It
// starts nothing; [Store.Run] does.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Vault == nil {
		return nil, errors.New("redisstore: no vault")
	}
	logger := c.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	// go-redis writes each failed dial to stderr, through a logger of the whole
	// process; the errors reach our callers, who log them once.
	logging.Disable()
	wait := cmp.Or(c.Timeout, timeout)
	if c.URL == "embedded" {
		e := newEmbedded()
		return &Store{client: e.client(wait), vault: c.Vault, embedded: e}, nil
	}
	options, err := parseURL(c.URL, wait)
	if err != nil {
		return nil, err
	}
	s := &Store{client: redis.NewUniversalClient(options), vault: c.Vault}
	if err := s.checkEviction(ctx, logger); err != nil {
		s.client.Close()
		return nil, err
	}
	return s, nil
}

// Run drives the embedded server's clock until ctx ends. With a real Redis it
// only waits.
func (s *Store) Run(ctx context.Context) error {
	if s.embedded == nil {
		<-ctx.Done()
		return nil
	}
	return s.embedded.run(ctx)
}

// Ping reports whether Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	return failed("ping redis", s.client.Ping(ctx).Err())
}

// Close gives the connections back. The embedded server forgets everything.
func (s *Store) Close() error {
	err := s.client.Close()
	if s.embedded != nil {
		s.embedded.close()
	}
	return err
}

// checkEviction refuses a Redis that may evict. A Redis that does not say is
// accepted with a warning: managed ones often forbid the question.
func (s *Store) checkEviction(ctx context.Context, logger *slog.Logger) error {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return checkNode(ctx, node, logger)
		})
	}
	return checkNode(ctx, s.client, logger)
}

func checkNode(ctx context.Context, node redis.Cmdable, logger *slog.Logger) error {
	policy, err := evictionPolicy(ctx, node)
	if err != nil {
		return failed("read redis maxmemory-policy", err)
	}
	switch policy {
	case "noeviction":
		return nil
	case "":
		logger.WarnContext(ctx, "redis does not tell its maxmemory-policy; it must be noeviction")
		return nil
	}
	return fmt.Errorf("redis may evict what it must keep: maxmemory-policy is %q; "+
		"set it to noeviction (redis.conf: maxmemory-policy noeviction)", policy)
}

// evictionPolicy asks in the two ways there are; empty when both are refused.
func evictionPolicy(ctx context.Context, node redis.Cmdable) (string, error) {
	values, err := node.ConfigGet(ctx, "maxmemory-policy").Result()
	if err == nil && values["maxmemory-policy"] != "" {
		return values["maxmemory-policy"], nil
	}
	if err != nil && !isAnswer(err) {
		return "", err
	}
	info, err := node.Info(ctx, "memory").Result()
	if err != nil {
		if isAnswer(err) {
			return "", nil
		}
		return "", err
	}
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok {
			return policy, nil
		}
	}
	return "", nil
}

// once is a command that is never sent twice: its answer may be lost after it ran.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// passing are the first words of Redis's answers that say "not now", without ERR.
var passing = []string{
	"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS",
	"OOM", "BUSY", "MISCONF", "UNKILLABLE", "max number of clients",
}

// failed wraps err with the operation, and with [storage.ErrUnavailable] unless
// it is Redis's answer to a mistake of ours. A nil err stays nil.
func failed(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case unavailable(err):
		return fmt.Errorf("%s: %w: %w", operation, storage.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", operation, err)
	}
}

func unavailable(err error) bool {
	if isAnswer(err) {
		for _, word := range passing {
			// A script's error may stand behind the script's own words.
			if redis.HasErrorPrefix(err, word) || strings.Contains(err.Error(), "-"+word+" ") {
				return true
			}
		}
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) ||
		errors.Is(err, redis.ErrPoolExhausted)
}

// isAnswer reports whether Redis itself said err.
func isAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// until is the TTL of a record that ends at end; false when that has passed.
func until(end, now time.Time) (time.Duration, bool) {
	ttl := end.Sub(now)
	return max(ttl, time.Millisecond), ttl > 0
}
