package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
)

func post(target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestStrictBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, target, body string
		want               oauth.Code
	}{
		{"plain", "/", "a=1&b=2", ""},
		{"other words in the URL", "/?tenant=x&tokens=1", "a=1", ""},
		{"resource twice", "/", "resource=a&resource=b", ""},
		{"a credential in the URL", "/?client_secret=x", "a=1", oauth.InvalidClient},
		{"the same, empty", "/?code", "a=1", oauth.InvalidClient},
		{"the same, escaped", "/?client%5Fsecret=x", "a=1", oauth.InvalidClient},
		{"the same behind a semicolon", "/?a=1;token=x", "a=1", oauth.InvalidRequest},
		{"twice", "/", "a=1&a=1", oauth.InvalidRequest},
		{"twice, escaped", "/", "a=1&%61=1", oauth.InvalidRequest},
		{"twice, once empty", "/", "a=1&a", oauth.InvalidRequest},
		{"semicolon", "/", "a=1;b=2", oauth.InvalidRequest},
		{"bad escape", "/", "a=%zz", oauth.InvalidRequest},
		{"too many", "/", many(41), oauth.InvalidRequest},
		{"too long", "/", "a=" + strings.Repeat("x", 4097), oauth.InvalidRequest},
		{"too much", "/", strings.Repeat("a=1&", 5000), oauth.InvalidRequest},
	} {
		_, err := web.StrictBody(httptest.NewRecorder(), post(tt.target, tt.body))
		var got oauth.Code
		if e := oauth.AsError(err); e != nil {
			got = e.Code
		}
		if got != tt.want || (err != nil) != (tt.want != "") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestStrictBodyOrJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       oauth.Code
	}{
		{"strings", ` {"grant_type":"x","client_id":"é\u0000"} `, ""},
		{"null is none", `{"grant_type":"x","scope":null}`, ""},
		{"a list repeats", `{"grant_type":"x","resource":["a","b"]}`, ""},
		{"a list of one", `{"grant_type":["x"]}`, ""},
		{"a list where one is wanted", `{"grant_type":["x","y"]}`, oauth.InvalidRequest},
		{"twice", `{"grant_type":"x","grant_type":"y"}`, oauth.InvalidRequest},
		{"twice, once null", `{"scope":null,"scope":"openid"}`, oauth.InvalidRequest},
		{"twice null", `{"x":null,"x":null,"scope":"openid"}`, oauth.InvalidRequest},
		{"twice, escaped", `{"grant_type":"x","grant\u005ftype":"x"}`, oauth.InvalidRequest},
		{"a number", `{"grant_type":"x","otp":123456}`, oauth.InvalidRequest},
		{"an object", `{"grant_type":{"x":"y"}}`, oauth.InvalidRequest},
		{"a list of numbers", `{"grant_type":"x","resource":[1]}`, oauth.InvalidRequest},
		{"no object", `["grant_type"]`, oauth.InvalidRequest},
		{"a form", `grant_type=x`, oauth.InvalidRequest},
		{"nothing", ``, oauth.InvalidRequest},
		{"two objects", `{"grant_type":"x"}{}`, oauth.InvalidRequest},
		{"cut", `{"grant_type":"x"`, oauth.InvalidRequest},
		{"a comma too many", `{"grant_type":"x",}`, oauth.InvalidRequest},
		{"too many", `{` + strings.TrimSuffix(strings.ReplaceAll(many(41), "=1&", `":"1","`), "=1") + `":"1"}`, oauth.InvalidRequest},
		{"too long", `{"grant_type":"` + strings.Repeat("x", 4097) + `"}`, oauth.InvalidRequest},
		{"too much", `{"grant_type":"x","a":"` + strings.Repeat(" ", 17<<10) + `"}`, oauth.InvalidRequest},
	} {
		r := post("/", tt.body)
		r.Header.Set("Content-Type", "application/json; charset=UTF-8")
		v, err := web.StrictBodyOrJSON(httptest.NewRecorder(), r)
		var got oauth.Code
		if e := oauth.AsError(err); e != nil {
			got = e.Code
		}
		if got != tt.want || (err != nil) != (tt.want != "") || err == nil && v.Get("grant_type") != "x" {
			t.Errorf("%s: %v, %v, want %q", tt.name, v, err, tt.want)
		}
	}
	r := post("/", `{"token":"x"}`)
	r.Header.Set("Content-Type", "application/json")
	if _, err := web.StrictBody(httptest.NewRecorder(), r); oauth.AsError(err) == nil || oauth.AsError(err).Status != http.StatusUnsupportedMediaType {
		t.Errorf("JSON where only forms are taken: %v", err)
	}
	if v, err := web.StrictBodyOrJSON(httptest.NewRecorder(), post("/", "a=b")); err != nil || v.Get("a") != "b" {
		t.Errorf("a form: %v, %v", v, err)
	}
	r = post("/?client_secret=x", `{"a":"b"}`)
	r.Header.Set("Content-Type", "application/json")
	if _, err := web.StrictBodyOrJSON(httptest.NewRecorder(), r); oauth.AsError(err) == nil || oauth.AsError(err).Code != oauth.InvalidClient {
		t.Errorf("a credential in the URL: %v", err)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("f" + strings.Repeat("x", i) + "=1&")
	}
	return strings.TrimSuffix(b.String(), "&")
}

func TestFormToken(t *testing.T) {
	t.Parallel()
	v, err := vault.Parse(vault.Generate())
	if err != nil {
		t.Fatal(err)
	}
	browser := web.NewSecret()
	right := web.FormToken(v, "form", browser)
	if !web.CheckFormToken(v, right, "form", browser) {
		t.Error("the right token is refused")
	}
	for name, ok := range map[string]bool{
		"another form":    web.CheckFormToken(v, right, "other", browser),
		"another browser": web.CheckFormToken(v, right, "form", web.NewSecret()),
		"no cookie":       web.CheckFormToken(v, web.FormToken(v, "form", ""), "form", ""),
		"line break":      web.CheckFormToken(v, right[:9]+"\r\n"+right[9:], "form", browser),
		"padded":          web.CheckFormToken(v, right+"=", "form", browser),
		"empty":           web.CheckFormToken(v, "", "form", browser),
	} {
		if ok {
			t.Errorf("%s: accepted", name)
		}
	}
}
