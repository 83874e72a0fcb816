package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
)

// result is one row.
type result struct {
	phase
	perSecond     float64
	server, redis float64 // R per operation
	p50, p99      time.Duration
	errors        int
	firstError    error
}

func (r result) String() string {
	want := "-"
	if r.budget.want > 0 {
		want = fmt.Sprintf("%.2f", r.budget.want)
		if r.server+r.redis > r.budget.worse {
			want += " !"
		}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%-38s %9.0f %8.3f %8.3f %8.3f %8s %9.1f %9.1f %7d",
		r.name, r.perSecond, r.server, r.redis, r.server+r.redis, want, ms(r.p50), ms(r.p99), r.errors)
}

// measure runs one phase.
func (w *world) measure(ctx context.Context, p phase, length time.Duration) (result, error) {
	before, err := signature()
	if err != nil {
		return result{}, err
	}
	workers := make([]*worker, p.workers)
	for i := range workers {
		workers[i] = newWorker(w)
		if err := p.prepare(workers[i]); err != nil {
			return result{}, fmt.Errorf("%s: prepare: %w", p.name, err)
		}
	}
	server, redis, begin := w.server.cpu(), w.redis.cpu(), time.Now()
	deadline := begin.Add(length)
	var all sync.WaitGroup
	for _, wk := range workers {
		all.Go(func() {
			for time.Now().Before(deadline) && ctx.Err() == nil && !wk.done {
				wk.once(p.op)
			}
		})
	}
	all.Wait()
	took := time.Since(begin).Seconds()
	server, redis = w.server.cpu()-server, w.redis.cpu()-redis
	after, err := signature()
	if err != nil {
		return result{}, err
	}
	w.lastR = (before + after) / 2
	return summary(p, workers, took, server/w.lastR, redis/w.lastR), ctx.Err()
}

func summary(p phase, workers []*worker, took, server, redis float64) result {
	r := result{phase: p}
	var latencies []time.Duration
	for _, wk := range workers {
		latencies = append(latencies, wk.latencies...)
		r.errors += wk.errors
		if r.firstError == nil {
			r.firstError = wk.firstError
		}
	}
	slices.Sort(latencies)
	n := len(latencies)
	if n == 0 {
		return r
	}
	r.perSecond = float64(n) / took
	r.server, r.redis = server/float64(n), redis/float64(n)
	r.p50, r.p99 = latencies[n/2], latencies[n*99/100]
	return r
}

var benchKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// signature is R: the CPU seconds of one RSA-2048 signature now.
func signature() (float64, error) {
	key, err := benchKey()
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte("handset"))
	const times = 200
	before := ownCPU()
	for range times {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			return 0, err
		}
	}
	return (ownCPU() - before) / times, nil
}

// ownCPU is this process's user and system time, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
