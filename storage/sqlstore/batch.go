package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/handset-oidc/handset/storage"
)

const (
	// maxBatch bounds how many writes share one transaction.
	maxBatch = 64
	// lockWait is how long a write waits for its transaction, at most: behind
	// others, and while another process holds the database's write lock.
	lockWait = 5 * time.Second
)

// quality is what a write promises when it returns.
type quality bool

const (
	// fast survives the death of the process.
	fast quality = false
	// durable survives the death of the machine.
	durable quality = true
)

// job is one write that waits for its transaction.
type job struct {
	run      func(*conn) error
	quality  quality
	err      error
	panicked any
	done     chan struct{} // closed when err is final
}

func (j *job) finish(err error) {
	j.err = err
	close(j.done)
}

func (j *job) finished() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// call runs the job's own work. A panic is kept for the goroutine that asked.
func (j *job) call(c *conn) (err error) {
	defer func() {
		if j.panicked = recover(); j.panicked != nil {
			err = errors.New("panic in a write")
		}
	}()
	return j.run(c)
}

// queue holds the jobs that no transaction has taken yet, oldest first.
type queue struct {
	mu   sync.Mutex
	jobs []*job
}

func (q *queue) add(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, j)
}

// withdraw takes a job back. False: a transaction has it already.
func (q *queue) withdraw(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.jobs {
		if q.jobs[i] == j {
			q.jobs = append(q.jobs[:i], q.jobs[i+1:]...)
			return true
		}
	}
	return false
}

// wanted is the best quality that any waiting job asks for.
func (q *queue) wanted() quality {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range q.jobs {
		if j.quality == durable {
			return durable
		}
	}
	return fast
}

// take removes the jobs that a transaction of this quality can serve: the oldest,
// up to the first that asks for more.
func (q *queue) take(have quality) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.jobs) && n < maxBatch && (have == durable || q.jobs[n].quality == fast) {
		n++
	}
	batch := q.jobs[:n:n]
	q.jobs = q.jobs[n:]
	if len(q.jobs) == 0 {
		q.jobs = nil
	}
	return batch
}

// write runs one whole intention in a transaction. Writes that wait at the same
// time share one: whoever gets the writing connection runs all of them, each
// behind its own savepoint, and commits once, so that many logins cost one wait
// for the disk. Each caller gets its own result, and only after the commit.
//
// run may be executed by another goroutine, must not wait for anything, and must
// return every error of the database.
func (d *sqlite) write(ctx context.Context, q quality, run func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if d.readOnly {
		return errReadOnly
	}
	// From here on, not from when its turn comes: else a hundred writes that
	// stand before a locked database would wait one after the other.
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	j := &job{run: run, quality: q, done: make(chan struct{})}
	d.queue.add(j)
	select {
	case <-j.done:
	case c := <-d.writer:
		d.lead(ctx, c, j)
		d.writer <- c
	case <-d.closed:
		if d.queue.withdraw(j) {
			return errClosed
		}
	case <-ctx.Done():
		if d.queue.withdraw(j) {
			return unavailable(ctx.Err())
		}
	}
	<-j.done
	if j.panicked != nil {
		panic(j.panicked)
	}
	return classify(j.err)
}

// lead runs batches until own is finished.
func (d *sqlite) lead(ctx context.Context, c *conn, own *job) {
	for !own.finished() {
		have := d.queue.wanted()
		if err := begin(ctx, c, have); err != nil {
			// The others decide for themselves how long they wait.
			d.queue.withdraw(own)
			own.finish(err)
			return
		}
		runBatch(c, d.queue.take(have))
	}
}

// begin takes the write lock, which another process may hold. It tries until ctx ends.
func begin(ctx context.Context, c *conn, q quality) error {
	if err := c.setDurable(q == durable); err != nil {
		return err
	}
	for {
		_, err := c.exec(beginWrite)
		if err == nil || !isBusy(err) || ctx.Err() != nil {
			return err
		}
	}
}

// runBatch runs the jobs in the transaction that has begun, and ends it. A job
// that fails takes back its own writes only; a failed commit fails all.
func runBatch(c *conn, batch []*job) {
	results := make([]error, len(batch))
	kept := 0
	var broken error
	for i, j := range batch {
		results[i], broken = runOne(c, j, len(batch) > 1)
		if broken != nil {
			break
		}
		if results[i] == nil {
			kept++
		}
	}
	if broken == nil && kept > 0 {
		_, broken = c.exec(commit)
	}
	if broken != nil || kept == 0 {
		// The transaction may be gone already: SQLite ends it itself on some errors.
		_, _ = c.exec(rollback)
	}
	for i, j := range batch {
		if results[i] == nil && broken != nil {
			results[i] = fmt.Errorf("%w: %w", storage.ErrUnavailable, broken)
		}
		j.finish(results[i])
	}
}

// runOne runs a job, behind a savepoint when others share the transaction. broken
// says that the whole transaction can't be trusted any more.
func runOne(c *conn, j *job, shared bool) (result, broken error) {
	if !shared {
		return j.call(c), nil
	}
	if _, err := c.exec(savepoint); err != nil {
		return nil, err
	}
	result = j.call(c)
	if result != nil {
		if _, err := c.exec(rollbackToSavepoint); err != nil {
			return result, err
		}
	}
	if _, err := c.exec(releaseSavepoint); err != nil {
		return result, err
	}
	return result, nil
}
