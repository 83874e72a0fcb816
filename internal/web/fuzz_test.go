package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/provider/oauth"
)

// FuzzForm reads parameters from bodies and queries: both alike, never more or
// longer ones than the limits, and what was read reads the same when it is sent
// on, as the endpoints do that turn a POST into a GET.
func FuzzForm(f *testing.F) {
	for _, raw := range []string{
		"", "a=b", "a=b&a=c", "a=b;c=d", "%zz=1", "a=%00&b=%ff", "&&&", "=", "a", strings.Repeat("a=b&", 50), "a=" + strings.Repeat("x", maxFieldSize+1),
		"client_id=web&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=%F0%9F%98%80+x", "resource=a&resource=b",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(raw))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		v, err := Body(httptest.NewRecorder(), r)
		q, queryErr := Query(&http.Request{URL: &url.URL{RawQuery: raw}})
		if err != nil {
			if e := oauth.AsError(err); e == nil || e.HTTPStatus() < 400 || e.HTTPStatus() >= 500 {
				t.Fatalf("%q: %v is no error of the client", raw, err)
			}
			return
		}
		if queryErr != nil || !reflect.DeepEqual(v, q) {
			t.Fatalf("%q: body %v, query %v %v", raw, v, q, queryErr)
		}
		if len(v) > maxFields {
			t.Errorf("%d parameters", len(v))
		}
		for name, values := range v {
			if len(values) == 0 || v.Get(name) != values[0] || v.Has(name) != (values[0] != "") {
				t.Errorf("%q: %q", name, values)
			}
			for _, s := range values {
				if len(s) > maxFieldSize {
					t.Errorf("%q has %d bytes", name, len(s))
				}
			}
		}
		again, e := parseValues(url.Values(v).Encode())
		if e != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("%v sent on becomes %v %v", v, again, e)
		}
		r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(raw))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if _, err := StrictBody(httptest.NewRecorder(), r); (err != nil) != (len(v.Repeated()) > 0) {
			t.Errorf("%v: StrictBody %v", v, err)
		}
	})
}

// FuzzJSONBody reads parameters from JSON as it does from the form that says the
// same: no member hides another, and the limits are the same.
func FuzzJSONBody(f *testing.F) {
	for _, raw := range []string{
		`{}`, `{"a":"b"}`, `{"a":"b","a":"c"}`, `{"a":["b","c"],"resource":["x"]}`, `{"a":null,"b":1}`, `{"a":{"a":"b"}}`, `[]`, `{"a":"b"}x`,
		`{"\ud800":"\u0000"}`, `{"a":"` + strings.Repeat("x", maxFieldSize+1) + `"}`, "\xff", `{"a`, `{"a":"b",}`,
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		v, e := parseJSON(raw)
		if e != nil {
			if e.HTTPStatus() < 400 || e.HTTPStatus() >= 500 {
				t.Fatalf("%q: %v is no error of the client", raw, e)
			}
			return
		}
		again, e := parseValues(url.Values(v).Encode())
		if e != nil || len(again) != len(v) {
			t.Fatalf("%q: as a form %v, %v", raw, again, e)
		}
		var last map[string]any
		if err := json.Unmarshal([]byte(raw), &last); err != nil {
			t.Fatalf("%q is taken and is no JSON object: %v", raw, err)
		}
		for name, values := range v {
			if _, there := last[name]; len(values) == 0 || !there {
				t.Errorf("%q: %q", name, values)
			}
		}
	})
}

// FuzzContentType takes a body as a form by its media type alone, and
// credentials in the URL never.
func FuzzContentType(f *testing.F) {
	for _, c := range []string{"application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8", "APPLICATION/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "", "a/b; ="} {
		f.Add(c, "x=y")
		f.Add(c, "client_secret=x")
		f.Add(c, "client%5fsecret=x")
	}
	f.Fuzz(func(t *testing.T, contentType, query string) {
		r := &http.Request{Method: http.MethodPost, URL: &url.URL{RawQuery: query}, Header: http.Header{"Content-Type": {contentType}},
			Body: http.NoBody}
		_, err := StrictBody(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(contentType)), "application/x-www-form-urlencoded") {
			t.Errorf("%q is taken for a form", contentType)
		}
		if q, _ := url.ParseQuery(query); q.Has("client_secret") || q.Has("code") || q.Has("refresh_token") || q.Has("token") {
			t.Errorf("credentials in %q are taken", query)
		}
	})
}

