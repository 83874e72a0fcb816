package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage/storagetest"
)

// process is `handset serve` as people run it: the built command, a file of
// configuration, a database on disk and a real Redis. What is written to its
// standard output and error is kept, at debug level, over all its lives.
type process struct {
	*rig
	tap     *tap
	binary  string
	dir     string
	key     string
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the command has ended
	exit    error         // how, then
	output  *safeBuffer
	address string
	// cutOff are the requests that were the last of a life that was ended: their
	// records may have been lost with it.
	cutOff []string
}

// build makes the command.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "handset")
	cmd := exec.Command("go", "build", "-o", binary, "../../cmd/handset")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

func newProcess(t *testing.T, binary string) *process {
	t.Helper()
	p := &process{tap: newTap(t), binary: binary, dir: t.TempDir(), key: vault.Generate(), output: &safeBuffer{}}
	rp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "callback %s ", req.Method)
	}))
	t.Cleanup(rp.Close)
	p.rig = &rig{t: t, issuer: p.tap.url + "/", base: p.tap.url, clock: newClock(), gateway: newGateway(t), http: http.DefaultClient, callback: rp.URL + "/cb"}
	text := fmt.Sprintf(`
issuer: %s
listen: 127.0.0.1:0
admin_listen: ""
database: sqlite:%s
redis: %s
countries: [GB]
allow_private_gateways: true
connections:
  - name: sms
    strategy: sms
    options: {provider: sms_gateway, gateway_url: "%s"}
clients:
  - client_id: %s
    name: The web app
    client_secret: %s
    token_endpoint_auth_method: client_secret_post
    is_first_party: true
    callbacks: ["%s"]
  - client_id: %s
    app_type: verification
    client_secret: %s
log: {level: debug}
`, p.issuer, filepath.Join(p.dir, "handset.db"), storagetest.StartRedis(t).URL, p.gateway.url, webClient, secret, p.callback, sampleClient, secret)
	if err := os.WriteFile(filepath.Join(p.dir, "handset.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.serve()
	return p
}

var listensOn = regexp.MustCompile(`handset: http\S+ on (127\.0\.0\.1:\d+)`)

// serve starts the command and waits until it listens. On a busy machine its stores
// may not answer in time: then it ends, says so, and is started again, as by any
// supervisor of services.
func (p *process) serve() {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		before := len(p.output.String())
		if p.listens() {
			p.tap.leadOnlyTo(p.address)
			return
		}
		said := p.output.String()[before:]
		if !outOfReach.MatchString(said) || time.Now().After(deadline) {
			p.t.Fatalf("the command does not listen; it says: %s", said)
		}
		p.t.Logf("started again after: %s", said)
	}
}

var outOfReach = regexp.MustCompile(`handset: error: .*(unavailable|deadline exceeded)`)

// listens starts the command and reports whether it came to listen or ended before.
func (p *process) listens() bool {
	p.t.Helper()
	lives := len(listensOn.FindAllString(p.output.String(), -1))
	p.cmd = exec.Command(p.binary, "serve", "--config", filepath.Join(p.dir, "handset.yaml"))
	p.cmd.Env = append(os.Environ(), "HANDSET_SECRET_KEY="+p.key)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan<- struct{}) {
		p.exit = cmd.Wait()
		close(exited)
	}(p.cmd, p.exited)
	listens := false
	awaits(p.t, "the command listens or ends", func() bool {
		ended := p.ended()
		if all := listensOn.FindAllStringSubmatch(p.output.String(), -1); len(all) > lives {
			p.address, listens = all[lives][1], true
		}
		return listens || ended
	})
	return listens
}

// ended reports whether the command has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// kill ends the command at once (SIGKILL). It may be called again.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.exited // by "signal: killed"
	p.cmd = nil
	if exchanges, _ := p.tap.seen(); len(exchanges) > 0 {
		p.cutOff = append(p.cutOff, exchanges[len(exchanges)-1].header.Get("X-Request-Id"))
	}
}

// stop lets the command finish, so that all it has to say is said.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.exited
	if p.exit != nil {
		p.t.Errorf("exit: %v", p.exit)
	}
	p.cmd = nil
}

// TestProcess runs the built command, whose real waits no test can lengthen: beside
// the parallel tests a busy machine would keep it waiting.
func TestProcess(t *testing.T) {
	binary := build(t)
	for _, c := range []struct {
		name string
		run  func(*process)
	}{
		{"KilledAfterTheText", killedAfterTheText},
		{"KilledAfterTheRotation", killedAfterTheRotation},
		{"KilledWithAVerificationUnderWay", killedWithAVerificationUnderWay},
		{"StopsWhenAllIsDone", stopsWhenAllIsDone},
		{"StopsAtOnceWhenToldTwice", stopsAtOnceWhenToldTwice},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t, binary)
			c.run(p)
			p.keepsSecrets()
		})
	}
}

