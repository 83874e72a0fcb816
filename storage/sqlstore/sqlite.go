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
	codes "modernc.org/sqlite/lib"
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
	// readOnly refuses every write.
	readOnly bool
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

// opening is how a database is opened; tests have migrations of their own.
type opening struct {
	migrations fs.FS
	// lockWait bounds each wait for a lock that another process holds. What is done
	// with the lock takes as long as it takes: a migration of a large table must not
	// begin anew at every start.
	lockWait time.Duration
}

// usual is the way that a server opens.
func usual() (opening, error) {
	files, err := fs.Sub(migrationFiles, "migrations/sqlite")
	return opening{migrations: files, lockWait: lockWait}, err
}

// patiently tries again while another process holds the lock. Servers that start
// together on a new file get in each other's way while it is made.
func (o opening) patiently(ctx context.Context, do func() error) error {
	err := do()
	if !isBusy(err) {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, o.lockWait) // from the first refusal on
	defer cancel()
	for isBusy(err) && waiting.Err() == nil {
		pause(waiting, 20*time.Millisecond)
		err = do()
	}
	return err
}

// openSQLite opens the database and brings its schema up to date.
func openSQLite(ctx context.Context, w where, o opening) (*sqlite, error) {
	statements, err := loadStatements(queryFiles, "queries")
	if err != nil {
		return nil, err
	}
	if w.file != "" {
		if err := createPrivate(w.file); err != nil {
			return nil, err
		}
	}
	d := &sqlite{writer: make(chan *conn, 1), closed: make(chan struct{})}
	if err := d.open(ctx, w, o, statements); err != nil {
		d.discard()
		return nil, fmt.Errorf("open database: %w", classify(err))
	}
	return d, nil
}

// discard closes what was opened of a database that can't be used.
func (d *sqlite) discard() {
	for _, p := range d.pools {
		_ = p.Close()
	}
}

// openToRead opens a database that is there, and writes nothing: neither a
// migration nor the files that SQLite keeps beside it. It returns how many
// migrations are still to run.
func openToRead(ctx context.Context, w where, o opening) (d *sqlite, pending int, err error) {
	statements, err := loadStatements(queryFiles, "queries")
	if err != nil {
		return nil, 0, err
	}
	d = &sqlite{writer: make(chan *conn, 1), closed: make(chan struct{}), readOnly: true}
	d.readers = d.writer // as in memory: there is one connection for all
	defer func() {
		if err != nil {
			d.discard()
			d, err = nil, fmt.Errorf("open database: %w", classify(err))
		}
	}()
	dsn := w.dsn(readerPragmas...) + "&mode=ro"
	if _, err := os.Stat(w.file + "-wal"); errors.Is(err, fs.ErrNotExist) {
		// Nobody has it open. Else SQLite would make that file, and leave it, perhaps
		// as another user than the server's.
		dsn += "&immutable=1"
	}
	pool, err := d.pool(dsn)
	if err != nil {
		return d, 0, err
	}
	pool.SetMaxOpenConns(1)
	if pending, err = o.pending(ctx, pool); err != nil {
		return d, 0, err
	}
	return d, pending, o.fill(ctx, d.readers, pool, 1, statements)
}

// pending returns how many migrations the database lacks.
func (o opening) pending(ctx context.Context, pool *sql.DB) (int, error) {
	p, err := o.provider(pool)
	if err != nil {
		return 0, err
	}
	all, err := p.Status(ctx)
	if code(err)&0xff == codes.SQLITE_READONLY {
		return len(p.ListSources()), nil // the table of versions could not be made: there is none
	}
	n := 0
	for _, m := range all {
		if m.State == goose.StatePending {
			n++
		}
	}
	return n, err
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

func (d *sqlite) open(ctx context.Context, w where, o opening, statements *texts) error {
	pool, err := d.pool(w.dsn(writerPragmas...))
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1)
	if err := o.patiently(ctx, func() error { return pool.PingContext(ctx) }); err != nil {
		return err
	}
	if err := o.migrate(ctx, pool); err != nil {
		return err
	}
	if err := o.fill(ctx, d.writer, pool, 1, statements); err != nil {
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
	return o.fill(ctx, d.readers, pool, n, statements)
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

func (o opening) fill(ctx context.Context, free chan *conn, pool *sql.DB, n int, statements *texts) error {
	for range n {
		var c *sql.Conn
		err := o.patiently(ctx, func() (err error) {
			c, err = pool.Conn(ctx)
			return err
		})
		if err != nil {
			return err
		}
		free <- &conn{sql: c, texts: statements, durable: true}
	}
	return nil
}

// migrate brings the schema up to date, each migration in its transaction. Of two
// processes that migrate at once, the slower one fails on what exists already, and
// finds that work done when it looks again.
func (o opening) migrate(ctx context.Context, pool *sql.DB) error {
	var failed error
	for before := int64(-1); ; {
		version, newest, err := o.versions(ctx, pool)
		switch {
		case err != nil:
			return fmt.Errorf("migrate: %w", err)
		case version >= newest:
			return nil
		case version == before:
			return fmt.Errorf("migrate: %w", failed)
		}
		before = version
		failed = o.patiently(ctx, func() error {
			p, err := o.provider(pool)
			if err != nil {
				return err
			}
			_, err = p.UpByOne(ctx)
			return err
		})
	}
}

// versions returns the schema's version and that of the last migration. Looking
// makes the table of versions, where another process may have been first.
func (o opening) versions(ctx context.Context, pool *sql.DB) (version, newest int64, err error) {
	for range 2 {
		err = o.patiently(ctx, func() error {
			p, err := o.provider(pool)
			if err != nil {
				return err
			}
			version, newest, err = p.GetVersions(ctx)
			return err
		})
		if err == nil {
			break
		}
	}
	return version, newest, err
}

// provider is new for each use: one that failed once does not look again.
func (o opening) provider(pool *sql.DB) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectSQLite3, pool, o.migrations, goose.WithDisableGlobalRegistry(true))
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
