package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// world is a server process, its Redis, and the gateway that gets its texts.
type world struct {
	dir     string
	base    string
	admin   string
	server  process
	redis   process
	started time.Duration
	codes   sync.Map // number -> chan string
	opened  stack
	gateway *http.Server
	client  *http.Client
	lastR   float64
}

const (
	clientID     = "bench"
	es256Client  = "bench-es256"
	audience     = "urn:bench"
	clientSecret = "bench-client-secret"
	callback     = "http://127.0.0.1:1/cb"
	testNumber   = "+15005550006"
	testCode     = "424242"
)

// serverConfig is what the budget is for: a real Redis, SQLite on disk, real
// pages, the text handed to a gateway. The limits per address are off, since
// all load comes from one.
const serverConfig = `
issuer: %[1]s/
listen: "%[2]s"
admin_listen: "%[3]s"
database: sqlite:%[4]s/handset.db
redis: unix://%[4]s/redis.sock
secret_key_file: %[4]s/handset.key
countries: [GB]
allow_private_gateways: true
limits: {send_address: "off", verify_address: "off", pending_address: "off", send_client: "off", send_client_day: "off"}
test_numbers: [{number: "+15005550006", code: "424242"}]
connections:
  - {name: sms, strategy: sms, options: {provider: sms_gateway, gateway_url: "http://%[5]s/send"}}
clients:
  - client_id: bench
    name: Bench
    client_secret: bench-client-secret
    callbacks: ["http://127.0.0.1:1/cb"]
    require_pkce: true
  - client_id: bench-es256
    name: Bench
    client_secret: bench-client-secret
    callbacks: ["http://127.0.0.1:1/cb"]
    require_pkce: true
    id_token_signed_response_alg: ES256
  - client_id: bench-verifier
    name: Bench
    app_type: non_interactive
    client_secret: bench-client-secret
client_grants:
  - {client_id: bench-verifier, audience: "%[1]s/verifications", scope: ["verify:phone"]}
resource_servers:
  - {identifier: "urn:bench", users: any}
`

func startWorld(ctx context.Context) (_ *world, err error) {
	dir, err := os.MkdirTemp("", "handset-bench")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir}
	defer func() {
		if err != nil {
			w.stop()
		}
	}()
	w.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 128},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
	if err := w.startRedis(ctx); err != nil {
		return nil, err
	}
	gateway, err := w.startGateway()
	if err != nil {
		return nil, err
	}
	return w, w.startServer(ctx, gateway)
}

func (w *world) startRedis(ctx context.Context) error {
	w.redis.cmd = exec.CommandContext(ctx, "redis-server", "--port", "0", "--unixsocket", w.dir+"/redis.sock", "--save", "", "--appendonly", "no")
	if err := w.redis.cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server (apt-get install redis-server): %w", err)
	}
	return waitFor(ctx, "redis", func() error {
		c, err := net.Dial("unix", w.dir+"/redis.sock")
		if err == nil {
			c.Close()
		}
		return err
	})
}

var codePattern = regexp.MustCompile(`\b\d{6,8}\b`)

// startGateway takes texts and hands their codes to the workers.
func (w *world) startGateway() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	w.gateway = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var text struct{ Recipient, Body string }
		if json.NewDecoder(r.Body).Decode(&text) == nil {
			if ch, ok := w.codes.Load(text.Recipient); ok {
				ch.(chan string) <- codePattern.FindString(text.Body)
			}
		}
	})}
	go w.gateway.Serve(l)
	return l.Addr().String(), nil
}

func (w *world) startServer(ctx context.Context, gateway string) error {
	binary := filepath.Join(w.dir, "handset")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/handset")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the server: %w", err)
	}
	listen, admin := freeAddress(), freeAddress()
	w.base, w.admin = "http://"+listen, "http://"+admin
	key := make([]byte, 32)
	rand.Read(key)
	files := map[string]string{
		"handset.key":  hex.EncodeToString(key) + "\n",
		"handset.yaml": fmt.Sprintf(serverConfig, w.base, listen, admin, w.dir, gateway),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	// The first start makes the database and the key; the second is the one to time.
	for range 2 {
		if err := w.server.end(); err != nil {
			return err
		}
		w.server.cmd = exec.CommandContext(ctx, binary, "serve", "--config", w.dir+"/handset.yaml")
		log, err := os.Create(filepath.Join(w.dir, "handset.log"))
		if err != nil {
			return err
		}
		w.server.cmd.Stderr = log
		begin := time.Now()
		if err := w.server.cmd.Start(); err != nil {
			return err
		}
		err = waitFor(ctx, "server", func() error {
			res, err := w.client.Get(w.base + "/.well-known/openid-configuration")
			if err == nil {
				res.Body.Close()
			}
			return err
		})
		if err != nil {
			return err
		}
		w.started = time.Since(begin)
	}
	return nil
}

func (w *world) stop() {
	errs := []error{w.server.end(), w.redis.end()}
	if w.gateway != nil {
		errs = append(errs, w.gateway.Close())
	}
	if err := errors.Join(append(errs, os.RemoveAll(w.dir))...); err != nil {
		fmt.Fprintln(os.Stderr, "bench: clean up:", err)
	}
}

// profile takes a CPU profile of the server from its admin listener.
func (w *world) profile(ctx context.Context, file string, length time.Duration) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", w.admin, int(length.Seconds())), nil)
	if err != nil {
		return
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: profile:", err)
		return
	}
	defer res.Body.Close()
	out, err := os.Create(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: profile:", err)
		return
	}
	defer out.Close()
	if _, err := io.Copy(out, res.Body); err != nil {
		fmt.Fprintln(os.Stderr, "bench: profile:", err)
	}
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // no loopback: nothing can be measured
	}
	defer l.Close()
	return l.Addr().String()
}

// waitFor asks every 2 ms until ok answers nil, for at most 30 s.
func waitFor(ctx context.Context, what string, ok func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not come up: %w", what, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
