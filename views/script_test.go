package views

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// pages serves one page at "/", which a test may replace, and keeps the forms that
// are sent to it.
type pages struct {
	*httptest.Server
	mu    sync.Mutex
	page  templ.Component
	forms []url.Values
	hang  chan struct{} // a POST waits for it where it is not nil
}

func servePages(t *testing.T, page templ.Component) *pages {
	t.Helper()
	p := &pages{page: page}
	mux := http.NewServeMux()
	mux.Handle("GET /assets/{hash}/{name}", Assets())
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = p.page.Render(r.Context(), w)
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		p.mu.Lock()
		p.forms = append(p.forms, r.PostForm)
		p.mu.Unlock()
		if p.hang != nil {
			<-p.hang
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, "<!doctype html><title>sent</title><p id=sent>sent</p>")
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *pages) show(page templ.Component) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.page = page
}

func (p *pages) sent() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forms
}

// TestScripts runs what the scripts add in a browser.
func TestScripts(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	f := Frame{Locale: english(t), App: "Tiny"}
	text := func(t *testing.T, expression string) string {
		t.Helper()
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		return got
	}
	open := func(t *testing.T, page templ.Component) *pages {
		t.Helper()
		p := servePages(t, page)
		if err := chromedp.Do(ctx, chromedp.Navigate(p.URL)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	until := func(t *testing.T, expression string) {
		t.Helper()
		deadline := time.After(2 * time.Minute)
		for {
			// An error says that the page is just being left.
			if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err == nil && ok {
				return
			}
			select {
			case <-deadline:
				t.Fatalf("never came: %s", expression)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	const resend = `document.getElementById('resend')`
	const wait = `document.getElementById('wait')`
	const said = `document.getElementById('said')`

	t.Run("TheSummaryHasTheFocus", func(t *testing.T) {
		open(t, LoginPhone{Frame: f, Error: NumberUnreadable()}.Page())
		if got := text(t, `document.activeElement.id`); got != "summary" {
			t.Errorf("focus on %q, want summary", got)
		}
	})
	t.Run("TheHintFollowsTheCountry", func(t *testing.T) {
		const hint = `document.getElementById('phone-hint').innerText`
		const others = "To use a number from another listed country, start with +."
		open(t, LoginPhone{Frame: f, Countries: append(galleryCountries(), Country{Region: "TA", Calling: "290"})}.Page())
		text(t, `(country.value = 'JP', country.dispatchEvent(new Event('change')))`)
		if got := text(t, hint); got != "For example 090-1234-5678. "+others {
			t.Errorf("hint %q", got)
		}
		// A country without an example shows none: the one before is not its own.
		text(t, `(country.value = 'TA', country.dispatchEvent(new Event('change')))`)
		if got := text(t, hint); got != others {
			t.Errorf("hint %q", got)
		}
		text(t, `(country.value = 'DE', country.dispatchEvent(new Event('change')))`)
		if got := text(t, hint); got != "For example 01512 3456789. "+others {
			t.Errorf("hint %q", got)
		}
	})
	t.Run("TheCountdownShowsAndSpeaksOnce", func(t *testing.T) {
		open(t, LoginCode{Frame: f, Digits: 6, Number: "1", ResendIn: 2 * time.Second}.Page())
		if got := text(t, said+`.textContent`); got != "You can ask again in 2 seconds." && got != "You can ask for the code again." {
			t.Errorf("said %q", got)
		}
		if got := text(t, wait+`.ariaHidden`); got != "true" {
			t.Error("the ticking text is read aloud")
		}
		until(t, wait+`.textContent === 'You can ask for the code again.'`)
		until(t, said+`.textContent === 'You can ask for the code again.'`)
		if got := text(t, resend+`.ariaDisabled + ' ' + `+resend+`.disabled`); got != "false false" {
			t.Errorf("button %q", got)
		}
	})
	t.Run("TheCountdownIsAClock", func(t *testing.T) {
		open(t, LoginCode{Frame: f, Digits: 6, Number: "1", ResendIn: 10 * time.Minute}.Page())
		until(t, `/^You can ask again in (10:00|\d:[0-5]\d)\.$/.test(`+wait+`.textContent)`)
		if got := text(t, resend+`.ariaDisabled`); got != "true" {
			t.Errorf("aria-disabled %q", got)
		}
		open(t, LoginCode{Frame: f, Digits: 6, Number: "1", ResendIn: 3 * time.Hour}.Page())
		until(t, `/^You can ask again in (3:00:00|2:5\d:\d\d)\.$/.test(`+wait+`.textContent)`)
	})
	t.Run("AnEarlyPressSendsNothing", func(t *testing.T) {
		p := open(t, LoginCode{Frame: f, Digits: 6, Number: "1", ResendIn: 10 * time.Minute}.Page())
		if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#resend"))); err != nil {
			t.Fatal(err)
		}
		if n := len(p.sent()); n != 0 {
			t.Errorf("%d forms sent, want none", n)
		}
	})
	t.Run("AFormIsSentOnce", func(t *testing.T) {
		p := servePages(t, LoginPhone{Frame: f, Phone: "07700 900 982"}.Page())
		p.hang = make(chan struct{})
		if err := chromedp.Do(ctx, chromedp.Navigate(p.URL)); err != nil {
			t.Fatal(err)
		}
		text(t, `(document.querySelector('button').click(), document.querySelector('button').click(), document.forms[0].requestSubmit())`)
		close(p.hang)
		until(t, `document.getElementById('sent') !== null`)
		if n := len(p.sent()); n != 1 {
			t.Errorf("%d forms sent, want 1", n)
		}
	})
	t.Run("TheCodeOfTheTextIsSent", func(t *testing.T) {
		// WebOTP is there on phones only; a stand-in answers like one.
		const standIn = `window.OTPCredential = class {};
			navigator.credentials.get = async ({otp, signal}) => otp.transport[0] === 'sms' && signal ? {code: '042137'} : null;`
		script, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (page.AddScriptToEvaluateOnNewDocumentResult, error) {
			return cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: standIn})
		})
		if err != nil {
			t.Fatal(err)
		}
		p := open(t, LoginCode{Frame: f, CSRF: "c", Txn: "t", Digits: 6, Number: "1", Lifetime: time.Minute}.Page())
		until(t, `document.getElementById('sent') !== null`)
		if got := p.sent()[0].Encode(); got != "code=042137&csrf=c&txn=t" {
			t.Errorf("sent %s", got)
		}
		err = chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams(script))
			return err
		}))
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("LogoutKeepsItsDecision", func(t *testing.T) {
		p := open(t, Logout{Frame: f, CSRF: "c", Logout: "l"}.Page())
		if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("button"))); err != nil {
			t.Fatal(err)
		}
		until(t, `document.getElementById('sent') !== null`)
		if got := p.sent()[0].Encode(); got != "csrf=c&decision=approve&logout=l" {
			t.Errorf("sent %s", got)
		}
	})
	t.Run("TheFormPostSendsItself", func(t *testing.T) {
		p := servePages(t, nil)
		p.show(FormPost{Frame: f, Action: p.URL + "/cb", Fields: []Field{{"submit", "a"}, {"state", "é <b>"}}}.Page())
		if err := chromedp.Do(ctx, chromedp.Navigate(p.URL)); err != nil {
			t.Fatal(err)
		}
		until(t, `document.getElementById('sent') !== null`)
		if got := p.sent()[0].Get("state"); got != "é <b>" {
			t.Errorf("state %q", got)
		}
	})
	t.Run("TheInboxUpdatesItself", func(t *testing.T) {
		messages := []InboxMessage{{To: "+447700900982", Body: "Your code is 111111", At: time.Unix(1, 0)}}
		p := open(t, Inbox{Frame: f}.Page())
		for n := range 2 {
			p.show(Inbox{Frame: f, Messages: messages}.Page())
			until(t, fmt.Sprintf(`document.querySelectorAll('li').length === %d`, n+1))
			messages = append(messages, InboxMessage{To: "+447700900982", Body: "Your code is 222222", At: time.Unix(2, 0)})
		}
		if got := text(t, `document.querySelector('li strong').textContent`); got != "222222" {
			t.Errorf("on top: %q, want the newest", got)
		}
	})
	t.Run("TheInboxScrollsInsideThePhone", func(t *testing.T) {
		const phone, list = `document.querySelector('main')`, `document.getElementById('messages')`
		messages := slices.Repeat([]InboxMessage{{To: "+447700900982", Body: "Your code is 111111", At: time.Unix(1, 0)}}, 40)
		for _, l := range []struct {
			width, height int64
			want          string // the phone ends inside the window, its messages scroll
		}{
			{1280, 900, "true true"},
			{1280, 640, "true true"},
			{360, 740, "false false"}, // the window is the phone
		} {
			if err := chromedp.Do(ctx, chromedp.EmulateViewport(l.width, l.height)); err != nil {
				t.Fatal(err)
			}
			open(t, Inbox{Frame: f, Messages: messages}.Page())
			got := text(t, phone+`.getBoundingClientRect().bottom < innerHeight`) + " " + text(t, list+`.scrollHeight > `+list+`.clientHeight`)
			if got != l.want {
				t.Errorf("%d×%d: got %s, want %s", l.width, l.height, got, l.want)
			}
		}
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
			t.Fatal(err)
		}
	})
}
