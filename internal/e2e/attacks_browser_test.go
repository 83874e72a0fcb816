package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/config"
)

// steps are the forms of a login.
var steps = []string{"phone", "code", "resend", "continue"}

// security.md rows 13 and 16: all that a URL, a form or a text message can
// leak, but not the victim's cookie. Every step is refused before anything is
// evaluated: no try is used, nothing is sent, and right, wrong and made up look
// the same.
func TestAttackStolenURLInAForeignBrowser(t *testing.T) {
	t.Parallel()
	bothRedis(t, func(t *testing.T, engine option) {
		r := start(t, engine, withoutAddressLimits())
		number := newNumber()
		victim := r.askCode(newBrowser(t), r.newRequest(webClient), number)
		code := r.gateway.code(number)
		txn := victim.url.Query().Get("txn")

		thief, _ := r.in(t).signedIn(t)
		looks := r.checks()
		own := r.authorize(thief, r.newRequest(webClient).with("prompt", "login"))
		_, ownFields := own.form("/login/phone")
		_, victims := victim.form("/login/code")

		unknown := strings.Repeat("A", len(txn))
		want := send(t, http.MethodPost, r.base+"/login/code", url.Values{"txn": {unknown}, "csrf": {victims.Get("csrf")}, "code": {code}})
		if want.status != http.StatusBadRequest || !strings.Contains(want.body, "timed out") {
			t.Fatalf("unknown login: %d %s", want.status, want.body)
		}
		for _, cookie := range []string{"", r.cookies(thief), "handset_txn=" + strings.Repeat("A", 26)} {
			for _, csrf := range []string{victims.Get("csrf"), ownFields.Get("csrf"), ""} {
				for _, step := range steps {
					for _, typed := range []string{code, wrong(code, 0), "x"} {
						form := posted{action: r.base + "/login/" + step, cookie: cookie,
							fields: url.Values{"txn": {txn}, "csrf": {csrf}, "code": {typed}, "phone": {newNumber()}, "country": {"GB"}}}
						got := form.send(t)
						if got.alike() != want.alike() || len(got.header.Values("Set-Cookie")) > 0 {
							t.Errorf("POST %s with cookie %q, csrf %q: %d %v\n%s", step, cookie, csrf, got.status, got.header, got.body)
						}
					}
				}
			}
			for _, step := range []string{"phone", "code"} {
				got := send(t, http.MethodGet, r.base+"/login/"+step+"?txn="+txn, nil, "Cookie", cookie)
				if got.status != http.StatusBadRequest || !strings.Contains(got.body, "timed out") || strings.Contains(got.body, "<form") ||
					got.header.Get("Location") != "" || len(got.header.Values("Set-Cookie")) > 0 {
					t.Errorf("GET %s: %d", step, got.status)
				}
				national := strings.TrimPrefix(number, "+44")
				if strings.Contains(got.body, national) || strings.Contains(got.body, national[len(national)-4:]) {
					t.Errorf("GET %s tells the number", step)
				}
			}
		}
		if n := len(r.gateway.to(number)); n != 1 {
			t.Errorf("the victim got %d texts, want 1", n)
		}
		if n := r.checks(); !maps.Equal(n, looks) {
			t.Errorf("codes were looked at: %v", n)
		}
		before := send(t, http.MethodGet, victim.url.String(), nil)
		p := victim.submit("/login/code", "code", wrong(code, 0)).wants(http.StatusUnprocessableEntity, "4 tries left")
		if got := p.submit("/login/code", "code", code).answer(); got.Get("code") == "" {
			t.Errorf("the victim can't log in: %v", got)
		}
		// A stranger can't tell either whether the login is done by now.
		if after := send(t, http.MethodGet, victim.url.String(), nil); after.alike() != before.alike() {
			t.Error("a foreign browser sees that the login is finished")
		}
	})
}

// The attacker's own link: the victim opens it, and nothing happens that the
// attacker could collect.
func TestAttackLinkIntoTheAttackersLogin(t *testing.T) {
	t.Parallel()
	r := start(t)
	attacker := r.authorize(newBrowser(t), r.newRequest(webClient))
	for _, victim := range []func() *browser{
		func() *browser { return newBrowser(t) },
		func() *browser { b, _ := r.signedIn(t); return b },
	} {
		b := victim()
		sid, txn := r.cookie(b, "handset_sid"), r.cookie(b, "handset_txn")
		for _, step := range []string{"phone", "code", "resend", "continue"} {
			p := b.get(r.base + "/login/" + step + "?txn=" + attacker.url.Query().Get("txn"))
			if p.status < 400 || strings.Contains(p.body, "<form") {
				t.Errorf("%s: %d with %s", step, p.status, p.words())
			}
		}
		if r.cookie(b, "handset_sid") != sid || r.cookie(b, "handset_txn") != txn {
			t.Error("the link changed the victim's cookies")
		}
	}
	p := attacker.b.get(attacker.url.String()).wants(http.StatusOK, "Mobile number")
	if _, fields := p.form("/login/phone"); fields.Get("phone") != "" {
		t.Error("the victim's number shows in the attacker's login")
	}
}

