package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// verifier is the client that has numbers verified.
const verifier = "bench-verifier"

// opened is a verification and its code.
type opened struct{ id, code string }

// errDone says that a phase has nothing left to do.
var errDone = errors.New("nothing is left")

// machineToken gives the worker a token for the verification API.
func (k *worker) machineToken() error {
	_, body, err := k.request(http.MethodPost, "/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {verifier}, "client_secret": {clientSecret},
		"audience": {k.w.base + "/verifications"}}, http.StatusOK)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, &k.tokens)
}

// startVerification has a number verified that was never seen before.
func (k *worker) startVerification() error {
	number := fmt.Sprintf("+447400%06d", nextNumber.Add(1))
	code := make(chan string, 1)
	k.w.codes.Store(number, code)
	defer k.w.codes.Delete(number)
	var started struct{ ID string }
	if err := k.json("/verifications", fmt.Sprintf(`{"phone_number":%q,"expires_in":600}`, number), http.StatusCreated, &started); err != nil {
		return err
	}
	select {
	case c := <-code:
		k.w.opened.add(opened{started.ID, c})
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("no text came")
	}
}

// answerVerification answers one that was started before.
func (k *worker) answerVerification() error {
	v, ok := k.w.opened.take()
	if !ok {
		return errDone
	}
	var answered struct{ Status string }
	err := k.json("/verifications/"+v.id+"/answers", fmt.Sprintf(`{"code":%q}`, v.code), http.StatusOK, &answered)
	if err == nil && answered.Status != "approved" {
		err = fmt.Errorf("the verification is %s", answered.Status)
	}
	return err
}

func (k *worker) json(path, body string, status int, into any) error {
	req, err := http.NewRequest(http.MethodPost, k.w.base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+k.tokens.Access)
	_, answer, err := k.do(req, status)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// stack holds the verifications that are open.
type stack struct {
	mu  sync.Mutex
	all []opened
}

func (s *stack) add(v opened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, v)
}

func (s *stack) take() (opened, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return opened{}, false
	}
	last := s.all[len(s.all)-1]
	s.all = s.all[:len(s.all)-1]
	return last, true
}

// held is what so many open verifications cost.
type held struct {
	redis, sql, memory float64 // bytes each
	took               time.Duration
	answered           error
}

// hold opens n verifications, all of them open at once, and measures what each of
// them needs. Then it answers the oldest: it is still good.
func (w *world) hold(ctx context.Context, n int) (held, error) {
	begin := time.Now()
	before, err := w.space()
	if err != nil {
		return held{}, err
	}
	w.opened.mu.Lock()
	w.opened.all = nil
	w.opened.mu.Unlock()
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	errs := make(chan error, 64)
	for range cap(errs) {
		k := newWorker(w)
		k.cookies = map[string]string{}
		if err := k.machineToken(); err != nil {
			return held{}, err
		}
		all.Go(func() {
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				if err := k.startVerification(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		return held{}, fmt.Errorf("hold %d verifications: %w", n, err)
	}
	if err := ctx.Err(); err != nil {
		return held{}, err
	}
	took := time.Since(begin)
	<-time.After(time.Second) // the records of texts are written together
	after, err := w.space()
	if err != nil {
		return held{}, err
	}
	oldest := newWorker(w)
	oldest.cookies = map[string]string{}
	w.opened.mu.Lock()
	w.opened.all = w.opened.all[:1]
	w.opened.mu.Unlock()
	if err := oldest.machineToken(); err != nil {
		return held{}, err
	}
	each := func(a, b float64) float64 { return (b - a) / float64(n) }
	return held{each(before.redis, after.redis), each(before.sql, after.sql), each(before.memory, after.memory),
		took, oldest.answerVerification()}, nil
}

// space is what the stores and the server take, in bytes.
type space struct{ redis, sql, memory float64 }

func (w *world) space() (s space, err error) {
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(w.dir + "/handset.db" + suffix)
		if err != nil {
			return s, err
		}
		s.sql += float64(info.Size())
	}
	s.memory = w.server.memory("VmRSS") * (1 << 20)
	s.redis, err = w.redisMemory()
	return s, err
}

// redisMemory is what Redis has allocated.
func (w *world) redisMemory() (float64, error) {
	c, err := net.Dial("unix", w.dir+"/redis.sock")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write([]byte("INFO memory\r\n")); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "used_memory:"); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, errors.Join(errors.New("redis does not say what it uses"), lines.Err())
}
