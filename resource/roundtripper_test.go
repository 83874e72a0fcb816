package resource_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/resource"
	"github.com/handset-oidc/handset/resource/resourcetest"
)

// TestAClientCallsAnAPI: both halves, over HTTP.
func TestAClientCallsAnAPI(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	client := newClient(t, s.Issuer, func(c *resource.ClientConfig) {
		c.APIs, c.Scopes = []string{s.url + "/"}, resource.Scopes{"read:vendors"}
	})
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/vendors", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic of-the-program")
	res, err := (&http.Client{Transport: &resource.RoundTripper{Client: client}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || string(body) != "batch@clients by batch" {
		t.Errorf("%d %s %v", res.StatusCode, body, err)
	}
	if req.Header.Get("Authorization") != "Basic of-the-program" {
		t.Error("the program's own request was changed")
	}
}

// TestWhereATokenMayGo: to the configured origins alone, and to this machine when
// none is configured.
func TestWhereATokenMayGo(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	configured := newClient(t, issuer, func(c *resource.ClientConfig) {
		c.APIs = []string{"https://purchasing.example.com", "https://grpc.example.com:8443/", " http://localhost:8080"}
	})
	insecure := newClient(t, issuer, func(c *resource.ClientConfig) {
		c.APIs, c.InsecureSkipHTTPSCheck = []string{"http://purchasing:8080"}, true
	})
	developer := newClient(t, issuer, nil)
	for _, c := range []struct {
		client *resource.Client
		to     string
		may    bool
	}{
		{configured, "https://purchasing.example.com/vendors?x=1", true},
		{configured, "https://purchasing.example.com:443/", true},
		{configured, "https://PURCHASING.example.com/", true},
		{configured, "https://grpc.example.com:8443/a", true},
		{configured, "http://localhost:8080/", true},
		{configured, "http://purchasing.example.com/", false},
		{configured, "http://purchasing.example.com:443/", false},
		{configured, "https://purchasing.example.com:8443/", false},
		{configured, "https://purchasing.example.com.evil.example/", false},
		{configured, "https://evil.example/?https://purchasing.example.com", false},
		{configured, "https://purchasing.example.com@evil.example/", false},
		{configured, "https://evil.purchasing.example.com/", false},
		{configured, "https://grpc.example.com/", false},
		{configured, "http://localhost:8081/", false},
		{configured, "http://127.0.0.1:8080/", false},
		{insecure, "http://purchasing:8080/", true},
		{insecure, "http://other:8080/", false},
		{developer, "http://localhost:1234/", true},
		{developer, "http://127.0.0.1/", true},
		{developer, "http://[::1]:8080/", true},
		{developer, "https://api.localhost/", true},
		{developer, "ftp://localhost/", false},
		{developer, "http://localhost.example.com/", false},
		{developer, "http://10.0.0.1/", false},
		{developer, "https://purchasing.example.com/", false},
		{developer, "https:///", false},
	} {
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.client.MaySend(to); got != c.may {
			t.Errorf("%s: %v", c.to, got)
		}
	}
}

// TestTheEnvironmentSaysWhereTheAPIIs, and the program before it.
func TestTheEnvironmentSaysWhereTheAPIIs(t *testing.T) {
	t.Setenv("HANDSET_API", "https://one.example.com, https://two.example.com")
	issuer := resourcetest.NewIssuer(t, audience)
	may := func(c *resource.Client, host string) bool {
		return c.MaySend(&url.URL{Scheme: "https", Host: host})
	}
	client := newClient(t, issuer, nil)
	if !may(client, "one.example.com") || !may(client, "two.example.com") || may(client, "localhost") {
		t.Error("not as the environment says")
	}
	client = newClient(t, issuer, func(c *resource.ClientConfig) { c.APIs = []string{"https://three.example.com"} })
	if !may(client, "three.example.com") || may(client, "one.example.com") {
		t.Error("not as the program says")
	}
}

// TestATokenStaysHome: a request to another host is an error, and sends nothing.
func TestATokenStaysHome(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	sent := &recorded{}
	client := newClient(t, issuer, func(c *resource.ClientConfig) { c.APIs = []string{"https://purchasing.example.com"} })
	program := &http.Client{Transport: &resource.RoundTripper{Client: client, Base: sent}}
	body := &closing{Reader: strings.NewReader("x")}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "https://evil.example/", body)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := program.Do(req); err == nil {
		res.Body.Close()
		t.Error("it was sent")
	}
	if len(sent.all) != 0 || !body.closed || issuer.Requests(resourcetest.PathToken) != 0 {
		t.Errorf("%d requests sent, body closed: %v", len(sent.all), body.closed)
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// TestARedirectLosesTheToken when it leads away from the API.
func TestARedirectLosesTheToken(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	var away []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		away = append(away, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	var home []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		home = append(home, r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/next", http.StatusFound)
		case "/next":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}
	}))
	defer api.Close()
	client := newClient(t, issuer, func(c *resource.ClientConfig) { c.APIs = []string{api.URL} })
	res, err := (&http.Client{Transport: &resource.RoundTripper{Client: client}}).Get(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if len(home) != 2 || !strings.HasPrefix(home[0], "Bearer ") || home[1] != home[0] {
		t.Errorf("at the API: %d requests", len(home))
	}
	if len(away) != 1 || away[0] != "" {
		t.Errorf("elsewhere: %d requests, with a token: %v", len(away), contains(away, "Bearer"))
	}
}

// TestARequestWithoutATokenIsNotSent: the typed error reaches the program.
func TestARequestWithoutATokenIsNotSent(t *testing.T) {
	t.Parallel()
	issuer := resourcetest.NewIssuer(t, audience)
	issuer.Deny(resourcetest.ClientSubject("batch"))
	sent := &recorded{}
	program := &http.Client{Transport: &resource.RoundTripper{Client: newClient(t, issuer, nil), Base: sent}}
	body := &closing{Reader: strings.NewReader("x")}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost:8080/", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := program.Do(req)
	if err == nil {
		res.Body.Close()
	}
	if _, denied := errors.AsType[*resource.AccessDenied](err); !denied || len(sent.all) != 0 || !body.closed {
		t.Errorf("error %v, %d requests sent, body closed: %v", err, len(sent.all), body.closed)
	}
}
