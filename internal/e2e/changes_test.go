package e2e

import (
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/keys"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// beside is a running server with its database opened a second time, as the
// commands of another process do.
type beside struct {
	*rig
	vault *vault.Vault
	sql   *sqlstore.Store
}

func startBeside(t testing.TB, opts ...option) beside {
	t.Helper()
	key, file := vault.Generate(), filepath.Join(t.TempDir(), "handset.db")
	v, err := vault.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, append(opts, withKey(key), withDatabase(file))...)
	store, err := server.OpenSQL(t.Context(), r.config, v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return beside{r, v, store}
}

// withinASecond waits until a change has arrived. The promise is a second
// (design.md §3), which a machine that is busy with other tests can't keep; the
// interval itself is held by the tests of provider.
func withinASecond(t testing.TB, what string, arrived func() bool) {
	t.Helper()
	awaits(t, what, arrived)
}

func (b beside) addClient(t testing.TB, id storage.ClientID) {
	t.Helper()
	err := b.sql.CreateClient(t.Context(), storage.Client{
		ClientID: id, Name: "Added", AppType: "regular_web", Callbacks: []string{b.callback}, AllowedLogoutURLs: []string{b.bye()},
		GrantTypes: []string{"authorization_code", "refresh_token"}, TokenEndpointAuthMethod: "client_secret_post",
		IsFirstParty: true, SubjectType: "public", SecretMACs: [][]byte{client.SecretMAC(b.vault, id, secret)},
		CreatedAt: b.clock.Now(), UpdatedAt: b.clock.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// knows reports whether the authorization endpoint has heard of a client.
func (b beside) knows(id string) bool {
	res, _ := b.fetch(http.MethodGet, "/authorize?"+b.newRequest(id).with("prompt", "none").Encode())
	return res.StatusCode == http.StatusOK // the callback, after a redirect
}

func TestClientsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	b := startBeside(t)
	const id = "added"
	if b.knows(id) {
		t.Fatal("the client is there before it was added")
	}
	b.addClient(t, id)
	withinASecond(t, "added client", func() bool { return b.knows(id) })

	person := newBrowser(t)
	q := b.newRequest(id)
	got := b.exchange(id, q, b.login(person, q, newNumber()).answer().Get("code"), "client_secret", secret)
	if got.status != http.StatusOK {
		t.Fatalf("exchange: %d %s %s", got.status, got.Error, got.Description)
	}
	b.wantsAlive(machine, got.AccessToken)

	err := b.sql.UpdateClient(t.Context(), id, func(c *storage.Client) error {
		c.SecretMACs = [][]byte{client.SecretMAC(b.vault, id, "another-secret")}
		c.RequireNonce = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "changed client", func() bool {
		return b.authorize(person, b.newRequest(id).with("nonce", "")).answer().Get("error") == "invalid_request"
	})
	b.refresh(id, got.Refresh, "client_secret", secret).wantsRefused(t, http.StatusUnauthorized, "invalid_client")
	if got = b.refresh(id, got.Refresh, "client_secret", "another-secret"); got.status != http.StatusOK {
		t.Fatalf("refresh with the new secret: %d %s", got.status, got.Error)
	}

	if err := b.sql.RemoveClient(t.Context(), id, b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "removed client", func() bool { return !b.knows(id) })
	withinASecond(t, "tokens of a removed client", func() bool {
		status, _ := b.userinfo(got.AccessToken)
		return status == http.StatusUnauthorized
	})
	b.wantsDead(machine, got.AccessToken)
	b.refresh(id, got.Refresh, "client_secret", "another-secret").wantsRefused(t, http.StatusUnauthorized, "invalid_client")
	b.authorize(person, b.newRequest(id)).wants(http.StatusBadRequest, "client_id")
}

func TestClientRemovedWhileSomebodyLogsIn(t *testing.T) {
	t.Parallel()
	b := startBeside(t)
	const id = "short-lived"
	b.addClient(t, id)
	withinASecond(t, "added client", func() bool { return b.knows(id) })
	number := newNumber()
	p := b.askCode(newBrowser(t), b.newRequest(id), number)
	if err := b.sql.RemoveClient(t.Context(), id, b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "removed client", func() bool { return !b.knows(id) })
	p.submit("/login/code", "code", b.gateway.code(number)).wants(http.StatusBadRequest)
}

func (b beside) person(t testing.TB, number string) storage.UserID {
	t.Helper()
	n, err := phone.FromStored(number)
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.sql.UserByNumber(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}

func TestPersonBlockedByAnotherProcess(t *testing.T) {
	t.Parallel()
	b := startBeside(t)
	v, other := b.visitor(), b.visitor()
	id := b.person(t, v.number)
	late := b.newRequest(webClient)
	lateCode := b.authorize(v.browser, late).answer().Get("code")
	if err := b.sql.BlockUser(t.Context(), id, b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	// Introspection is the last to know: it looks into memory alone.
	withinASecond(t, "blocked person", func() bool { return b.introspect(webClient, v.tokens.AccessToken)["active"] == false })
	b.loggedOut(v)
	b.exchange(webClient, late, lateCode).wantsRefused(t, http.StatusBadRequest, "invalid_grant")
	b.untouched(other)

	// A blocked person sees what everyone sees, and gets no text.
	texts := len(b.gateway.to(v.number))
	p := b.authorize(newBrowser(t), b.newRequest(webClient)).submit("/login/phone", "phone", v.number).wants(http.StatusOK, "Check your phone")
	p.submit("/login/code", "code", "000000").wants(http.StatusUnprocessableEntity)
	if n := len(b.gateway.to(v.number)); n != texts {
		t.Errorf("a blocked person got a text")
	}

	if err := b.sql.UnblockUser(t.Context(), id, b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(10 * time.Minute)
	_, again := b.newTokensFor(webClient, v.number)
	if sub := claims(t, again.IDToken)["sub"]; sub != string(id) {
		t.Errorf("sub = %v, want %s", sub, id)
	}
	// What died stays dead.
	b.wantsDead(webClient, v.tokens.AccessToken)
	b.loginRequired(v.browser)
}

func TestPersonBlockedBetweenTextAndCode(t *testing.T) {
	t.Parallel()
	b := startBeside(t)
	v := b.visitor()
	b.clock.Advance(time.Minute)
	q := b.newRequest(webClient)
	p := b.askCode(newBrowser(t), q, v.number)
	if err := b.sql.BlockUser(t.Context(), b.person(t, v.number), b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	got := p.submit("/login/code", "code", b.gateway.code(v.number)).answer()
	b.wantsError(t, got, "access_denied", "")
	if got.Get("state") != q.Get("state") {
		t.Errorf("state = %q", got.Get("state"))
	}
}

func TestPersonRemovedByAnotherProcess(t *testing.T) {
	t.Parallel()
	b := startBeside(t)
	v := b.visitor()
	id := b.person(t, v.number)
	if err := b.sql.RemoveUser(t.Context(), id, b.clock.Now()); err != nil {
		t.Fatal(err)
	}
	withinASecond(t, "removed person", func() bool { return b.introspect(webClient, v.tokens.AccessToken)["active"] == false })
	b.loggedOut(v)
	b.clock.Advance(10 * time.Minute)
	_, again := b.newTokensFor(webClient, v.number)
	if sub := claims(t, again.IDToken)["sub"]; sub == string(id) {
		t.Error("the sub of a removed person was given again")
	}
}

// RFC 9700 asks for nothing here; relying parties do: a key that signs must
// have been in their reach before.
func TestKeyRotatedByAnotherProcess(t *testing.T) {
	t.Parallel()
	b := startBeside(t)
	v := b.visitor()
	before := b.publishedKeys()
	first, _ := b.fetch(http.MethodGet, "/.well-known/jwks.json")
	ring, err := server.OpenKeys(t.Context(), b.config, b.sql, slog.New(slog.NewTextHandler(io.Discard, nil)), b.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ring.Rotate(t.Context(), keys.RS256)
	if err != nil {
		t.Fatal(err)
	}
	published := func() bool { set := b.publishedKeys(); return len(set.Key(string(key.ID))) == 1 }
	withinASecond(t, "new key", published)
	if set := b.publishedKeys(); len(set.Keys) != len(before.Keys)+1 {
		t.Errorf("%d keys, want the old ones and the new one", len(set.Keys))
	}
	if res, _ := b.fetch(http.MethodGet, "/.well-known/jwks.json", "If-None-Match", first.Header.Get("ETag")); res.StatusCode != http.StatusOK {
		t.Errorf("the old ETag still counts: %d", res.StatusCode)
	}
	kidOf := func(token string) string { return header(t, token)["kid"].(string) }
	if kid := kidOf(b.refresh(webClient, v.tokens.Refresh).IDToken); kid != before.Keys[0].KeyID {
		t.Errorf("signed with %s before anybody could have seen it", kid)
	}
	b.clock.Advance(keys.PublishAhead + time.Second)
	fresh := b.newTokens(webClient)
	if kid := kidOf(fresh.IDToken); kid != string(key.ID) {
		t.Errorf("signed with %s, want the new key %s", kid, key.ID)
	}
	// A token of the old key still counts as a hint.
	b.logout(v.browser, "id_token_hint", v.tokens.IDToken).wants(http.StatusOK)
	b.loginRequired(v.browser)
}
