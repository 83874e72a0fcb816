package e2e

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/storage"
)

// twoSenders are the rig's own gateway and another one behind it, for numbers of
// all countries.
type twoSenders struct {
	*rig
	other *gateway
}

func startTwoSenders(t *testing.T, opts ...option) *twoSenders {
	t.Helper()
	other := newGateway(t)
	r := start(t, append(opts, withoutAddressLimits(), withConfig(func(c *config.Config) {
		c.Senders = config.Senders{"other": other.options(nil)}
		c.Routes = []config.Route{{To: []string{"all"}, Via: []string{"sms", "other"}}}
	}))...)
	return &twoSenders{r, other}
}

// ask goes as far as the code page, whoever sends the text.
func (r *twoSenders) ask(q request, number string) *page {
	r.t.Helper()
	return r.authorize(newBrowser(r.t), q).wants(http.StatusOK).
		submit("/login/phone", "phone", number).wants(http.StatusOK, "Check your phone")
}

// metrics is what operators see.
func (r *rig) metrics() string {
	r.t.Helper()
	got := send(r.t, http.MethodGet, r.admin+"/metrics", nil)
	if got.status != http.StatusOK {
		r.t.Fatalf("metrics: %d", got.status)
	}
	return got.body
}

var referenceOnPage = regexp.MustCompile(`Reference ([0-9A-Z]{4}-[0-9A-Z]{2})`)

// reference is the one that a page shows.
func (p *page) reference(t testing.TB) string {
	t.Helper()
	found := referenceOnPage.FindStringSubmatch(p.words())
	if found == nil {
		t.Fatalf("no reference on the page: %s", p.words())
	}
	return found[1]
}

// timeline waits until as many texts and events are on record under a reference.
func (r *rig) timeline(reference string, texts, events int) (t storage.TextTimeline) {
	r.t.Helper()
	awaits(r.t, "what became of texts is on record", func() bool {
		var err error
		t, err = r.server.SQL.Timeline(r.t.Context(), reference)
		return err == nil && len(t.Texts) >= texts && len(t.Events) >= events
	})
	return t
}

// A sender that is down loses no login: the person notices nothing.
func TestASenderThatIsDownLosesNoLogin(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"server error": status(http.StatusInternalServerError),
		"wrong token":  status(http.StatusUnauthorized),
		"not 200":      status(http.StatusAccepted),
		"garbage":      hijacked("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
		"cut off":      hijacked(""),
		"redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startTwoSenders(t)
			r.gateway.answers(answer)
			number := newNumber()
			q := r.newRequest(webClient)
			p := r.ask(q, number)
			code := r.other.code(number)
			reference := p.reference(t)
			got := r.exchange(webClient, q, p.submit("/login/code", "code", code).answer().Get("code"))
			if got.status != http.StatusOK {
				t.Fatalf("token: %d", got.status)
			}
			story := r.timeline(reference, 1, 1)
			text := story.Texts[0]
			if text.Sender != "other" || len(text.Story.Attempts) != 2 || text.Story.Attempts[0].Error == "" || text.Number.E164() != number {
				t.Errorf("on record: %+v", text)
			}
			if story.Events[0].Kind != storage.CodeAccepted {
				t.Errorf("event %+v", story.Events[0])
			}
		})
	}
}

// An answer without end is read for a moment only, and counts as what its status says.
func TestAGatewayThatTalksWithoutEnd(t *testing.T) {
	t.Parallel()
	r := startTwoSenders(t)
	r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusOK)
		chunk := make([]byte, 64<<10)
		for range 160 { // 10 MB
			if _, err := w.Write(chunk); err != nil {
				break
			}
		}
		return true
	})
	r.login(newBrowser(t), r.newRequest(webClient), newNumber()).answer()
	if n := len(r.other.texts); n != 0 {
		t.Errorf("%d texts by the second sender as well", n)
	}
}

