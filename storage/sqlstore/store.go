package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// Config says which database to open.
type Config struct {
	// URL is "sqlite:FILE", or "sqlite::memory:" for one that is gone at Close.
	URL string
	// Vault seals what is personal. Required.
	Vault *vault.Vault
	// TokenLife is the longest life of an access token. A grant is kept that long
	// after the last moment at which it can bring one forth, so that it can be
	// revoked as long as a token of it lives. Default: 24 h.
	TokenLife time.Duration
	// Unique names the attributes of which no two people may have the same value.
	Unique []string
}

// Store keeps what must last. It is safe for concurrent use.
type Store struct {
	db        *sqlite
	vault     *vault.Vault
	tokenLife time.Duration
	unique    []string
}

// Open opens the database, makes it when there is none, and brings its schema up
// to date. It fails when the vault's keys do not open what the database holds, and,
// with [storage.ErrConflict], when people share the value of an attribute that was
// not unique before.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	at, how, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	db, err := openSQLite(ctx, at, how)
	if err != nil {
		return nil, err
	}
	s := cfg.store(db)
	if err = s.seed(ctx); err == nil {
		err = s.indexUnique(ctx)
	}
	if err != nil {
		_ = db.close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return s, nil
}

// OpenToRead opens a database that is there, whether or not a server has it open,
// and changes nothing: its writes are errors. Pending migrations stay pending; it
// returns their number, and while there are any, what this version wants to read
// may be missing.
func OpenToRead(ctx context.Context, cfg Config) (s *Store, pending int, err error) {
	at, how, err := cfg.parse()
	if err != nil {
		return nil, 0, err
	}
	if at.file == "" {
		s, err := Open(ctx, cfg) // nobody else has it, and nothing is left of it
		return s, 0, err
	}
	db, pending, err := openToRead(ctx, at, how)
	if err != nil {
		return nil, 0, err
	}
	return cfg.store(db), pending, nil
}

func (cfg Config) parse() (where, opening, error) {
	if cfg.Vault == nil {
		return where{}, opening{}, errors.New("sqlstore: no vault")
	}
	at, err := parseURL(cfg.URL)
	if err != nil {
		return at, opening{}, err
	}
	how, err := usual()
	return at, how, err
}

func (cfg Config) store(db *sqlite) *Store {
	if cfg.TokenLife == 0 {
		cfg.TokenLife = 24 * time.Hour
	}
	return &Store{db: db, vault: cfg.Vault, tokenLife: cfg.TokenLife, unique: slices.Sorted(slices.Values(cfg.Unique))}
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.LastChange(ctx)
	return err
}

// Close waits for the calls under way and closes the database. Later calls are
// [storage.ErrUnavailable].
func (s *Store) Close() error {
	if err := s.db.close(); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// at is a stored time.
func at(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// atOrZero is a stored time that may be missing.
func atOrZero(seconds sql.NullInt64) time.Time {
	if !seconds.Valid {
		return time.Time{}
	}
	return at(seconds.Int64)
}

// orNull stores the zero time as NULL.
func orNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.Unix(), Valid: !t.IsZero()}
}

// wrap names the operation that met err.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// change leaves a row for every server's cache, in the transaction of its cause.
func change(c *conn, kind storage.ChangeKind, ref string) error {
	_, err := c.exec(insertChange, string(kind), ref)
	return err
}
