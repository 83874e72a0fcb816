package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// oneChromium is the one Chromium of the test binary: it runs while a test uses it.
var oneChromium struct {
	mu    sync.Mutex
	users int
	ctx   context.Context
	stop  func()
}

// chromium returns the running browser. Without one on the machine the test is
// skipped, or fails where CI=true.
func chromium(t *testing.T) context.Context {
	t.Helper()
	binary := chromiumBinary(t)
	oneChromium.mu.Lock()
	defer oneChromium.mu.Unlock()
	if oneChromium.users == 0 {
		startChromium(t, binary)
	}
	oneChromium.users++
	t.Cleanup(func() {
		oneChromium.mu.Lock()
		defer oneChromium.mu.Unlock()
		if oneChromium.users--; oneChromium.users == 0 {
			oneChromium.stop()
		}
	})
	return oneChromium.ctx
}

func chromiumBinary(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium in PATH")
	}
	t.Skip("no Chromium in PATH")
	return ""
}

func startChromium(t *testing.T, binary string) {
	t.Helper()
	data, err := os.MkdirTemp("", "handset-chromium")
	if err != nil {
		t.Fatal(err)
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(binary), chromedp.UserDataDir(data), chromedp.WSURLReadTimeout(patience),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true),
		// Tests run side by side; none of them is in the background.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
	)
	ctx, stop := chromedp.NewContext(allocator)
	oneChromium.ctx = ctx
	oneChromium.stop = func() {
		stop()
		stopAllocator()
		_ = os.RemoveAll(data) // in the temporary folder anyway
	}
	if err := chromedp.Do(ctx); err != nil {
		oneChromium.stop()
		t.Fatalf("start Chromium: %v", err)
	}
}

// look is how a person sees the pages of a test.
type look struct {
	name  string
	width int64
	js    bool
}

// looks are those that every behaviour of the pages is tested in. Each picture is
// taken at both widths.
var looks = []look{
	{"JavaScript", 1280, true},
	{"NoJavaScript", 360, false},
}

// tab is a tab of a person's browser. It fails its test when the browser has
// anything to complain of.
type tab struct {
	t    testing.TB
	ctx  context.Context
	look look

	mu       sync.Mutex
	status   int64  // of the newest page
	said     string // complaints that no test has excused
	requests []string
}

// newTab opens a tab in a browser without cookies or history: another person,
// or another machine.
func newTab(t testing.TB, browser context.Context, l look) *tab {
	t.Helper()
	return openTab(t, browser, l, chromedp.WithNewBrowserContext())
}

// beside opens another tab of the same browser.
func (b *tab) beside() *tab {
	b.t.Helper()
	return openTab(b.t, b.ctx, b.look)
}

func openTab(t testing.TB, parent context.Context, l look, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t, look: l}
	var cancel func()
	b.ctx, cancel = chromedp.NewContext(parent, opts...)
	t.Cleanup(func() {
		b.complain()
		cancel()
	})
	if err := chromedp.Listen(b.ctx, b.listen); err != nil {
		t.Fatalf("listen to Chromium: %v", err)
	}
	b.do(chromedp.EmulateViewport(l.width, 800), b.call(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		if err != nil || l.js {
			return err
		}
		_, err = cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	return b
}

func (b *tab) call(f func(context.Context, *chromedp.Target) error) chromedp.Action[chromedp.Void] {
	return chromedp.Func(f)
}

// listen collects what the browser says against the pages: violations of the
// policy, missing files, errors of scripts.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.Method+" "+e.Request.URL)
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			b.status = e.Response.Status
		}
		if e.Response.Status == 404 || e.Response.Status >= 400 && e.Type != network.ResourceTypeDocument {
			b.said += fmt.Sprintf("%d for %s\n", e.Response.Status, e.Response.URL)
		}
	case *log.EventEntryAdded:
		// The browser notes each page with an error's status; tests know those.
		if !strings.HasPrefix(e.Entry.Text, "Failed to load resource: the server responded with a status of") {
			b.said += string(e.Entry.Level) + ": " + e.Entry.Text + " " + e.Entry.URL + "\n"
		}
	case *runtime.EventExceptionThrown:
		b.said += "exception: " + e.ExceptionDetails.Text + "\n"
	case *runtime.EventConsoleAPICalled:
		b.said += "console: " + string(e.Type) + "\n"
	}
}

func (b *tab) complain() {
	b.t.Helper()
	if said := b.excused(); said != "" {
		b.t.Errorf("%s: the browser says: %s", b.look.name, said)
	}
}

// excused takes back what the browser said so far.
func (b *tab) excused() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.said
	b.said = ""
	return said
}

