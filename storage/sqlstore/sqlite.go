package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/sqlite/*.sql
var migrationFiles embed.FS

// sqlite is one SQLite database: one connection that writes, and a few that read
// beside it (WAL). A pool is a channel of free connections. In memory there is one
// connection for all, for the database is gone with it.
type sqlite struct {
	writer  chan *conn
	readers chan *conn
	pools   []*sql.DB
	queue   queue
	closed  chan struct{}
	once    sync.Once
}

// where is a parsed database URL.
type where struct {
	file string // empty: in memory
}

// parseURL reads "sqlite:FILE" and "sqlite::memory:".
func parseURL(text string) (where, error) {
	const supported = `supported today: "sqlite:FILE" and "sqlite::memory:"`
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || scheme != "sqlite" {
		if !ok {
			scheme = ""
		}
		return where{}, fmt.Errorf("database URL: unknown scheme %q; %s", scheme, supported)
	}
	if rest == ":memory:" {
		return where{}, nil
	}
	rest = strings.TrimPrefix(rest, "//")
	if rest == "" || strings.ContainsAny(rest, "?#\x00") {
		return where{}, fmt.Errorf("database URL: no plain file name after sqlite:; %s", supported)
	}
	return where{file: rest}, nil
}

// dsn names the database and the pragmas of each connection.
func (w where) dsn(pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_dqs": {"0"}, "_pragma": pragmas}
	if w.file == "" {
		return "file::memory:?" + q.Encode()
	}
	return "file:" + (&url.URL{Path: w.file}).EscapedPath() + "?" + q.Encode()
}

// The write lock is asked for again and again (begin), so that a caller's deadline
// counts; one statement waits only this long.
var writerPragmas = []string{
	"busy_timeout(250)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
	"temp_store(MEMORY)", "cache_size(-8000)", "wal_autocheckpoint(2000)",
}

var readerPragmas = []string{"busy_timeout(5000)", "query_only(ON)", "temp_store(MEMORY)"}

// openSQLite opens the database. Servers that start together on a new file get in
// each other's way while it is made; the slower ones try again.
func openSQLite(ctx context.Context, w where) (*sqlite, error) {
	statements, err := loadStatements(queryFiles, "queries")
	if err != nil {
		return nil, err
	}
	if w.file != "" {
		if err := createPrivate(w.file); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		d := &sqlite{writer: make(chan *conn, 1), closed: make(chan struct{})}
		err := d.open(ctx, w, statements)
		if err == nil {
			return d, nil
		}
		for _, p := range d.pools {
			_ = p.Close()
		}
		if !isBusy(err) || ctx.Err() != nil {
			return nil, fmt.Errorf("open database: %w", classify(err))
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// pause waits, or returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (d *sqlite) open(ctx context.Context, w where, statements *texts) error {
	pool, err := d.pool(w.dsn(writerPragmas...))
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1)
	if err := migrate(ctx, pool); err != nil {
		return err
	}
	if err := fill(ctx, d.writer, pool, 1, statements); err != nil {
		return err
	}
	if w.file == "" {
		d.readers = d.writer
		return nil
	}
	n := min(max(runtime.GOMAXPROCS(0), 2), 8)
	d.readers = make(chan *conn, n)
	if pool, err = d.pool(w.dsn(readerPragmas...)); err != nil {
		return err
	}
	return fill(ctx, d.readers, pool, n, statements)
}

// createPrivate makes the file unreadable for other accounts; SQLite gives the
// files beside it the same mode.
func createPrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return f.Close()
}

func (d *sqlite) pool(dsn string) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	d.pools = append(d.pools, pool)
	return pool, nil
}

func fill(ctx context.Context, free chan *conn, pool *sql.DB, n int, statements *texts) error {
	for range n {
		c, err := pool.Conn(ctx)
		if err != nil {
			return err
		}
		free <- &conn{sql: c, texts: statements, durable: true}
	}
	return nil
}

// migrate brings the schema up to date, each migration in its transaction.
func migrate(ctx context.Context, pool *sql.DB) error {
	files, err := fs.Sub(migrationFiles, "migrations/sqlite")
	if err != nil {
		return err
	}
	up := func() error {
		p, err := goose.NewProvider(goose.DialectSQLite3, pool, files, goose.WithDisableGlobalRegistry(true))
		if err != nil {
			return err
		}
		_, err = p.Up(ctx)
		return err
	}
	// Of two processes that migrate at once, the slower one fails on what exists
	// already, and finds the work done when it looks again.
	if up() == nil {
		return nil
	}
	if err := up(); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// read runs queries on a free connection, outside a transaction.
func (d *sqlite) read(ctx context.Context, run func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	select {
	case <-d.closed:
		return errClosed
	default:
	}
	select {
	case c := <-d.readers:
		defer func() { d.readers <- c }()
		return classify(run(c))
	case <-d.closed:
		return errClosed
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// close waits for what is under way. The writer goes last: SQLite folds its log
// into the file when the last connection closes.
func (d *sqlite) close() error {
	var errs []error
	d.once.Do(func() {
		close(d.closed)
		if d.readers != d.writer {
			for range cap(d.readers) {
				errs = append(errs, (<-d.readers).close())
			}
		}
		errs = append(errs, (<-d.writer).close())
		for i := range d.pools {
			errs = append(errs, d.pools[len(d.pools)-1-i].Close())
		}
	})
	return errors.Join(errs...)
}
