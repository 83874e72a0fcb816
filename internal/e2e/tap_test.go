package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// tap stands between the world and a server, under the name of the issuer. It
// remembers every exchange, and whatever in it is secret, by where it stood: what
// passes there must turn up nowhere else.
type tap struct {
	t   testing.TB
	url string

	mu        sync.Mutex
	targets   []string // host:port, taken in turn
	turn      int
	exchanges []exchange
	secrets   map[string]string // the secret's text: what it is
}

// exchange is one request with its answer.
type exchange struct {
	method, path string
	form         url.Values
	status       int
	header       http.Header
	body         string
}

func newTap(t testing.TB) *tap {
	p := &tap{t: t, secrets: map[string]string{}}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

// in is the option that puts a rig behind the tap, alone.
func (p *tap) in() option { return p.issues(p.leadOnlyTo) }

// beside is the option that lets a rig take turns with those behind the tap.
func (p *tap) beside() option { return p.issues(p.leadTo) }

func (p *tap) issues(take func(address string)) option {
	return func(o *options) {
		o.issuer = func(address string) string {
			take(address)
			return p.url + "/"
		}
	}
}

// leadTo adds a server to those that take turns.
func (p *tap) leadTo(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = append(p.targets, address)
}

// leadOnlyTo replaces all servers.
func (p *tap) leadOnlyTo(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = []string{address}
}

func (p *tap) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	return p.targets[p.turn%len(p.targets)]
}

// skip changes whose turn it is.
func (p *tap) skip() { p.next() }

// ServeHTTP passes a request on and remembers both sides of it.
func (p *tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	x := exchange{method: r.Method, path: r.URL.Path}
	x.form, _ = url.ParseQuery(string(body)) // what is no form has no secrets to look for
	p.request(r, x.form)
	to := p.next()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "http", Host: to})
			pr.Out.Host = pr.In.Host
			pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
		},
		ModifyResponse: func(res *http.Response) error {
			answer, err := io.ReadAll(res.Body)
			if err != nil {
				return err
			}
			res.Body = io.NopCloser(bytes.NewReader(answer))
			x.status, x.header, x.body = res.StatusCode, res.Header, string(answer)
			p.answer(x)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { w.WriteHeader(http.StatusBadGateway) },
	}
	proxy.ServeHTTP(w, r)
}

// The parameters that hold something secret, and what it is.
var secretParameters = map[string]string{
	"code": "code", "phone": "number as typed", "csrf": "form token", "txn": "transaction", "logout": "sealed logout request",
	"state": "state", "nonce": "nonce", "code_verifier": "code_verifier", "client_secret": "client secret",
	"client_assertion": "client assertion", "refresh_token": "refresh token", "token": "token", "access_token": "access token",
	"id_token": "ID token", "id_token_hint": "ID token", "login_hint": "number as typed",
}

