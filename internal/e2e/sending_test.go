package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
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
		all, err := r.server.SQL.Timelines(r.t.Context(), reference)
		if err != nil {
			return false
		}
		t = all[0]
		return len(t.Texts) >= texts && len(t.Events) >= events
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

// The database has a connection that prints texts until somebody says otherwise. Where the
// routes name every country it is at work nowhere, and operators don't see it. A territory
// that counts as part of a country goes by the country's route.
func TestOnlySendersThatCanBeUsedAreListed(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits(), withConfig(func(c *config.Config) {
		c.Senders = config.Senders{"main": c.Connections[0].Options}
		c.Connections = nil
		c.Routes = []config.Route{{To: c.Countries, Via: []string{"main"}}}
	}))
	for _, number := range []string{newNumber(), "+447911123456"} { // of Guernsey
		p := r.askCode(newBrowser(t), r.newRequest(webClient), number)
		if sender := r.timeline(p.reference(t), 1, 0).Texts[0].Sender; sender != "main" {
			t.Errorf("%s was texted by %q", number, sender)
		}
	}
	var states []storage.SenderState
	awaits(t, "the server says how it sees its senders", func() bool {
		var err error
		states, err = r.server.SQL.SenderStates(t.Context(), r.clock.Now())
		return err == nil && len(states) > 0
	})
	if len(states) != 1 || states[0].Sender != "main" {
		t.Errorf("listed are %+v", states)
	}
	if text := r.metrics(); !strings.Contains(text, `sender="main"`) || strings.Contains(text, `sender="sms"`) {
		t.Errorf("metrics:\n%s", text)
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

const receiptSecret = "a secret of the gateway's receipts"

// receipt is a callback of a gateway of ours, signed as Standard Webhooks has it.
func receipt(secret, body string, at time.Time) (headers []string) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("r-1." + stamp + "." + body))
	return []string{
		"Webhook-Id", "r-1", "Webhook-Timestamp", stamp,
		"Webhook-Signature", "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	}
}

// postRaw sends a body as it is. Headers come in pairs.
func postRaw(t testing.TB, address, body string, headers ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// A gateway that was told where says what became of its text, once; nobody else
// can, and the person's page knows nothing of it.
func TestReceiptsOfAGateway(t *testing.T) {
	t.Parallel()
	told := make(chan http.Header, 1)
	r := start(t, withoutAddressLimits(), withConfig(func(c *config.Config) {
		var options map[string]any
		if err := json.Unmarshal(c.Connections[0].Options.JSON(), &options); err != nil {
			t.Fatal(err)
		}
		options["receipt_secret"] = receiptSecret
		text, err := json.Marshal(options)
		if err != nil {
			t.Fatal(err)
		}
		c.Connections[0].Options = config.NewOptions(string(text))
	}))
	r.gateway.answers(func(_ http.ResponseWriter, req *http.Request) bool {
		told <- req.Header.Clone()
		return true
	})
	p := r.askCode(newBrowser(t), r.newRequest(webClient), newNumber())
	header := <-told
	id, address := header.Get("Handset-Message-Id"), header.Get("Handset-Receipt-Url")
	if id == "" || address != r.base+"/sms/receipts/sms" {
		t.Fatalf("the gateway was told %q and %q", id, address)
	}
	reference := p.reference(t)
	page := func() string { return varying.ReplaceAllString(p.b.get(p.url.String()).words(), "_") } // it counts down
	before := page()
	sent, delivered := `{"message_id":"`+id+`","status":"sent"}`, `{"message_id":"`+id+`","status":"delivered"}`
	now := r.clock.Now()
	for name, c := range map[string]struct {
		body    string
		headers []string
	}{
		"no signature":       {delivered, nil},
		"another secret":     {delivered, receipt("a secret of somebody else's", delivered, now)},
		"another body":       {delivered, receipt(receiptSecret, sent, now)},
		"an hour ago":        {delivered, receipt(receiptSecret, delivered, now.Add(-time.Hour))},
		"in an hour":         {delivered, receipt(receiptSecret, delivered, now.Add(time.Hour))},
		"an empty signature": {delivered, []string{"Webhook-Id", "r-1", "Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10), "Webhook-Signature", ""}},
	} {
		if got := postRaw(t, address, c.body, c.headers...); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := r.timeline(reference, 1, 0); len(got.Receipts) != 0 {
		t.Errorf("forged receipts are on record: %+v", got.Receipts)
	}
	for _, body := range []string{sent, delivered} {
		r.clock.Advance(time.Second)
		if got := postRaw(t, address, body, receipt(receiptSecret, body, now)...); got != http.StatusNoContent {
			t.Errorf("%s: %d", body, got)
		}
		if got := postRaw(t, address, body, receipt(receiptSecret, body, now)...); got != http.StatusUnauthorized {
			t.Errorf("%s again: %d", body, got)
		}
	}
	if got := postRaw(t, address, "{", receipt(receiptSecret, "{", now)...); got != http.StatusBadRequest {
		t.Errorf("signed nonsense: %d", got)
	}
	if got := postRaw(t, address, strings.Repeat("x", 20<<10)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("20 KB: %d", got)
	}
	var states []string
	for _, receipt := range r.timeline(reference, 1, 0).Receipts {
		states = append(states, receipt.State)
	}
	if !slices.Equal(states, []string{"sent", "delivered"}) {
		t.Errorf("receipts on record: %q", states)
	}
	if after := page(); after != before {
		t.Errorf("the page tells of the receipt:\n%s\nbefore:\n%s", after, before)
	}
}

// A number that can't be texted is told at its field, costs nothing, and no other
// sender is asked.
func TestANumberThatCannotBeTexted(t *testing.T) {
	t.Parallel()
	r := startTwoSenders(t)
	r.gateway.answers(status(http.StatusUnprocessableEntity))
	number := newNumber()
	for range 7 { // past every limit, since it is free
		p := r.authorize(newBrowser(t), r.newRequest(webClient)).submit("/login/phone", "phone", number)
		p.wants(http.StatusUnprocessableEntity, "Enter a mobile number that can get text messages")
		p.reference(t)
	}
	if n := len(r.other.to(number)); n != 0 {
		t.Errorf("%d texts by the second sender", n)
	}
	r.gateway.answers(nil)
	r.login(newBrowser(t), r.newRequest(webClient), number).answer()
}
