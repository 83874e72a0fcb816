package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser keeps cookies, follows redirects and fills forms, without JavaScript.
type browser struct {
	t      testing.TB
	client *http.Client
	jar    *cookiejar.Jar
	header http.Header // sent with every request
}

func newBrowser(t testing.TB) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, jar: jar, header: http.Header{}, client: &http.Client{Jar: jar}}
}

// watch shows every answer that the browser gets from now on to see.
func (b *browser) watch(see func(*http.Response)) {
	next := b.client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	b.client.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		res, err := next.RoundTrip(req)
		if err == nil {
			see(res)
		}
		return res, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// page is what the browser shows.
type page struct {
	b      *browser
	url    *url.URL
	status int
	header http.Header
	body   string
	doc    *html.Node
}

func (b *browser) get(address string) *page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(req)
}

func (b *browser) post(address string, form url.Values) *page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

func (b *browser) do(req *http.Request) *page {
	b.t.Helper()
	for name, values := range b.header {
		req.Header[name] = values
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &page{b: b, url: res.Request.URL, status: res.StatusCode, header: res.Header, body: string(body)}
	if p.doc, err = html.Parse(strings.NewReader(p.body)); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// form returns the address and the fields of the form that posts to a path with this end.
func (p *page) form(end string) (action string, fields url.Values) {
	p.b.t.Helper()
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || !strings.HasSuffix(attribute(n, "action"), end) {
			continue
		}
		to, err := p.url.Parse(attribute(n, "action"))
		if err != nil {
			p.b.t.Fatal(err)
		}
		fields = url.Values{}
		for in := range n.Descendants() {
			if in.Type == html.ElementNode && in.Data == "input" && attribute(in, "name") != "" {
				fields.Set(attribute(in, "name"), attribute(in, "value"))
			}
			if in.Type == html.ElementNode && in.Data == "select" {
				fields.Set(attribute(in, "name"), selected(in))
			}
		}
		return to.String(), fields
	}
	p.b.t.Fatalf("%s has no form that posts to %s; it says: %s", p.url.Path, end, p.words())
	return "", nil
}

// submit posts a form with some of its fields filled in.
func (p *page) submit(end string, fill ...string) *page {
	p.b.t.Helper()
	action, fields := p.form(end)
	for i := 0; i < len(fill); i += 2 {
		fields.Set(fill[i], fill[i+1])
	}
	return p.b.post(action, fields)
}

func selected(n *html.Node) string {
	first := ""
	for o := range n.Descendants() {
		if o.Type != html.ElementNode || o.Data != "option" {
			continue
		}
		if first == "" {
			first = attribute(o, "value")
		}
		for _, a := range o.Attr {
			if a.Key == "selected" {
				return attribute(o, "value")
			}
		}
	}
	return first
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// words is the page's text, as a person reads it.
func (p *page) words() string {
	var out []string
	for n := range p.doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" && n.Parent.Data != "option" {
			if s := strings.TrimSpace(n.Data); s != "" {
				out = append(out, s)
			}
		}
	}
	return strings.Join(out, " ")
}

// wants fails unless the page has the status and says all of the words.
func (p *page) wants(status int, words ...string) *page {
	p.b.t.Helper()
	if p.status != status {
		p.b.t.Fatalf("%s: status %d, want %d; it says: %s", p.url.Path, p.status, status, p.words())
	}
	for _, w := range words {
		if !strings.Contains(p.words(), w) {
			p.b.t.Fatalf("%s does not say %q; it says: %s", p.url.Path, w, p.words())
		}
	}
	return p
}
