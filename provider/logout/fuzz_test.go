package logout_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/internal/endpointtest"
	"github.com/handset-oidc/handset/provider/logout"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/session"
	"github.com/handset-oidc/handset/provider/subject"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

var fuzzClient = storage.Client{ClientID: "app", Name: "App", Callbacks: []string{"https://app.example/cb"},
	AllowedLogoutURLs: []string{"https://app.example/bye", "https://app.example/bye?a=b"}}

type fuzzClients struct{}

func (fuzzClients) Get(_ context.Context, id storage.ClientID) (*storage.Client, error) {
	if id != fuzzClient.ClientID {
		return nil, storage.ErrNotFound
	}
	return &fuzzClient, nil
}

type fuzzHints struct{}

func (fuzzHints) VerifyHint(_ context.Context, raw string) (mint.Hint, error) {
	if raw != "good" {
		return mint.Hint{}, errors.New("not good")
	}
	return mint.Hint{ClientID: "app", Subject: "subject", Session: "session"}, nil
}

// FuzzLogout sends the browser to registered addresses only, with the state as
// it came, whatever the request says; and takes no approval that it did not ask for.
func FuzzLogout(f *testing.F) {
	for _, raw := range []string{
		"", "id_token_hint=good&post_logout_redirect_uri=https://app.example/bye&state=x%26y", "client_id=app&post_logout_redirect_uri=https://evil.example/",
		"id_token_hint=good&post_logout_redirect_uri=https://app.example/bye%3Fa%3Db&state=%F0%9F%98%80", "id_token_hint=bad", "client_id=app&client_id=app",
		"decision=approve&csrf=x&logout=eHg", "decision=approve", "id_token_hint=good&client_id=other", "ui_locales=ja+en&%zz", "state=%0d%0aLocation:x&id_token_hint=good&post_logout_redirect_uri=https://app.example/bye",
	} {
		f.Add(raw, true)
		f.Add(raw, false)
	}
	v, err := vault.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	catalog, err := views.NewCatalog()
	if err != nil {
		f.Fatal(err)
	}
	pages := &web.Pages{Catalog: catalog}
	forms := endpointtest.Forms{}
	h := logout.New(logout.Config{
		Posted: forms.Waiting(), Subjects: subject.New(nil, fuzzClients{}),
		Clients: fuzzClients{}, Hints: fuzzHints{}, Pages: pages, Vault: v, Ended: func(context.Context) {},
		Sessions: session.New(session.Config{Vault: v, Now: time.Now}),
	})
	f.Fuzz(func(t *testing.T, raw string, post bool) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/oidc/logout", RawQuery: raw}, Header: http.Header{}, Body: http.NoBody}
		if post {
			r = httptest.NewRequest(http.MethodPost, "/oidc/logout", strings.NewReader(raw))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		pages.Page(h.Logout)(w, r)
		res := w.Result()
		if res.StatusCode >= 500 {
			t.Fatalf("%q: status %d", raw, res.StatusCode)
		}
		to := res.Header.Get("Location")
		if to == "" {
			return
		}
		q, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("%q, which is no query, leads to %q", raw, to)
		}
		if post {
			forms.Check(t, to, "/oidc/logout", q)
			return
		}
		uri := q.Get("post_logout_redirect_uri")
		if uri != fuzzClient.AllowedLogoutURLs[0] && uri != fuzzClient.AllowedLogoutURLs[1] {
			t.Fatalf("%q leads to %q", raw, to)
		}
		rest, ok := strings.CutPrefix(to, uri)
		state, err := url.ParseQuery(strings.TrimLeft(rest, "?&"))
		if !ok || err != nil || state.Get("state") != q.Get("state") || len(state) > 1 {
			t.Errorf("%q leads to %q", raw, to)
		}
	})
}