// sent counts the requests so far by method and the end of their path.
func (b *tab) sent(method, end string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.requests {
		m, address, _ := strings.Cut(r, " ")
		if u, err := url.Parse(address); err == nil && m == method && strings.HasSuffix(u.Path, end) {
			n++
		}
	}
	return n
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v; the page: %s", b.look.name, err, b.words())
	}
}

// text evaluates an expression to a string. It works with scripts switched off,
// too: it is the test that looks, not the page.
func (b *tab) text(expression string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %s: %v", b.look.name, expression, err)
	}
	return got
}

// words is the page as a person reads it.
func (b *tab) words() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience/4)
	defer cancel()
	got, _ := chromedp.Run(ctx, chromedp.Evaluate[string](
		"location.href + '\\n' + document.title + '\\n' + (document.body ? document.body.innerText : '')"))
	return got
}

// until waits for an expression to become true, over changes of page.
func (b *tab) until(expression string) *tab {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		// An error says that the page is just being left.
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		cancel()
		if err == nil && ok {
			return b
		}
		select {
		case <-deadline:
			b.t.Fatalf("%s: never came: %s; the page: %s", b.look.name, expression, b.words())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// open goes to an address.
func (b *tab) open(address string) *tab {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
	return b
}

// leaves does a step and waits until another page is there.
func (b *tab) leaves(step chromedp.Action[chromedp.Void]) *tab {
	b.t.Helper()
	b.text("window.beforeTheStep = true")
	b.do(step)
	return b.until("!window.beforeTheStep && document.readyState === 'complete'")
}

// click presses what the selector finds with the mouse, and waits for the next page.
func (b *tab) click(selector string) *tab {
	b.t.Helper()
	return b.leaves(clicking(selector, 1))
}

// clicking presses the mouse in the middle of what the selector finds. It asks the
// page where that is: what chromedp knows of a page is gone when the page comes
// back from the back/forward cache.
func clicking(selector string, times int) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		at, err := chromedp.Evaluate[[]float64](fmt.Sprintf(`(() => {
			const found = document.querySelector(%q);
			found.scrollIntoView({block: 'center', behavior: 'instant'});
			const r = found.getClientRects()[0];
			return [r.x + r.width / 2, r.y + r.height / 2];
		})()`, selector))(ctx, target)
		if err != nil {
			return err
		}
		for n := range times {
			if _, err := chromedp.MouseClickXY(at[0], at[1], chromedp.ClickCount(n+1))(ctx, target); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill replaces what a field holds, key by key.
func (b *tab) fill(selector, value string) *tab {
	b.t.Helper()
	b.text(fmt.Sprintf("(document.querySelector(%[1]q).focus(), document.querySelector(%[1]q).select())", selector))
	if value == "" {
		value = kb.Backspace
	}
	b.do(chromedp.KeyEvent(value))
	return b
}

// paste puts text into a field as the clipboard does: at once.
func (b *tab) paste(selector, value string) *tab {
	b.t.Helper()
	b.text(fmt.Sprintf("document.querySelector(%q).focus()", selector))
	b.do(b.call(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.InsertText, input.InsertTextParams{Text: value})
		return err
	}))
	return b
}

// back presses the browser's back button.
func (b *tab) back() *tab {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	history, err := chromedp.Run(ctx, chromedp.NavigationEntries())
	if err != nil || history.CurrentIndex < 1 {
		b.t.Fatalf("no way back: %v", err)
	}
	to := history.Entries[history.CurrentIndex-1]
	b.do(b.call(func(ctx context.Context, target *chromedp.Target) error {
		// A page that comes from the back/forward cache does not load.
		_, err := cdp.Call(ctx, target, cdppage.NavigateToHistoryEntry, cdppage.NavigateToHistoryEntryParams{EntryID: to.ID})
		return err
	}))
	return b.until(fmt.Sprintf("location.href === %q && document.readyState === 'complete'", to.URL))
}

// enterOnLink presses Enter as the keyboard does on a link: the key's character
// never reaches the field that the link leads to.
func (b *tab) enterOnLink() *tab {
	b.t.Helper()
	b.do(b.call(func(ctx context.Context, target *chromedp.Target) error {
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
			_, err := cdp.Call(ctx, target, input.DispatchKeyEvent, input.DispatchKeyEventParams{
				Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13,
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return b
}

// wants fails unless the page has the status and says all of the words.
func (b *tab) wants(status int, words ...string) *tab {
	b.t.Helper()
	b.mu.Lock()
	got := b.status
	b.mu.Unlock()
	if got != int64(status) {
		b.t.Fatalf("%s: status %d, want %d; the page: %s", b.look.name, got, status, b.words())
	}
	return b.says(words...)
}

// says fails unless the page says all of the words.
func (b *tab) says(words ...string) *tab {
	b.t.Helper()
	page := strings.Join(strings.Fields(b.words()), " ")
	for _, w := range words {
		if !strings.Contains(page, w) {
			b.t.Fatalf("%s: the page does not say %q: %s", b.look.name, w, page)
		}
	}
	return b
}

// is compares an expression with what it should be.
func (b *tab) is(expression, want string) *tab {
	b.t.Helper()
	if got := b.text(expression); got != want {
		b.t.Errorf("%s: %s = %q, want %q; the page: %s", b.look.name, expression, got, want, b.words())
	}
	return b
}

// answer is the authorization response at the callback of the rig.
func (b *tab) answer() url.Values {
	b.t.Helper()
	b.until("document.body && document.body.innerText.startsWith('callback ')")
	if body, ok := strings.CutPrefix(b.text("document.body.innerText"), "callback POST "); ok {
		v, err := url.ParseQuery(body)
		if err != nil {
			b.t.Fatal(err)
		}
		return v
	}
	u, err := url.Parse(b.text("location.href"))
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Query()
}

// media sets what the person prefers.
func (b *tab) media(features ...*emulation.MediaFeature) {
	b.t.Helper()
	b.do(b.call(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
}

// photographed takes pictures of the page at the width of a phone and of a
// desktop into artifacts/e2e, for people to look at. On the way it measures: no
// page may scroll sideways, down to 320 pixels, or break a rule of accessibility.
func (b *tab) photographed(name string) *tab {
	b.t.Helper()
	if b.look.js {
		b.photo(name+"-360", 360)
		b.photo(name+"-1280", 1280)
	} else {
		b.photo(name+"-nojs-360", 360)
	}
	b.do(chromedp.EmulateViewport(320, 640))
	b.is("document.documentElement.scrollWidth <= innerWidth", "true")
	b.do(chromedp.EmulateViewport(b.look.width, 800))
	b.accessible(name)
	return b
}

// alsoPhotographed is photographed with other colours, too.
func (b *tab) alsoPhotographed(name string) *tab {
	b.t.Helper()
	b.photographed(name)
	if !b.look.js {
		return b
	}
	for suffix, feature := range map[string]emulation.MediaFeature{
		"-dark":   {Name: "prefers-color-scheme", Value: "dark"},
		"-forced": {Name: "forced-colors", Value: "active"},
	} {
		b.media(&feature)
		b.photo(name+suffix+"-360", 360)
		if suffix == "-dark" {
			b.accessible(name + suffix)
		}
	}
	b.media(&emulation.MediaFeature{Name: "prefers-color-scheme"}, &emulation.MediaFeature{Name: "forced-colors"})
	b.do(chromedp.EmulateViewport(b.look.width, 800))
	return b
}

// photo makes the window as high as the page and takes the window.
func (b *tab) photo(name string, width int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 800))
	b.is("document.documentElement.scrollWidth <= innerWidth", "true")
	height := int64(800)
	if _, err := fmt.Sscan(b.text("Math.min(5000, Math.max(800, document.documentElement.scrollHeight))"), &height); err != nil {
		b.t.Fatal(err)
	}
	if height > 800 {
		b.do(chromedp.EmulateViewport(width, height))
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("picture of %s: %v", name, err)
	}
	folder := filepath.Join("..", "..", "artifacts", "e2e")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// axe is axe-core as npm has it (internal/e2e/axe); empty where it is not installed.
var axe = sync.OnceValue(func() string {
	source, _ := os.ReadFile(filepath.Join("axe", "node_modules", "axe-core", "axe.min.js"))
	return string(source)
})

// accessible runs the rules of axe-core over the page. They need the page's
// scripts switched on; what is drawn is the same without.
func (b *tab) accessible(name string) {
	b.t.Helper()
	if !b.look.js {
		return
	}
	if axe() == "" {
		if os.Getenv("CI") == "true" {
			b.t.Fatal("no axe-core in internal/e2e/axe/node_modules; run npm ci there")
		}
		b.t.Log("no axe-core in internal/e2e/axe/node_modules: accessibility not checked")
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		axe()+`;
		axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations.map((v) =>
			v.id + ': ' + v.help + ': ' + v.nodes.map((n) => n.html + ' ' + n.failureSummary).join('; ')).join('\n'))`,
		chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("axe on %s: %v", name, err)
	}
	if found != "" {
		b.t.Errorf("%s is not accessible: %s", name, found)
	}
}
