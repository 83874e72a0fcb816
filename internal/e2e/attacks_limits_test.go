package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// numberForm is the form of the number page of a new login.
func (r *rig) numberForm(t testing.TB, header ...string) posted {
	t.Helper()
	begun := send(t, http.MethodGet, r.base+"/authorize?"+r.newRequest(webClient).Encode(), nil, header...)
	cookie, _, _ := strings.Cut(begun.header.Get("Set-Cookie"), ";")
	shown := send(t, http.MethodGet, r.base+begun.header.Get("Location"), nil, append([]string{"Cookie", cookie}, header...)...)
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(shown.body)
	if len(token) != 2 {
		t.Fatalf("no form: %d to %q, %d", begun.status, begun.header.Get("Location"), shown.status)
	}
	txn := begun.location(t).Query().Get("txn")
	return posted{r.base + "/login/phone", url.Values{"csrf": {token[1]}, "txn": {txn}, "country": {"GB"}}, cookie}
}

// sent reports whether an answer to the number page's form leads to the code page.
func (a reply) sent(t testing.TB) bool {
	return a.status == http.StatusSeeOther && a.location(t).Path == "/login/code"
}

// security.md row 24: however a number is spelled, it is one number.
func TestAttackSpellTheNumberAnew(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	number := newNumber()
	national := strings.TrimPrefix(number, "+44") // 10 digits
	wide := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c - '0' + '０'
		}
		return c
	}, national)
	arabic := strings.Map(func(c rune) rune { return c - '0' + '٠' }, national)
	spellings := []string{
		number, "0" + national, "0044" + national, "+44 (0)" + national, "+44" + national[:4] + " " + national[4:], "+44-" + national[:3] + "-" + national[3:],
		"\u200e" + number + "\u200f", "＋44" + wide, "+44" + arabic, "  " + number + "\u00a0", "0" + national[:4] + "." + national[4:], "+44 " + strings.Join(strings.Split(national, ""), " "),
	}
	if len(spellings) < 12 {
		t.Fatal("twelve spellings are wanted")
	}
	sent := 0
	for i, s := range spellings {
		form := r.numberForm(t)
		got := form.with("phone", s).send(t)
		switch {
		case got.sent(t):
			sent++
		case got.status != http.StatusTooManyRequests:
			t.Errorf("%q: %d, want a text or a limit", s, got.status)
		case i < 5:
			t.Errorf("%q: limited as number %d", s, i+1)
		}
	}
	if sent != 5 {
		t.Errorf("twelve spellings of one number got %d texts, want 5", sent)
	}
	if n := len(r.gateway.to(number)); n > 5 {
		t.Errorf("the gateway saw %d", n)
	}
	// What is more than a number is refused, and not cut to one.
	for _, s := range []string{
		number + " ext 12", number + "x12", number + ";ext=12", number + ",,12", number + "#12", number + "p12", "tel:" + number, number + "1", number + "12", number[:len(number)-2],
		"+44" + national + "/" + national, number + " " + number, number + "\n" + newNumber(), "+" + number, number + "a", "+447911O23456", "+44①②③④⑤⑥⑦⑧⑨⑩", "+881612345678", "+449012345678", "+447012345678", "+18764681234", "+33612345678", "999", "",
	} {
		form := r.numberForm(t)
		if got := form.with("phone", s).send(t); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d, want 422", s, got.status)
		}
	}
}

// security.md row 25: what a stranger writes into X-Forwarded-For counts for
// nothing, and is not told to the gateway as an address.
func TestAttackFakeForwardedFor(t *testing.T) {
	t.Parallel()
	r := start(t)
	sent := 0
	for i := range 30 {
		fake := fmt.Sprintf("203.0.113.%d", i)
		header := []string{"X-Forwarded-For", fake, "X-Real-IP", fake, "Forwarded", "for=" + fake, "True-Client-IP", fake, "CF-Connecting-IP", fake, "X-Client-IP", fake}
		form := r.numberForm(t, header...)
		number := newNumber()
		got := form.with("phone", number).send(t, header...)
		if got.sent(t) {
			sent++
			if m := r.gateway.wait(number, 1); m.Req == nil || m.Req.IP != "127.0.0.1" {
				t.Errorf("the gateway was told %+v", m.Req)
			}
		} else if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
			t.Errorf("%d, Retry-After %q", got.status, got.header.Get("Retry-After"))
		}
	}
	if sent != 10 {
		t.Errorf("one peer with 30 faked addresses got %d texts, want 10", sent)
	}
	if n := strings.Count(r.logs.String(), "trusted_proxies is empty"); n != 1 {
		t.Errorf("the log warns %d times, want once", n)
	}
}