// killedAfterTheText: the code that was texted works in the next life, with the
// same form.
func killedAfterTheText(p *process) {
	number := newNumber()
	q := p.newRequest(webClient)
	page := p.askCode(newBrowser(p.t), q, number)
	p.kill()
	p.serve()
	code := page.submit("/login/code", "code", p.gateway.code(number)).answer().Get("code")
	p.kill()
	p.serve()
	got := p.exchange(webClient, q, code)
	if got.status != http.StatusOK {
		p.t.Fatalf("the code of the life before: %d %s", got.status, got.Description)
	}
	p.kill()
	p.serve()
	if status, info := p.userinfo(got.AccessToken); status != http.StatusOK || info["phone_number"] != number {
		p.t.Errorf("userinfo: %d %v", status, info)
	}
	if again := p.exchange(webClient, q, code); again.Error != "invalid_grant" {
		p.t.Errorf("the code a second time: %d %s", again.status, again.Error)
	}
	page.submit("/login/code", "code", p.gateway.code(number)).wants(http.StatusOK, "already signed in")
}

// killedAfterTheRotation: what was answered is never undone. Ten lives, each
// ended at once after a rotation was acknowledged.
func killedAfterTheRotation(p *process) {
	line := []tokens{p.signIn(newNumber())}
	for range 10 {
		next := p.refresh(webClient, line[len(line)-1].Refresh)
		p.kill()
		if next.status != http.StatusOK {
			p.t.Fatalf("refresh: %d %s", next.status, next.Description)
		}
		line = append(line, next)
		p.serve()
	}
	if old := p.refresh(webClient, line[len(line)-3].Refresh); old.Error != "invalid_grant" {
		p.t.Errorf("a token of two rotations ago: %d %s", old.status, old.Error)
	}
	if last := p.refresh(webClient, line[len(line)-1].Refresh); last.Error != "invalid_grant" {
		p.t.Errorf("the last token after a reuse: %d %s", last.status, last.Error)
	}
}

// killedWithAVerificationUnderWay: what was answered with 202 is there in the next
// life, with the tries that it had; and its end stays.
func killedWithAVerificationUnderWay(p *process) {
	s, number := p.sample(sampleClient), newNumber()
	i := s.start(number)
	p.kill()
	p.serve()
	s.wants(i, "Running", nil) // whether its text had left by then or not
	number = newNumber()
	i = s.start(number)
	code := p.texted(number, 1)
	s.answer(i, `"`+wrongFor(code, 1)+`"`)
	p.kill()
	p.serve()
	for n := range 2 {
		s.answer(i, `"`+wrongFor(code, n+2)+`"`)
	}
	s.wants(i, "Running", nil)
	p.kill()
	p.serve()
	if status := s.answer(i, `"`+code+`"`); status != http.StatusAccepted {
		p.t.Errorf("the right code in the fourth life: %d", status)
	}
	p.kill()
	p.serve()
	s.wants(i, "Completed", true)
	if status := s.answer(i, `"`+code+`"`); status != http.StatusGone {
		p.t.Errorf("an answer to what has ended: %d", status)
	}
}