// foreignPosts are how browsers say that another site posts a form.
var foreignPosts = [][]string{
	{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
	{"Sec-Fetch-Site", "cross-site", "Origin", "null"},
	{"Sec-Fetch-Site", "same-site", "Origin", "http://sibling.example"},
	{"Sec-Fetch-Site", "cross-site"},
	{"Sec-Fetch-Site", "same-site"},
	{"Sec-Fetch-Site", "garbage"},
	{"Origin", "https://evil.example"},
	{"Origin", "http://127.0.0.1"}, // another port
	{"Origin", "https://127.0.0.1:443"},
	{"Origin", "file://"},
}

// security.md row 14: valid number, valid code, valid token and the victim's
// cookies, but another site is posting. The cookie's SameSite would keep it
// from being sent at all; the server does not rely on that.
func TestAttackLoginCSRF(t *testing.T) {
	t.Parallel()
	r := start(t)
	number := newNumber()
	p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
	code := r.gateway.code(number)
	form := r.stolen(p, "/login/code", "code", code, "phone", newNumber(), "country", "GB")
	for _, header := range foreignPosts {
		for _, step := range steps {
			form.action = r.base + "/login/" + step
			got := form.send(t, header...)
			if got.status != http.StatusForbidden || got.header.Get("Location") != "" || len(got.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s with %v: %d %v", step, header, got.status, got.header)
			}
		}
	}
}

// A form without the token, with another's or a bent one, from a browser that
// says nothing of where the form comes from.
func TestAttackFormWithoutItsToken(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	number := newNumber()
	b := newBrowser(t)
	p := r.askCode(b, r.newRequest(webClient), number)
	code := r.gateway.code(number)
	form := r.stolen(p, "/login/code", "code", code, "phone", newNumber(), "country", "GB")
	right := form.fields.Get("csrf")

	second := r.authorize(b, r.newRequest(webClient)) // another login of this very browser
	_, ofSecond := second.form("/login/phone")
	_, foreign := r.authorize(newBrowser(t), r.newRequest(webClient)).form("/login/phone")
	signedIn, _ := r.signedIn(t)
	looks := r.checks()
	question := signedIn.get(r.base + "/oidc/logout")
	_, ofLogout := question.form("/oidc/logout")

	for name, token := range map[string]string{
		"none": "", "another login's": ofSecond.Get("csrf"), "another browser's": foreign.Get("csrf"),
		"the logout form's": ofLogout.Get("csrf"), "cut": right[:len(right)-1], "padded": right + "=",
		"longer": right + "A", "in other case": strings.ToUpper(right), "with a line break": right[:10] + "\n" + right[10:],
		"made up": strings.Repeat("A", len(right)), "the cookie": r.cookie(b, "handset_txn"),
	} {
		for _, step := range steps {
			form.action = r.base + "/login/" + step
			got := form.with("csrf", token).send(t)
			if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || len(got.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s with token %s: %d %v", step, name, got.status, got.header)
			}
		}
	}
	// The right token does not open the browser's other login.
	form.action = r.base + "/login/phone"
	if got := form.with("txn", second.url.Query().Get("txn")).send(t); got.status != http.StatusBadRequest {
		t.Errorf("token of one login in another: %d", got.status)
	}
	if n := r.checks(); !maps.Equal(n, looks) {
		t.Errorf("codes were looked at: %v", n)
	}
	if n := len(r.gateway.to(number)); n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
	if got := p.submit("/login/code", "code", code).answer(); got.Get("code") == "" {
		t.Errorf("the login that was attacked: %v", got)
	}
}

// RP-Initiated Logout by image, link and foreign form.
func TestAttackLogoutCSRF(t *testing.T) {
	t.Parallel()
	r := start(t)
	b, _ := r.signedIn(t)
	other, _ := r.signedIn(t)
	foreign := other.get(r.base+"/oidc/logout").wants(http.StatusOK, "Sign out?")
	_, theirs := foreign.form("/oidc/logout")
	_, ours := b.get(r.base + "/oidc/logout").form("/oidc/logout")

	cookie := r.cookies(b)
	for name, form := range map[string]url.Values{
		"no token":          {"decision": {"approve"}, "logout": {ours.Get("logout")}},
		"another's form":    theirs,
		"another's token":   {"decision": {"approve"}, "logout": {ours.Get("logout")}, "csrf": {theirs.Get("csrf")}},
		"no sealed request": {"decision": {"approve"}, "csrf": {ours.Get("csrf")}},
		"a bent request":    {"decision": {"approve"}, "csrf": {ours.Get("csrf")}, "logout": {ours.Get("logout") + "AA"}},
		"twice":             {"decision": {"approve", "approve"}, "csrf": {ours.Get("csrf"), ours.Get("csrf")}, "logout": {ours.Get("logout"), ours.Get("logout")}},
	} {
		form.Set("decision", "approve")
		if name == "twice" {
			form["decision"] = []string{"approve", "approve"}
		}
		got := send(t, http.MethodPost, r.base+"/oidc/logout", form, "Cookie", cookie)
		if got.status < 400 || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
	}
	for _, header := range foreignPosts {
		ours.Set("decision", "approve")
		got := send(t, http.MethodPost, r.base+"/oidc/logout", ours, append([]string{"Cookie", cookie}, header...)...)
		if got.status != http.StatusForbidden || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("form of another site %v: %d %v", header, got.status, got.header)
		}
	}
	for _, query := range []string{"", "?client_id=" + webClient, "?decision=approve&csrf=" + ours.Get("csrf") + "&logout=" + ours.Get("logout")} {
		got := send(t, http.MethodGet, r.base+"/oidc/logout"+query, nil, "Cookie", cookie, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "image")
		if got.status != http.StatusOK || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("image with %q: %d", query, got.status)
		}
	}
	// A hint of another person's session ends nothing without a question.
	if p := r.authorize(b, r.newRequest(webClient).with("prompt", "none")); p.answer().Get("code") == "" {
		t.Error("the session is gone")
	}
}

