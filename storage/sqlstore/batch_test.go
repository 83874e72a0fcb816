package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/storage"
)

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs)
}

// together makes the writes share one transaction: it holds the writing connection
// until all of them wait. It returns their results, and panics as errors.
func together(t *testing.T, s *Store, q quality, jobs ...func(*conn) error) []error {
	t.Helper()
	c := <-s.db.writer
	results := make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, run := range jobs {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					results[i] = fmt.Errorf("panic: %v", p)
				}
			}()
			results[i] = s.db.write(t.Context(), q, run)
		})
		waitFor(t, "the write to wait", func() bool { return s.db.queue.length() == i+1 })
	}
	s.db.writer <- c
	wg.Wait()
	return results
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// leave is a write that leaves a change row.
func leave(ref string) func(*conn) error {
	return func(c *conn) error { return change(c, "test", ref) }
}

// refs returns what is committed, as readers see it.
func refs(t *testing.T, s *Store) string {
	t.Helper()
	changes, err := s.Changes(t.Context(), 0)
	if err != nil {
		t.Error(err)
	}
	var all []string
	for _, c := range changes {
		all = append(all, c.Ref)
	}
	return strings.Join(all, " ")
}

func TestWaitingWritesShareOneTransaction(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	var jobs []func(*conn) error
	for i := range 10 {
		jobs = append(jobs, func(c *conn) error {
			if seen := refs(t, s); seen != "" {
				t.Errorf("write %d: readers see %q before the commit", i, seen)
			}
			return change(c, "test", fmt.Sprint(i))
		})
	}
	for i, err := range together(t, s, durable, jobs...) {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if got, want := refs(t, s), "0 1 2 3 4 5 6 7 8 9"; got != want {
		t.Errorf("committed %q, want %q", got, want)
	}
}

func TestAFailingWriteDoesNotHurtTheOthers(t *testing.T) {
	t.Parallel()
	refusal := errors.New("no")
	fails := func(c *conn) error {
		if err := change(c, "test", "half"); err != nil {
			return err
		}
		return refusal
	}
	breaks := func(c *conn) error {
		if err := change(c, "test", "half"); err != nil {
			return err
		}
		return change(c, "", "a change needs a kind")
	}
	panics := func(c *conn) error {
		_ = change(c, "test", "half")
		panic("boom")
	}
	for _, url := range []string{"sqlite::memory:", "sqlite:" + filepath.Join(t.TempDir(), "handset.db")} {
		s := open(t, url)
		got := together(t, s, durable, leave("a"), fails, leave("b"), breaks, panics, leave("c"))
		for _, i := range []int{0, 2, 5} {
			if got[i] != nil {
				t.Errorf("%s: a good write failed: %v", url, got[i])
			}
		}
		if !errors.Is(got[1], refusal) || code(got[3]) == 0 || got[4] == nil || got[4].Error() != "panic: boom" {
			t.Errorf("%s: results = %v", url, got)
		}
		if got := refs(t, s); got != "a b c" {
			t.Errorf("%s: committed %q, want a b c", url, got)
		}
		// Alone, too.
		for i, run := range []func(*conn) error{fails, breaks} {
			if err := s.db.write(t.Context(), fast, run); err == nil {
				t.Errorf("%s: lone failing write %d succeeded", url, i)
			}
		}
		if got := refs(t, s); got != "a b c" {
			t.Errorf("%s: committed %q, want a b c", url, got)
		}
	}
}

func TestAFailedCommitReachesAll(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	spoil := func(c *conn) error {
		// A foreign key that is checked at the commit only.
		if _, err := c.sql.ExecContext(t.Context(), "PRAGMA defer_foreign_keys = ON"); err != nil {
			return err
		}
		_, err := c.exec(insertFamily, "f", "no such grant", 1, nil, 1, 2, 3)
		return err
	}
	for i, err := range together(t, s, durable, leave("a"), spoil, leave("b")) {
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("write %d = %v, want ErrUnavailable", i, err)
		}
	}
	if got := refs(t, s); got != "" {
		t.Errorf("committed %q, want nothing", got)
	}
	if err := s.db.write(t.Context(), durable, spoil); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("lone write = %v, want ErrUnavailable", err)
	}
	if err := s.db.write(t.Context(), durable, leave("later")); err != nil {
		t.Errorf("the next write: %v", err)
	}
}

