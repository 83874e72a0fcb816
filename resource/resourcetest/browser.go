package resourcetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/handset-oidc/handset/resource/internal/pages"
)

// maxPage bounds what is read of an answer.
const maxPage = 1 << 20

// browser follows redirects, keeps cookies and fills forms, without JavaScript.
type browser struct {
	client *http.Client
	// end is the address at which the browser stops: the application's callback.
	end string
}

// page is what the browser shows.
type page struct {
	browser *browser
	url     *url.URL
	forms   []pages.Form
	words   string
	// answer is the query of the callback, if that is where the browser is.
	answer url.Values
}

func (b *browser) get(ctx context.Context, address string) (*page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return b.open(req)
}

func formRequest(ctx context.Context, address string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

// open follows redirects up to the callback, which is not requested: nothing may
// listen there.
func (b *browser) open(req *http.Request) (*page, error) {
	p := &page{browser: b}
	client := *b.client
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if to := *req.URL; b.isEnd(to) {
			p.answer = to.Query()
			return http.ErrUseLastResponse
		}
		if len(via) > 10 {
			return errors.New("redirected in circles")
		}
		return nil
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	p.url = res.Request.URL
	text, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil || p.answer != nil {
		return p, err
	}
	p.forms, p.words = pages.Read(string(text))
	return p, nil
}

// isEnd compares addresses without their queries.
func (b *browser) isEnd(to url.URL) bool {
	end, err := url.Parse(b.end)
	return err == nil && to.Scheme == end.Scheme && to.Host == end.Host && to.Path == end.Path
}

// submit fills a field in and posts the form that has it.
func (p *page) submit(ctx context.Context, field, value string) (*page, error) {
	for _, f := range p.forms {
		if !f.Fields.Has(field) {
			continue
		}
		to, err := p.url.Parse(f.Action)
		if err != nil {
			return nil, fmt.Errorf("the form posts to %q, which is no address", f.Action)
		}
		f.Fields.Set(field, value)
		req, err := formRequest(ctx, to.String(), f.Fields)
		if err != nil {
			return nil, err
		}
		return p.browser.open(req)
	}
	return nil, p.mustAskFor(field)
}

// mustAskFor returns an error that shows the page when no form of it has the field.
func (p *page) mustAskFor(field string) error {
	for _, f := range p.forms {
		if f.Fields.Has(field) {
			return nil
		}
	}
	return fmt.Errorf("%s does not ask for %s; it says: %s", p.url.Path, field, p.words)
}

// json fetches a document.
func (b *browser) json(ctx context.Context, address string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", address, res.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(res.Body, maxPage)).Decode(v)
}
