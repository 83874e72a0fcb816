package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// rig is a whole running Handset with a gateway that records texts and a
// relying party's callback address that answers.
type rig struct {
	t       testing.TB
	issuer  string
	base    string // the issuer without a slash at its end
	clock   *clock
	gateway *gateway
	logs    *safeBuffer
	server  *server.Server
	config  *config.Config
	admin   string // base address of the admin listener
	// callback is registered for every client of the rig.
	callback string
	// http speaks to the rig; it follows redirects and keeps no cookies.
	http *http.Client

	// lost says that the test took the database away: what is still to be written
	// when the server stops can't be.
	lost bool

	stop context.CancelFunc
	done chan error
}

// The clients of every rig.
const (
	webClient    = "web"    // client_secret_post, requires nothing
	basicClient  = "basic"  // client_secret_basic
	publicClient = "public" // spa, PKCE
	nativeClient = "native"
	strictClient = "strict" // requires PKCE, state and nonce
	machine      = "machine"
	secret       = "a-secret-that-no-log-may-show-1"
)

// options changes a rig before it starts.
type options struct {
	config   func(c *config.Config)
	issuer   func(address string) string
	redis    string
	database string
	key      string
	waits    server.Waits
	clock    *clock
	// wrap goes around the public listener: TLS.
	wrap func(net.Listener) net.Listener
}

type option func(*options)

func withConfig(change func(*config.Config)) option {
	return func(o *options) {
		before := o.config
		o.config = func(c *config.Config) {
			if before != nil {
				before(c)
			}
			change(c)
		}
	}
}

func withClock(c *clock) option       { return func(o *options) { o.clock = c } }
func withRedis(url string) option     { return func(o *options) { o.redis = url } }
func withDatabase(file string) option { return func(o *options) { o.database = "sqlite:" + file } }
func withKey(line string) option      { return func(o *options) { o.key = line } }

// patience is how long a test waits for what must come: far more than a busy
// machine takes, less than a test run.
const patience = 2 * time.Minute

// withWaits is for tests of what happens when a wait is over; all others wait
// longer than it can take, since the machine may be busy.
func withWaits(change func(*server.Waits)) option { return func(o *options) { change(&o.waits) } }

// goesOnUnsent lets the number page go on as sent while its text is under way.
func goesOnUnsent() option { return withWaits(func(w *server.Waits) { w.Text = time.Second }) }

// withoutAddressLimits is for tests that log in more often than one address may.
func withoutAddressLimits() option {
	return withoutLimits("send_address", "verify_address", "pending_address")
}

// withClient registers one more client, which change completes.
func withClient(id string, change func(*config.Client)) option {
	return withConfig(func(c *config.Config) {
		first := c.Clients[0] // for the callbacks
		cl := config.Client{ClientID: id, Name: "The " + id + " app", IsFirstParty: true,
			Callbacks: first.Callbacks, AllowedLogoutURLs: first.AllowedLogoutURLs}
		change(&cl)
		cl.SetDefaults()
		c.Clients = append(c.Clients, cl)
	})
}

// withPath puts the issuer below a path.
func withPath(path string) option {
	return func(o *options) {
		o.issuer = func(address string) string { return "http://" + address + path }
	}
}