// FuzzCookie finds in a Cookie header a secret of ours or nothing, and a secret
// that it finds has a form token of its own.
func FuzzCookie(f *testing.F) {
	v, err := vault.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	for _, header := range []string{
		"handset_sid=ABCDEFGHIJKLMNOPQRSTUVWX23", "handset_sid=abcdefghijklmnopqrstuvwx23", "handset_sid=", "handset_sid", ";;=;",
		`handset_sid="ABCDEFGHIJKLMNOPQRSTUVWX23"`, "a=b; handset_sid=ABCDEFGHIJKLMNOPQRSTUVWX23; handset_sid=ABCDEFGHIJKLMNOPQRSTUVWX24",
		"__Host-handset_sid=ABCDEFGHIJKLMNOPQRSTUVWX23", "handset_sid=ABCDEFGHIJKLMNOPQRSTUVWX2\x00",
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Cookie": {header}}}
		for _, c := range []Cookie{NewCookie("handset_sid", true), NewCookie("handset_sid", false)} {
			secret := c.Secret(r)
			if secret == "" {
				continue
			}
			if len(secret) != secretLength || strings.Trim(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" || !strings.Contains(header, secret) {
				t.Errorf("%q holds the secret %q", header, secret)
			}
			token := FormToken(v, "form", secret)
			if !CheckFormToken(v, token, "form", secret) || CheckFormToken(v, token, "another form", secret) || CheckFormToken(v, token, "form", "") {
				t.Errorf("the form token of %q", secret)
			}
		}
	})
}

// FuzzFormToken takes no token but the one that was given out.
func FuzzFormToken(f *testing.F) {
	v, err := vault.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	const browser = "ABCDEFGHIJKLMNOPQRSTUVWX23"
	right := FormToken(v, "form", browser)
	f.Add(right)
	f.Add(right + "=")
	f.Add(right + "\n")
	f.Add("")
	f.Add(base64.StdEncoding.EncodeToString([]byte(right)))
	f.Fuzz(func(t *testing.T, token string) {
		if CheckFormToken(v, token, "form", browser) != (token == right) {
			t.Errorf("%q is taken for %q", token, right)
		}
	})
}

// FuzzForwardedFor believes X-Forwarded-For as far as trusted proxies wrote it:
// the address is the right-most one that is no proxy of ours.
func FuzzForwardedFor(f *testing.F) {
	for _, header := range []string{
		"198.51.100.7", "198.51.100.7, 10.0.0.2", "evil, 10.0.0.2", "::ffff:198.51.100.7", "[2001:db8::1]:443", "fe80::1%eth0", ",,,", "10.0.0.1,10.0.0.2",
		"198.51.100.7,203.0.113.9 , 10.1.2.3", "2001:db8::1",
	} {
		f.Add(header, "10.0.0.1:5000")
		f.Add(header, "198.51.100.200:5000")
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, header, peer string) {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {header}}}
		logger := slog.New(slog.DiscardHandler)
		none := (&Outer{Logger: logger}).address(r)
		got := (&Outer{Logger: logger, TrustedProxies: proxies}).address(r)
		from, err := netip.ParseAddrPort(peer)
		if err != nil {
			if got.IsValid() || none.IsValid() {
				t.Errorf("peer %q has the address %v", peer, got)
			}
			return
		}
		own := from.Addr().Unmap().WithZone("")
		if none != own {
			t.Errorf("without trusted proxies: %v, want the peer %v", none, own)
		}
		if got.Zone() != "" || got.Is4In6() {
			t.Errorf("%v is not in its one spelling", got)
		}
		if want := rightMost(header, own, proxies[0]); got != want {
			t.Errorf("%q from %v: %v, want %v", header, own, got, want)
		}
	})
}

// rightMost is the rule, in other words: walk to the left while what stands
// there was written by a proxy of ours.
func rightMost(header string, peer netip.Addr, proxies netip.Prefix) netip.Addr {
	if !proxies.Contains(peer) {
		return peer
	}
	before, last := "", header
	if i := strings.LastIndexByte(header, ','); i >= 0 {
		before, last = header[:i], header[i+1:]
	} else if header == "" {
		return peer
	}
	hop, err := netip.ParseAddr(strings.TrimSpace(last))
	if err != nil {
		return peer
	}
	hop = hop.Unmap().WithZone("")
	if !strings.Contains(header, ",") {
		return hop
	}
	return rightMost(before, hop, proxies)
}