// secret notes a secret; what is too short to be one is left out.
func (p *tap) secret(kind, text string) {
	if len(text) < 6 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secrets[text] = kind
	if digits := onlyDigits(text); strings.Contains(kind, "number") && len(digits) >= 9 {
		p.secrets[digits] = "digits of a " + kind
		p.secrets[digits[len(digits)-9:]] = "last digits of a " + kind
	}
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

func (p *tap) values(v url.Values) {
	for name, values := range v {
		for _, s := range values {
			if kind, ok := secretParameters[name]; ok {
				p.secret(kind, s)
			}
		}
	}
}

func (p *tap) request(r *http.Request, form url.Values) {
	p.values(form)
	p.values(r.URL.Query())
	p.secret("query string", r.URL.RawQuery)
	for _, c := range r.Cookies() {
		p.secret("cookie", c.Value)
	}
	if _, password, ok := r.BasicAuth(); ok {
		p.secret("client secret", password)
	}
	if header := r.Header.Get("Authorization"); header != "" {
		_, credentials, _ := strings.Cut(header, " ")
		p.secret("credentials", credentials)
	}
}

func (p *tap) answer(x exchange) {
	for _, c := range (&http.Response{Header: x.header}).Cookies() {
		p.secret("cookie", c.Value)
	}
	if to, err := url.Parse(x.header.Get("Location")); err == nil {
		p.values(to.Query())
		fragment, _ := url.ParseQuery(to.Fragment)
		p.values(fragment)
	}
	var answer map[string]any
	if json.Unmarshal([]byte(x.body), &answer) == nil {
		for name, v := range answer {
			if text, ok := v.(string); ok && secretParameters[name] != "" {
				p.secret(secretParameters[name], text)
			}
		}
		if number, ok := answer["phone_number"].(string); ok {
			p.secret("number", number)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges = append(p.exchanges, x)
}

// seen are the exchanges and the secrets so far.
func (p *tap) seen() ([]exchange, map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	secrets := map[string]string{}
	for text, kind := range p.secrets {
		secrets[text] = kind
	}
	return slices.Clone(p.exchanges), secrets
}

// leak is a secret found where it does not belong.
type leak struct{ kind, secret, where string }

func (l leak) String() string { return fmt.Sprintf("%s %q in: %s", l.kind, l.secret, l.where) }

// finder looks for many secrets at once: as they are, escaped, and in base64.
type finder struct {
	kinds    map[string]string
	marks    []string // the secret that the mark of that number stands for
	replacer *strings.Replacer
	// digits are secrets of a few digits. They count only where no other digits
	// are beside them, nor letters of a hexadecimal number, and outside identifiers:
	// any six digits turn up in those.
	digits map[string]string
}

func newFinder(secrets map[string]string) *finder {
	f := &finder{kinds: secrets, digits: map[string]string{}}
	var pairs []string
	for secret, kind := range secrets {
		if len(secret) < 9 && onlyDigits(secret) == secret {
			f.digits[secret] = kind
			continue
		}
		quoted, _ := json.Marshal(secret) // a string always encodes
		for _, form := range []string{
			secret, string(bytes.Trim(quoted, `"`)), html.EscapeString(secret), url.QueryEscape(secret),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		} {
			pairs = append(pairs, form, fmt.Sprintf("\x00%d\x00", len(f.marks)))
		}
		f.marks = append(f.marks, secret)
	}
	f.replacer = strings.NewReplacer(pairs...)
	return f
}

var (
	mark = regexp.MustCompile("\x00([0-9]+)\x00")
	// Longer words than any around a code: hashes, tags and what is random. Requests
	// have twelve letters and digits.
	identifiers = regexp.MustCompile(`\b[A-Z2-7]{12}\b|[0-9A-Za-z_-]{16,}`)
	hexRuns     = regexp.MustCompile(`[0-9A-Fa-f]+`)
)

// find returns what a text has of the secrets.
func (f *finder) find(text string) []leak {
	var found []leak
	for line := range strings.Lines(strings.ReplaceAll(text, "\x00", "")) {
		for _, run := range hexRuns.FindAllString(identifiers.ReplaceAllString(line, "*"), -1) {
			if kind, ok := f.digits[run]; ok {
				found = append(found, leak{kind, run, strings.TrimSpace(line)})
			}
		}
		for _, m := range mark.FindAllStringSubmatch(f.replacer.Replace(line), -1) {
			n, err := strconv.Atoi(m[1])
			if err == nil {
				found = append(found, leak{f.kinds[f.marks[n]], f.marks[n], strings.TrimSpace(line)})
			}
		}
	}
	return found
}

// record is one line of the log.
type record map[string]any

func (rec record) text(key string) string { s, _ := rec[key].(string); return s }

// records parses a JSON log. Lines that are no JSON come back as they are; of
// the others, what is digits by nature (times) is taken out before secrets are
// looked for, since any six digits turn up there.
func records(t testing.TB, log string) (all []record, searchable string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(log) {
		var rec record
		if json.Unmarshal([]byte(line), &rec) != nil {
			b.WriteString(line)
			continue
		}
		all = append(all, rec)
		timeless := record{}
		for k, v := range rec {
			if _, number := v.(float64); k == "time" || k == "duration_ms" && number {
				continue
			}
			timeless[k] = v
		}
		var line bytes.Buffer
		enc := json.NewEncoder(&line)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(timeless); err != nil {
			t.Fatal(err)
		}
		b.Write(line.Bytes())
	}
	return all, b.String()
}

// onlyNames takes the values out of a metrics page: any six digits turn up there.
func onlyNames(metrics string) string {
	var b strings.Builder
	for line := range strings.Lines(metrics) {
		if i := strings.LastIndexByte(line, ' '); i >= 0 && !strings.HasPrefix(line, "#") {
			line = line[:i] + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}