// "I did not get it" goes by the next sender, with the same code.
func TestResendGoesByTheNextSender(t *testing.T) {
	t.Parallel()
	r := startTwoSenders(t)
	number := newNumber()
	q := r.newRequest(webClient)
	p := r.ask(q, number)
	first := r.gateway.code(number)
	reference := p.reference(t)
	r.timeline(reference, 1, 0)
	r.clock.Advance(40 * time.Second)
	p = p.submit("/login/resend").wants(http.StatusOK, "We sent the code again")
	if second := r.other.code(number); second != first || p.reference(t) != reference {
		t.Errorf("the second sender sent %s, the first %s", second, first)
	}
	p.submit("/login/code", "code", first).answer()
	story := r.timeline(reference, 2, 1)
	if story.Texts[0].Sender != "sms" || story.Texts[1].Sender != "other" || !story.Texts[1].Story.Repeated {
		t.Errorf("on record: %+v", story.Texts)
	}
}

// A limit that refuses is on record with what it had left, and the page names
// the reference.
func TestARefusedTextIsOnRecord(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits())
	number := newNumber()
	for range 5 {
		r.askCode(newBrowser(t), r.newRequest(webClient), number)
	}
	p := r.authorize(newBrowser(t), r.newRequest(webClient)).submit("/login/phone", "phone", number).wants(http.StatusTooManyRequests)
	reference := p.reference(t)
	story := r.timeline(reference, 0, 1)
	e := story.Events[0]
	if e.Kind != storage.TextRefused || e.Reason != "send_number" || e.RetryAt.IsZero() ||
		!slices.Contains(e.Limits, storage.LimitLeft{Name: "send_number", Left: 0, Burst: 5}) {
		t.Errorf("on record: %+v", e)
	}
	if parsed, err := passcode.ParseReference(strings.ToLower(reference)); err != nil || parsed != reference {
		t.Errorf("reference %q reads as %q, %v", reference, parsed, err)
	}
}

// Breakers and texts show in the metrics, without a number.
func TestMetricsOfTexts(t *testing.T) {
	t.Parallel()
	r := startTwoSenders(t)
	r.gateway.answers(status(http.StatusServiceUnavailable))
	for range 6 {
		number := newNumber()
		r.ask(r.newRequest(webClient), number).submit("/login/code", "code", r.other.code(number)).answer()
	}
	awaits(t, "the metrics show the texts", func() bool {
		text := r.metrics()
		return strings.Contains(text, `handset_sms_sender_state{sender="sms",state="open"} 1`) &&
			strings.Contains(text, `handset_sms_sender_state{sender="other",state="closed"} 1`) &&
			strings.Contains(text, `handset_sms_attempt_duration_seconds_count{outcome="status",region="GB",sender="sms"} 5`) &&
			strings.Contains(text, `handset_sms_attempt_duration_seconds_count{outcome="handed_over",region="GB",sender="other"} 6`) &&
			strings.Contains(text, `handset_sms_verified_seconds_count{region="GB",sender="other"} 6`)
	})
	states, err := r.server.SQL.SenderStates(t.Context(), r.clock.Now())
	if err != nil || len(states) != 2 {
		t.Fatalf("%d states, %v", len(states), err)
	}
	deliveries, err := r.server.SQL.Deliveries(t.Context(), r.clock.Now().Add(-time.Hour))
	if err != nil || len(deliveries) != 1 || deliveries[0].Sender != "other" || deliveries[0].Sent != 6 || deliveries[0].Verified != 6 {
		t.Errorf("deliveries %+v, %v", deliveries, err)
	}
}

// Receipts without a signature change nothing, whoever they speak of.
func TestAttackForgeReceipts(t *testing.T) {
	t.Parallel()
	r := startTwoSenders(t)
	for _, sender := range []string{"sms", "other", "nobody"} {
		res := send(t, http.MethodPost, r.base+"/sms/receipts/"+sender, nil)
		if res.status != http.StatusUnauthorized && res.status != http.StatusNotFound {
			t.Errorf("%s: %d", sender, res.status)
		}
	}
}