// start runs a server until the test ends.
func start(t testing.TB, opts ...option) *rig {
	t.Helper()
	o := options{
		redis: "embedded", database: "sqlite::memory:", key: vault.Generate(),
		issuer: func(address string) string { return "http://" + address + "/" },
		clock:  newClock(),
		waits:  server.Waits{Redis: patience / 4, Text: patience, HTTP: patience},
	}
	for _, opt := range opts {
		opt(&o)
	}
	r := &rig{t: t, clock: o.clock, gateway: newGateway(t), logs: &safeBuffer{}, http: http.DefaultClient}
	rp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "callback %s %s", req.Method, body)
	}))
	t.Cleanup(rp.Close)
	r.callback = rp.URL + "/cb"

	public := listen(t)
	address := public.Addr().String()
	if o.wrap != nil {
		public = o.wrap(public)
	}
	admin := listen(t)
	r.issuer = o.issuer(address)
	r.base = strings.TrimRight(r.issuer, "/")
	r.admin = "http://" + admin.Addr().String()
	r.config = r.configure(o)
	v, err := vault.Parse(o.key)
	if err != nil {
		t.Fatal(err)
	}
	problems, _ := r.config.Validate()
	if problems = append(problems, r.config.ValidateServe()...); len(problems) > 0 {
		t.Fatalf("the rig's configuration: %v", problems)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop, r.done = stop, make(chan error, 1)
	r.server, err = server.New(ctx, server.Config{
		Config: r.config, Vault: v, Now: r.clock.Now, Console: io.Discard, Waits: o.waits,
		Logger: slog.New(slog.NewJSONHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	go func() { r.done <- r.server.Serve(ctx, public, admin) }()
	t.Cleanup(r.shutdown)
	return r
}

// in is the same rig for a subtest, whose failures are its own.
func (r *rig) in(t testing.TB) *rig {
	c := *r
	c.t = t
	return &c
}

// shutdown stops the server and waits for it. It may be called twice.
func (r *rig) shutdown() {
	r.stop()
	err, running := <-r.done
	if !running {
		return
	}
	close(r.done)
	if err != nil && !(r.lost && errors.Is(err, storage.ErrUnavailable)) {
		r.t.Errorf("serve: %v", err)
	}
	if err := r.server.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (r *rig) configure(o options) *config.Config {
	c := config.Default()
	c.Issuer = r.issuer
	c.Redis, c.Database = config.NewAddress(o.redis), config.NewAddress(o.database)
	c.Countries = []string{"GB", "JP", "US"}
	c.AllowPrivateGateways, c.AllowPrivateCallbacks = true, true
	c.Connections = []config.Connection{{Name: "sms", Strategy: "sms", Options: r.gateway.options(nil)}}
	client := func(id string, change func(*config.Client)) {
		cl := config.Client{ClientID: id, Name: "The " + id + " app", IsFirstParty: true,
			Callbacks: []string{r.callback}, AllowedLogoutURLs: []string{r.callback + "/bye"}}
		change(&cl)
		cl.SetDefaults()
		c.Clients = append(c.Clients, cl)
	}
	withSecret := func(method string) func(*config.Client) {
		return func(cl *config.Client) {
			cl.ClientSecret, cl.TokenEndpointAuthMethod = config.NewSecret(secret), method
		}
	}
	client(webClient, withSecret("client_secret_post"))
	client(basicClient, withSecret("client_secret_basic"))
	client(strictClient, func(cl *config.Client) {
		withSecret("client_secret_post")(cl)
		cl.RequirePKCE, cl.RequireState, cl.RequireNonce = true, true, true
	})
	client(publicClient, func(cl *config.Client) { cl.AppType, cl.RequirePKCE = "spa", true })
	client(nativeClient, func(cl *config.Client) {
		cl.AppType, cl.RequirePKCE = "native", true
		cl.Callbacks = []string{"http://127.0.0.1/cb", "com.example.app:/cb", r.callback}
	})
	client(machine, func(cl *config.Client) {
		withSecret("client_secret_basic")(cl)
		cl.AppType, cl.Callbacks, cl.AllowedLogoutURLs = "non_interactive", nil, nil
	})
	if o.config != nil {
		o.config(c)
	}
	return c
}

// clock is a clock that only tests move, so that no limit, cooldown or lifetime
// depends on how busy the machine is.
type clock struct {
	begun time.Time
	ahead atomic.Int64
	runs  bool
}

// newClock returns one that stands near the real time, always within a second and
// never at its turn.
func newClock() *clock {
	return &clock{begun: time.Now().Truncate(time.Second).Add(time.Second / 2)}
}

// onRealTime is for what looks at its own clock, too: relying parties of others.
func onRealTime() option { return withClock(&clock{runs: true}) }

func (c *clock) Now() time.Time {
	if c.runs {
		return time.Now()
	}
	return c.begun.Add(time.Duration(c.ahead.Load()))
}

func (c *clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// safeBuffer takes logs from many goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// text is a message as the gateway got it.
type text struct {
	Recipient string `json:"recipient"`
	Body      string `json:"body"`
	Sender    string `json:"sender"`
	Req       *struct {
		IP        string `json:"ip"`
		UserAgent string `json:"user-agent"`
	} `json:"req"`
	Authorization string `json:"-"`
}

// gateway is an operator's own SMS gateway: it records texts, and fails when told to.
type gateway struct {
	t   testing.TB
	url string

	mu     sync.Mutex
	texts  []text
	more   chan struct{}
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newGateway(t testing.TB) *gateway {
	g := &gateway{t: t, more: make(chan struct{})}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	g.url = s.URL + "/send"
	return g
}

func (g *gateway) options(more map[string]any) config.Options {
	o := map[string]any{"provider": "sms_gateway", "gateway_url": g.url, "from": "+12345678", "forward_req_info": "true"}
	for k, v := range more {
		o[k] = v
	}
	text, err := json.Marshal(o)
	if err != nil {
		g.t.Fatal(err)
	}
	return config.NewOptions(string(text))
}

// answers makes the gateway answer by f, which reports whether the text counts
// as taken; nil is 200 for all.
func (g *gateway) answers(f func(w http.ResponseWriter, r *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = f
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	answer := g.answer
	g.mu.Unlock()
	var m text
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		g.t.Errorf("gateway: body is not JSON: %v", err)
	}
	m.Authorization = r.Header.Get("Authorization")
	if answer != nil && !answer(w, r) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.texts = append(g.texts, m)
	close(g.more)
	g.more = make(chan struct{})
}

// to returns the texts to a number so far.
func (g *gateway) to(number string) []text {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []text
	for _, m := range g.texts {
		if m.Recipient == number {
			out = append(out, m)
		}
	}
	return out
}

// wantsTexts holds the texts to all numbers so far to n.
func (g *gateway) wantsTexts(n int) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.texts) != n {
		g.t.Errorf("gateway: %d texts, want %d: %+v", len(g.texts), n, g.texts)
	}
}

// wait waits until a number has got n texts and returns the last.
func (g *gateway) wait(number string, n int) text {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		g.mu.Lock()
		more := g.more
		g.mu.Unlock()
		if got := g.to(number); len(got) >= n {
			return got[len(got)-1]
		}
		select {
		case <-more:
		case <-deadline:
			g.t.Fatalf("gateway: %s got %d texts, want %d", number, len(g.to(number)), n)
		}
	}
}

var codePattern = regexp.MustCompile(`\b\d{6,8}\b`)

// code is the code in the newest text to a number.
func (g *gateway) code(number string) string {
	g.t.Helper()
	code := codePattern.FindString(g.wait(number, 1).Body)
	if code == "" {
		g.t.Fatal("the text has no code")
	}
	return code
}

// numbers gives each caller a number of its own: mobile numbers of Great Britain.
var lastNumber atomic.Int64

func newNumber() string {
	return fmt.Sprintf("+4474001%05d", lastNumber.Add(1))
}