// SQLite ends a transaction itself on some errors (disk full, I/O). Whatever was
// acknowledged must have been committed.
func TestATransactionThatVanishesReachesAll(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	vanish := func(c *conn) error {
		_, err := c.exec(rollback)
		return err
	}
	vanishAndFail := func(c *conn) error { return errors.Join(vanish(c), errors.New("disk full")) }
	for _, end := range []func(*conn) error{vanish, vanishAndFail} {
		got := together(t, s, durable, leave("a"), end, leave("b"))
		for _, i := range []int{0, 2} {
			if !errors.Is(got[i], storage.ErrUnavailable) {
				t.Errorf("write %d = %v, want ErrUnavailable", i, got[i])
			}
		}
		if got[1] == nil {
			t.Error("the write that lost the transaction succeeded")
		}
	}
	if err := s.db.write(t.Context(), fast, vanish); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("lone write = %v, want ErrUnavailable", err)
	}
	if got := refs(t, s); got != "" {
		t.Errorf("committed %q, want nothing", got)
	}
	if err := s.db.write(t.Context(), durable, leave("later")); err != nil {
		t.Errorf("the next write: %v", err)
	}
}

func TestDurableWritesWaitForTheDisk(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	level := func(got *int) func(*conn) error {
		return func(c *conn) error {
			return c.sql.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(got)
		}
	}
	const normal, full = 1, 2
	for _, q := range []struct {
		quality quality
		want    int
	}{{fast, normal}, {durable, full}, {fast, normal}, {durable, full}} {
		var got int
		if err := s.db.write(t.Context(), q.quality, level(&got)); err != nil {
			t.Fatal(err)
		}
		if got != q.want {
			t.Errorf("quality %v commits with synchronous = %d, want %d", q.quality, got, q.want)
		}
	}
}

func TestBatchServesNobodyLessThanAsked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		waiting string // f and d, the oldest first
		have    quality
		taken   int
	}{
		{"", fast, 0}, {"ff", fast, 2}, {"ffdf", fast, 2}, {"d", fast, 0},
		{"ffdf", durable, 4}, {strings.Repeat("f", 100), durable, maxBatch},
	}
	for _, tt := range tests {
		var q queue
		for _, r := range tt.waiting {
			q.add(&job{quality: quality(r == 'd')})
		}
		if got, want := q.wanted() == durable, strings.Contains(tt.waiting, "d"); got != want {
			t.Errorf("%q wants durable: %v", tt.waiting, got)
		}
		if got := len(q.take(tt.have)); got != tt.taken || q.length() != len(tt.waiting)-tt.taken {
			t.Errorf("%q: took %d, left %d; want %d taken", tt.waiting, got, q.length(), tt.taken)
		}
	}
}

func TestAWriteThatIsGivenUpNeverHappens(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	c := <-s.db.writer
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- s.db.write(ctx, durable, leave("given up")) }()
	waitFor(t, "the write to wait", func() bool { return s.db.queue.length() == 1 })
	cancel()
	if err := <-result; !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want ErrUnavailable by Canceled", err)
	}
	s.db.writer <- c
	if err := s.db.write(t.Context(), durable, leave("later")); err != nil {
		t.Fatal(err)
	}
	if got := refs(t, s); got != "later" {
		t.Errorf("committed %q, want later", got)
	}
}

func TestALockedDatabaseIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "handset.db")
	s := open(t, "sqlite:"+file)
	other, err := sql.Open("sqlite", where{file: file}.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil) // takes the write lock, as another process would
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.db.write(ctx, durable, leave("locked out")); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("write while locked = %v, want ErrUnavailable", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("read while locked: %v", err)
	}
	patient := make(chan error)
	go func() { patient <- s.db.write(t.Context(), durable, leave("patient")) }()
	waitFor(t, "the write to wait for the lock", func() bool { return s.db.queue.length() == 1 })
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-patient; err != nil {
		t.Errorf("write after the lock was freed: %v", err)
	}
	if got := refs(t, s); got != "patient" {
		t.Errorf("committed %q, want patient", got)
	}
}