// security.md row 15: a cookie planted before the login is worth nothing after it.
func TestAttackSessionFixation(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	opens := func(sid string) bool {
		q := r.newRequest(webClient).with("prompt", "none")
		got := send(t, http.MethodGet, r.base+"/authorize?"+q.Encode(), nil, "Cookie", "handset_sid="+sid)
		return got.location(t).Query().Has("code")
	}
	attacker, attackersNumber := r.signedIn(t)
	live := r.cookie(attacker, "handset_sid")
	if !opens(live) {
		t.Fatal("the attacker's own session does not open")
	}
	for name, planted := range map[string]string{
		"made up": strings.Repeat("A", 26), "the attacker's session": live, "of odd shape": "admin", "empty": "",
	} {
		b, number := newBrowser(t), newNumber()
		r.plant(b, "handset_sid", planted)
		q := r.newRequest(webClient).with("prompt", "login")
		code := r.login(b, q, number).answer().Get("code")
		now := r.cookie(b, "handset_sid")
		if now == planted || len(now) < 26 {
			t.Errorf("%s: the session's cookie is %q", name, now)
		}
		if opens(planted) {
			t.Errorf("%s: the planted cookie opens a session", name)
		}
		_, info := r.userinfo(r.exchange(webClient, q, code).AccessToken)
		if info["phone_number"] != number || info["phone_number"] == attackersNumber {
			t.Errorf("%s: logged in as %v", name, info)
		}
	}

	// The transaction's cookie: the attacker knows it, and even the address of
	// the login. What the victim proves does not fall to him.
	b, number := newBrowser(t), newNumber()
	planted := strings.Repeat("B", 26)
	r.plant(b, "handset_txn", planted)
	p := r.askCode(b, r.newRequest(webClient), number)
	form := r.stolen(p, "/login/code", "code", r.gateway.code(number))
	p.submit("/login/code", "code", r.gateway.code(number)).answer()
	form.cookie = "handset_txn=" + planted
	for _, step := range steps {
		form.action = r.base + "/login/" + step
		got := form.send(t)
		if strings.HasPrefix(got.header.Get("Location"), r.callback) || strings.Contains(strings.Join(got.header.Values("Set-Cookie"), ""), "handset_sid") {
			t.Errorf("%s with the planted cookie: %d to %s", step, got.status, got.header.Get("Location"))
		}
	}
}

