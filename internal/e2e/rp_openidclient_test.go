package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/handset-oidc/handset/config"
)

// nodeRP is a running openidclient/rp.mjs.
type nodeRP struct {
	t      testing.TB
	in     io.Writer
	out    *bufio.Scanner
	stderr *safeBuffer
}

// needsNode skips a test on a machine without Node.js, or without the packages of a
// folder, and fails in CI.
func needsNode(t testing.TB, folder string) {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	if _, err := exec.LookPath("node"); err != nil {
		missing("node is not installed")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", ".package-lock.json")); err != nil {
		missing("its npm packages are not installed: run npm ci in internal/e2e/%s, or make test", folder)
	}
}

func (r *rig) nodeRP(settings map[string]any) nodeRP {
	r.t.Helper()
	settings["issuer"], settings["callback"], settings["bye"] = r.issuer, r.callback, r.bye()
	text, err := json.Marshal(settings)
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.t.Context(), "node", "rp.mjs", string(text))
	cmd.Dir = "openidclient"
	return startNode(r.t, cmd)
}

// hear reads the next line that the relying party prints.
func (rp nodeRP) hear(into any) {
	rp.t.Helper()
	if !rp.out.Scan() {
		rp.t.Fatalf("node gave up: %s", rp.stderr.String())
	}
	if err := json.Unmarshal(rp.out.Bytes(), into); err != nil {
		rp.t.Fatalf("node says %s: %v", rp.out.Text(), err)
	}
}

func (rp nodeRP) tell(line string) {
	rp.t.Helper()
	if _, err := io.WriteString(rp.in, line+"\n"); err != nil {
		rp.t.Fatalf("node is gone: %v: %s", err, rp.stderr.String())
	}
}

func TestRelyingPartyOpenIDClient(t *testing.T) {
	t.Parallel()
	needsNode(t, "openidclient")
	signing, public := assertionKeys(t)
	for name, tail := range map[string]string{"issuer at the root": "/", "issuer with a path": "/openid-connect"} {
		r := start(t, onRealTime(), withPath(tail), withClient("by-key", func(c *config.Client) { c.JWKS = public }))
		for method, settings := range map[string]map[string]any{
			"client_secret_post":    {"client": webClient, "secret": secret},
			"client_secret_basic":   {"client": basicClient, "secret": secret},
			"none":                  {"client": publicClient},
			"private_key_jwt ES256": {"client": "by-key", "key": signing[jose.ES256]},
			"private_key_jwt RS256": {"client": "by-key", "key": signing[jose.RS256]},
		} {
			if tail != "/" && method != "client_secret_post" {
				continue // a process of node each: one will do here
			}
			settings["method"], _, _ = strings.Cut(method, " ")
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				r.in(t).openIDClientLogin(settings)
			})
		}
	}
}

func (r *rig) openIDClientLogin(settings map[string]any) {
	t := r.t
	rp := r.nodeRP(settings)
	var begin struct{ Authorize string }
	rp.hear(&begin)

	b, number := newBrowser(t), newNumber()
	p := b.get(begin.Authorize).wants(http.StatusOK).submit("/login/phone", "phone", number).wants(http.StatusOK)
	r.gateway.wait(number, 1)
	p = p.submit("/login/code", "code", r.gateway.code(number))
	p.answer()
	rp.tell(p.url.String())

	// That state, nonce, PKCE, iss, signature, at_hash, auth_time and the sub of
	// userinfo are right, openid-client has checked before it says anything.
	var found struct {
		State, Logout, Scope      string
		Claims, Refreshed         map[string]any
		UserInfo, Active, Revoked map[string]any
	}
	rp.hear(&found)
	if found.Claims["iss"] != r.issuer || found.Claims["sub"] == nil || found.Refreshed["sub"] != found.Claims["sub"] {
		t.Errorf("claims: %v; after refresh: %v", found.Claims, found.Refreshed)
	}
	if found.UserInfo["phone_number"] != number || found.UserInfo["phone_number_verified"] != true {
		t.Errorf("userinfo: %v", found.UserInfo)
	}
	if found.Scope != "openid profile phone offline_access" {
		t.Errorf("scope = %q", found.Scope)
	}
	if settings["method"] != "none" && (found.Active["active"] != true || found.Revoked["active"] != false) {
		t.Errorf("introspection: %v, and after revocation: %v", found.Active, found.Revoked)
	}

	r.atBye(b.get(found.Logout), found.State)
	r.loginRequired(b)
	rp.tell("logged out")
	var end struct{ Refused string }
	rp.hear(&end)
	if end.Refused != "invalid_grant" {
		t.Errorf("refresh after logout: %q, want invalid_grant", end.Refused)
	}
}