// stopsWhenAllIsDone: SIGTERM lets a request and a text finish that are under
// way, and takes no more.
func stopsWhenAllIsDone(p *process) {
	release := make(chan struct{})
	held := make(chan struct{}, 2)
	hold := func(http.ResponseWriter, *http.Request) bool {
		held <- struct{}{}
		<-release
		return true
	}
	late, early := newNumber(), newNumber()
	first := p.authorize(newBrowser(p.t), p.newRequest(webClient)).wants(http.StatusOK)
	second := p.authorize(newBrowser(p.t), p.newRequest(webClient)).wants(http.StatusOK)
	second.b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p.gateway.answers(hold)
	// This one goes on to its code page after three seconds, its text under way.
	first.submit("/login/phone", "phone", late).wants(http.StatusOK, "Check your phone")
	<-held
	answered := make(chan *page, 1)
	go func() { answered <- second.submit("/login/phone", "phone", early) }()
	<-held
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	awaits(p.t, "no new connections are taken", func() bool {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	close(release)
	if got := <-answered; got.status != http.StatusSeeOther {
		p.t.Errorf("the request under way: %d %s", got.status, got.words())
	}
	select {
	case <-p.exited:
		if p.exit != nil {
			p.t.Errorf("exit: %v", p.exit)
		}
	case <-time.After(patience):
		p.t.Fatal("it does not end")
	}
	p.cmd = nil
	// It was told to stop, and still waited for the gateway's answers to both.
	if n := strings.Count(p.output.String(), `"outcome":"handed_over"`); n != 2 {
		p.t.Errorf("%d texts are on record as handed over, want 2; it says: %s", n, p.output.String())
	}
	for _, number := range []string{late, early} {
		if n := len(p.gateway.to(number)); n != 1 {
			p.t.Errorf("%d texts, want one", n)
		}
	}
	p.gateway.answers(nil)
	p.serve()
	first.b.get(p.base+"/login/code?"+url.Values{"txn": {first.url.Query().Get("txn")}}.Encode()).wants(http.StatusOK, "Check your phone").
		submit("/login/code", "code", p.gateway.code(late)).answer()
}

// stopsAtOnceWhenToldTwice: a second signal waits for nobody, says so, and loses no login.
func stopsAtOnceWhenToldTwice(p *process) {
	release, held := make(chan struct{}), make(chan struct{}, 1)
	defer close(release)
	p.gateway.answers(func(http.ResponseWriter, *http.Request) bool {
		held <- struct{}{}
		<-release
		return false
	})
	first := p.authorize(newBrowser(p.t), p.newRequest(webClient)).wants(http.StatusOK)
	// It goes on to its code page after three seconds, its text under way without end.
	first.submit("/login/phone", "phone", newNumber()).wants(http.StatusOK, "Check your phone")
	<-held
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	awaits(p.t, "it says how to stop it at once", func() bool {
		return strings.Contains(p.output.String(), "handset: stopping when what is under way is done; a second signal stops at once\n")
	})
	if p.ended() {
		p.t.Fatalf("the first signal ended it: %v", p.exit)
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); code != 1 {
		p.t.Errorf("exit status %d (%v), want 1", code, p.exit)
	}
	if said := p.output.String(); !strings.HasSuffix(said, "handset: stopped at once by a second signal: what was under way is cut off\n") {
		p.t.Errorf("it says: %s", said)
	}
	p.cmd = nil
	p.gateway.answers(nil)
	p.serve()
	first.b.get(p.base + "/login/phone?" + url.Values{"txn": {first.url.Query().Get("txn")}}.Encode()).wants(http.StatusOK)
	p.signIn(newNumber())
}

// keepsSecrets looks for secrets in all that the command has printed.
func (p *process) keepsSecrets() {
	p.stop()
	exchanges, secrets := p.tap.seen()
	secrets[p.key] = "secret key"
	for _, m := range p.gateway.texts {
		secrets[m.Recipient] = "number"
		if code := codePattern.FindString(m.Body); code != "" { // four digits stand in every log
			secrets[code] = "code"
		}
	}
	f := newFinder(secrets)
	all, log := records(p.t, p.output.String())
	for _, l := range f.find(log) {
		p.t.Errorf("output: %s", l)
	}
	if len(f.find(log+"{\"planted\":\""+p.key+"\"}")) == 0 {
		p.t.Error("a planted secret was not found")
	}
	oneRecordEach(p.t, slices.DeleteFunc(exchanges, func(x exchange) bool {
		return slices.Contains(p.cutOff, x.header.Get("X-Request-Id"))
	}), all)
}

// TestTwoServersShareEveryLogin lets two servers on one database and one Redis
// take turns at every request, begun by either.
func TestTwoServersShareEveryLogin(t *testing.T) {
	t.Parallel()
	front := newTap(t)
	redis := storagetest.StartRedis(t)
	file := filepath.Join(t.TempDir(), "handset.db")
	key := vault.Generate()
	a := start(t, front.in(), withRedis(redis.URL), withDatabase(file), withKey(key), withoutAddressLimits())
	b := start(t, front.beside(), withClock(a.clock), withRedis(redis.URL), withDatabase(file), withKey(key), withoutAddressLimits(), withConfig(func(c *config.Config) {
		c.Clients, c.Connections = a.config.Clients, a.config.Connections
	}))
	a.login(newBrowser(t), a.newRequest(webClient), newNumber()).answer() // connections are open
	for first := range 2 {
		for range first {
			front.skip()
		}
		number := newNumber()
		q := a.newRequest(webClient)
		browser := newBrowser(t)
		p := a.askCode(browser, q, number)
		p.submit("/login/code", "code", otherCode(a.gateway.code(number), 1)).wants(http.StatusUnprocessableEntity)
		got := a.exchange(webClient, q, p.submit("/login/code", "code", a.gateway.code(number)).answer().Get("code"))
		if got.status != http.StatusOK {
			t.Fatalf("token endpoint: %d %s", got.status, got.Description)
		}
		a.authorize(browser, a.newRequest(webClient).with("prompt", "none")).answer()
		for range 3 {
			if status, _ := a.userinfo(got.AccessToken); status != http.StatusOK {
				t.Errorf("userinfo: %d", status)
			}
			next := a.refresh(webClient, got.Refresh)
			if next.status != http.StatusOK {
				t.Fatalf("refresh: %d %s", next.status, next.Description)
			}
			got = next
		}
		a.call(webClient, "/oauth/revoke", url.Values{"token": {got.Refresh}})
		awaits(t, "both servers know of the revocation", func() bool {
			one, _ := a.userinfo(got.AccessToken)
			other, _ := a.userinfo(got.AccessToken)
			return one == http.StatusUnauthorized && other == http.StatusUnauthorized
		})
		if again := a.refresh(webClient, got.Refresh); again.Error != "invalid_grant" {
			t.Errorf("refresh token after revocation: %d %s", again.status, again.Error)
		}
	}
	for name, r := range map[string]*rig{"first": a, "second": b} {
		for _, route := range []string{"GET /authorize", "POST /login/phone", "POST /login/code", "POST /oauth/token", "GET /userinfo"} {
			awaits(t, "the "+name+" server has taken a "+route, func() bool { return strings.Contains(r.logs.String(), `"route":"`+route+`"`) })
		}
	}
}