// Behind a proxy that is trusted the right-most foreign address counts, whatever
// the client wrote to the left of it; and a /64 of IPv6 is one subscriber.
func TestAttackForwardedForThroughTheProxy(t *testing.T) {
	t.Parallel()
	trusted := withConfig(func(c *config.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	})
	for name, tt := range map[string]struct {
		header func(i int) []string
		sent   int
		told   string
	}{
		"made up to the left": {func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("192.0.2.%d, 198.51.100.7", i)}
		}, 10, "198.51.100.7"},
		"a second header to the left": {func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i), "X-Forwarded-For", "198.51.100.7"}
		}, 10, "198.51.100.7"},
		"a made-up proxy": {func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("192.0.2.%d, 10.0.0.%d, 198.51.100.7, 10.1.1.1", i, i)}
		}, 10, "198.51.100.7"},
		"garbage": {func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("192.0.2.%d, nobody-%d", i, i)}
		}, 10, "127.0.0.1"},
		"garbage between": {func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("192.0.2.%d, , 10.1.1.1", i)}
		}, 10, "10.1.1.1"},
		"IPv6 of one /64": {func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("2001:db8:1:2:%x:%x::%x", i+1, 255-i, i)}
		}, 10, ""},
		"IPv6 with zones": {func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("fe80::1%%eth%d", i)}
		}, 10, ""},
		"IPv4 in IPv6 clothes": {func(i int) []string {
			return []string{"X-Forwarded-For", []string{"198.51.100.7", "::ffff:198.51.100.7", "::ffff:c633:6407"}[i%3]}
		}, 10, "198.51.100.7"},
		// So that the cases above prove something.
		"addresses that differ":     {func(i int) []string { return []string{"X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)} }, 14, ""},
		"IPv6 networks that differ": {func(i int) []string { return []string{"X-Forwarded-For", fmt.Sprintf("2001:db8:1:%x::1", i)} }, 14, ""},
		"IPv4 in IPv6 that differ":  {func(i int) []string { return []string{"X-Forwarded-For", fmt.Sprintf("::ffff:198.51.100.%d", i)} }, 14, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, trusted)
			sent := 0
			for i := range 14 {
				header, number := tt.header(i), newNumber()
				form := r.numberForm(t, header...)
				if !form.with("phone", number).send(t, header...).sent(t) {
					continue
				}
				sent++
				if m := r.gateway.wait(number, 1); tt.told != "" && m.Req.IP != tt.told {
					t.Errorf("the gateway was told %s, want %s", m.Req.IP, tt.told)
				}
			}
			if sent != tt.sent {
				t.Errorf("%d texts, want %d", sent, tt.sent)
			}
		})
	}
}

// withoutSignup lets only people in who are known.
func withoutSignup() option { return withOption("disable_signup", true) }

// withOption sets an option of the connection.
func withOption(name string, value any) option {
	return withConfig(func(c *config.Config) {
		var o map[string]any
		if err := json.Unmarshal(c.Connections[0].Options.JSON(), &o); err != nil {
			panic(err)
		}
		o[name] = value
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		c.Connections[0].Options = config.NewOptions(string(text))
	})
}

// person registers a number.
func (r *rig) person(number string) storage.UserID {
	r.t.Helper()
	n, err := phone.FromStored(number)
	if err != nil {
		r.t.Fatal(err)
	}
	u := storage.User{ID: storage.UserID("sms|" + strings.Repeat("0", 11) + strings.TrimPrefix(number, "+")[:12] + "f"), Number: n, CreatedAt: r.clock.Now(), UpdatedAt: r.clock.Now()}
	if err := r.server.SQL.AddUser(r.t.Context(), u); err != nil {
		r.t.Fatal(err)
	}
	return u.ID
}

// varying is what of two answers may differ: identifiers, references, digits that
// count down, and the number that was typed.
var varying = regexp.MustCompile(`[0-9A-V]{8}[A-Z2-7]{26}|[A-Z2-7]{26}|[A-Za-z0-9_-]{40,}|[A-Z2-7]{12}|\b[0-9A-Z]{4}-[0-9A-Z]{2}\b|[0-9]+`)