// security.md §3.38: steps can't be skipped, and the one before does not count.
func TestAttackSkipSteps(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	b := newBrowser(t)
	p := r.authorize(b, r.newRequest(webClient))
	form := r.stolen(p, "/login/phone", "code", "123456")
	txn := p.url.Query().Get("txn")
	for step, status := range map[string]int{"code": http.StatusBadRequest, "resend": http.StatusSeeOther, "continue": http.StatusSeeOther} {
		form.action = r.base + "/login/" + step
		got := form.send(t)
		if got.status != status || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s before the number: %d, want %d", step, got.status, status)
		}
		if to := got.location(t); status == http.StatusSeeOther && to.Path != "/login/phone" {
			t.Errorf("%s before the number leads to %s", step, to)
		}
	}
	if got := send(t, http.MethodGet, r.base+"/login/code?txn="+txn, nil, "Cookie", form.cookie); got.location(t).Path != "/login/phone" {
		t.Errorf("code page before the number: %d to %s", got.status, got.header.Get("Location"))
	}

	// After the number, before the code.
	number := newNumber()
	p.submit("/login/phone", "phone", number).wants(http.StatusOK, "Check your phone")
	r.gateway.wait(number, 1)
	form.action = r.base + "/login/continue"
	for range 2 {
		if got := form.send(t); got.location(t).Path != "/login/phone" {
			t.Errorf("continue before the code: %d to %s", got.status, got.header.Get("Location"))
		}
	}
	for _, path := range []string{"/authorize/callback?id=" + txn, "/authorize/callback?txn=" + txn, "/login/continue?txn=" + txn, "/authorize?txn=" + txn} {
		if got := send(t, http.MethodGet, r.base+path, nil, "Cookie", form.cookie); got.status < 400 {
			t.Errorf("%s: %d to %s", path, got.status, got.header.Get("Location"))
		}
	}
	if len(r.checks()) > 0 {
		t.Error("a code was looked at")
	}
}

// A session that a request does not accept must not answer it by the side door
// of "continue": prompt=login, max_age, id_token_hint.
func TestAttackContinueWithASessionThatWillNotDo(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	b, _ := r.signedIn(t)
	stranger, q := newBrowser(t), r.newRequest(webClient)
	hint := r.exchange(webClient, q, r.login(stranger, q, newNumber()).answer().Get("code")).IDToken
	r.clock.Advance(2e9)
	for name, pairs := range map[string][]string{
		"prompt=login": {"prompt", "login"}, "max_age": {"max_age", "1"}, "max_age=0": {"max_age", "0"}, "another's id_token_hint": {"id_token_hint", hint},
	} {
		p := r.authorize(b, r.newRequest(webClient).with(pairs...)).wants(http.StatusOK, "Mobile number")
		form := r.stolen(p, "/login/phone")
		form.action = r.base + "/login/continue"
		if got := form.send(t); got.location(t).Path != "/login/phone" {
			t.Errorf("%s: continue leads to %s", name, got.header.Get("Location"))
		}
		if p = b.get(p.url.String()); !strings.Contains(p.words(), "Mobile number") {
			t.Errorf("%s: %s", name, p.words())
		}
	}
	// Whoever logs in under another's hint gets no code, and no session.
	b, number := newBrowser(t), newNumber()
	got := r.login(b, r.newRequest(webClient).with("id_token_hint", hint), number).answer()
	if got.Get("error") != "login_required" || got.Has("code") || r.cookie(b, "handset_sid") != "" {
		t.Errorf("answer: %v, session %q", got, r.cookie(b, "handset_sid"))
	}
}

// security.md §3.37: what the request asked for was frozen when it came.
func TestAttackChangeTheRequestBetweenSteps(t *testing.T) {
	t.Parallel()
	r := start(t, withClient("other", func(c *config.Client) {
		c.ClientSecret = config.NewSecret(secret)
		c.Callbacks = []string{"https://other.example/cb"}
	}))
	change := url.Values{
		"client_id": {"other"}, "redirect_uri": {"https://other.example/cb"}, "state": {"changed"}, "nonce": {"changed"},
		"scope": {"openid"}, "code_challenge": {""}, "response_mode": {"fragment"}, "response_type": {"token"}, "prompt": {"none"},
	}
	b, q, number := newBrowser(t), r.newRequest(webClient), newNumber()
	p := r.authorize(b, q)
	form := r.stolen(p, "/login/phone", "phone", number)
	for name, values := range change {
		form.fields[name] = values
	}
	p = b.post(form.action+"?"+change.Encode(), form.fields).wants(http.StatusOK, "Check your phone", "web app")
	form = r.stolen(p, "/login/code", "code", r.gateway.code(number))
	for name, values := range change {
		form.fields[name] = values
	}
	got := b.post(form.action+"?"+change.Encode(), form.fields).answerBy("query")
	if got.Get("state") != q.Get("state") || got.Get("code") == "" {
		t.Fatalf("answer: %v", got)
	}
	if none := r.exchange("other", q, got.Get("code"), "client_secret", secret, "redirect_uri", "https://other.example/cb"); none.Error != "invalid_grant" {
		t.Errorf("the other client: %d %s", none.status, none.Error)
	}
	set := r.exchange(webClient, q, got.Get("code"))
	if set.status != http.StatusOK || claims(t, set.IDToken)["nonce"] != q.Get("nonce") || set.Scope != q.Get("scope") {
		t.Errorf("tokens: %d %s, scope %q", set.status, set.Error, set.Scope)
	}
}