// told is all of an answer that could tell one number from another.
func (a reply) told() string {
	var names []string
	for name := range a.header {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Sprint(a.status, names, len(varying.ReplaceAllString(a.header.Get("Location"), "")),
		varying.ReplaceAllString(a.header.Get("Location"), "_"), varying.ReplaceAllString(a.body, "_"))
}

// walk goes through a login with wrong codes, resends and too many texts, and
// returns everything that was seen on the way.
func (r *rig) walk(t testing.TB, number string) []string {
	t.Helper()
	var seen []string
	note := func(a reply) reply {
		seen = append(seen, a.told())
		return a
	}
	for range 7 { // five texts, then the limit
		form := r.numberForm(t)
		got := note(form.with("phone", number).send(t))
		if !got.sent(t) {
			continue
		}
		code := posted{r.base + "/login/code", url.Values{"csrf": form.fields["csrf"], "txn": form.fields["txn"]}, form.cookie}
		shown := note(send(t, http.MethodGet, r.base+got.header.Get("Location"), nil, "Cookie", form.cookie))
		digits := "000000"
		if strings.Contains(shown.body, "8-digit") {
			digits = "00000000"
		}
		for range 3 {
			note(code.with("code", digits).send(t))
		}
		note(code.with("code", "x").send(t))
		code.action = r.base + "/login/resend"
		note(code.send(t))
	}
	return seen
}

// security.md row 27: with sign-up off, known and unknown numbers, and people
// who are blocked, see the same pages and the same limits; and only the known
// one gets texts.
func TestAttackEnumerateNumbers(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits(), withoutSignup())
	known, unknown, blocked := newNumber(), newNumber(), newNumber()
	r.person(known)
	if err := r.server.SQL.BlockUser(t.Context(), r.person(blocked), r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	want := r.walk(t, known)
	for name, number := range map[string]string{"unknown": unknown, "blocked": blocked} {
		got := r.walk(t, number)
		if len(got) != len(want) {
			t.Fatalf("%s: %d answers, known ones %d", name, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s, answer %d:\n%s\nknown:\n%s", name, i, got[i], want[i])
			}
		}
	}
	r.gateway.wait(known, 5)
	if n := len(r.gateway.to(unknown)) + len(r.gateway.to(blocked)); n != 0 {
		t.Errorf("%d texts to those who get none", n)
	}
	// The known one still logs in, once there are texts again.
	r.clock.Advance(24 * time.Hour)
	q := r.newRequest(webClient)
	if got := r.login(newBrowser(t), q, known).answer(); got.Get("code") == "" {
		t.Errorf("the known person: %v", got)
	}
}

// With sign-up on, a blocked person learns nothing either: no text, the same
// pages, and no code that would do.
func TestAttackBlockedPersonComesBack(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	number, fresh := newNumber(), newNumber()
	q := r.newRequest(webClient)
	b := newBrowser(t)
	got := r.exchange(webClient, q, r.login(b, q, number).answer().Get("code"))
	spare := r.authorize(b, r.newRequest(webClient)).answer().Get("code")
	n, err := phone.FromStored(number)
	if err != nil {
		t.Fatal(err)
	}
	user, err := r.server.SQL.UserByNumber(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	pending := r.askCode(newBrowser(t), r.newRequest(webClient), number)
	code := r.gateway.code(number)
	texts := len(r.gateway.to(number))
	if err := r.server.SQL.BlockUser(t.Context(), user.ID, r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	// A code that was sent before the block opens nothing any more.
	if a := pending.submit("/login/code", "code", code).answer(); a.Get("error") != "access_denied" || a.Has("code") {
		t.Errorf("the code sent before: %v", a)
	}
	form, other := r.numberForm(t), r.numberForm(t)
	if a, b := form.with("phone", number).send(t), other.with("phone", fresh).send(t); a.told() != b.told() {
		t.Errorf("blocked:\n%s\nnew:\n%s", a.told(), b.told())
	}
	r.gateway.wait(fresh, 1)
	if n := len(r.gateway.to(number)); n != texts {
		t.Errorf("%d texts to a blocked person", n-texts)
	}
	if next := r.refresh(webClient, got.Refresh); next.Error != "invalid_grant" {
		t.Errorf("refresh: %d %s", next.status, next.Error)
	}
	if next := r.exchange(webClient, q, spare); next.Error != "invalid_grant" {
		t.Errorf("a code from before: %d %s", next.status, next.Error)
	}
	if p := r.authorize(b, r.newRequest(webClient).with("prompt", "none")); p.answer().Get("error") != "login_required" {
		t.Errorf("the session: %v", p.answer())
	}
	if status, _ := r.userinfo(got.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("userinfo: %d", status)
	}
}

// Row 27 by the clock: what an answer takes is the work of its request, since the
// text of a known number leaves behind it. So the stores are asked the same for
// known and unknown numbers, and no answer waits for the gateway, which here takes
// no text before all answers are there.
func TestAttackEnumerateByTime(t *testing.T) {
	t.Parallel()
	r, f := startFailing(t, withoutSignup())
	release := make(chan struct{})
	r.gateway.answers(func(http.ResponseWriter, *http.Request) bool {
		<-release
		return true
	})
	known, unknown, blocked := newNumber(), newNumber(), newNumber()
	r.person(known)
	if err := r.server.SQL.BlockUser(t.Context(), r.person(blocked), r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	asked := func(number string) map[string]int {
		form := r.numberForm(t).with("phone", number)
		return f.during(func() {
			if got := form.send(t); !got.sent(t) {
				t.Errorf("%d", got.status)
			}
		})
	}
	want := asked(known)
	if want["UserByNumber"] != 1 || want["StartChallenge"] != 1 {
		t.Fatalf("a known number asks the stores for %v", want)
	}
	for name, number := range map[string]string{"unknown": unknown, "blocked": blocked} {
		if got := asked(number); !maps.Equal(got, want) {
			t.Errorf("%s numbers ask the stores for %v, known ones for %v", name, got, want)
		}
	}
	if n := len(r.gateway.to(known)); n != 0 {
		t.Errorf("an answer waited for the gateway: it took %d texts", n)
	}
	close(release)
	r.gateway.wait(known, 1)
}
