package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
)

// What follows up to the stories is a client of the Durable Functions sample. It is
// written from requirements.md C alone, and knows nothing of our code.

// sample is the app that verifies numbers.
type sample struct {
	t    testing.TB
	base string
	key  string
}

type sampleInstance struct {
	ID        string `json:"id"`
	Status    string `json:"statusQueryGetUri"`
	Event     string `json:"sendEventPostUri"`
	Terminate string `json:"terminatePostUri"`
}

type sampleStatus struct {
	RuntimeStatus   string
	Input           any
	Output          any
	CreatedTime     string
	LastUpdatedTime string
	HistoryEvents   []struct{ EventType string }
}

func (s sample) do(method, address, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(text)
}

func (s sample) post(body string) (*http.Response, string) {
	s.t.Helper()
	return s.do("POST", s.base+"/orchestrators/E4_SmsPhoneVerification", body, "x-functions-key", s.key)
}

func (s sample) start(number string) (i sampleInstance) {
	s.t.Helper()
	res, body := s.post(strconv.Quote(number))
	if res.StatusCode != http.StatusAccepted || res.Header.Get("Content-Type") != "application/json; charset=utf-8" || res.Header.Get("Retry-After") == "" {
		s.t.Fatalf("start: %d %v %s", res.StatusCode, res.Header, body)
	}
	if err := json.Unmarshal([]byte(body), &i); err != nil {
		s.t.Fatal(err)
	}
	if res.Header.Get("Location") != i.Status {
		s.t.Errorf("Location %q", res.Header.Get("Location"))
	}
	return i
}

func (s sample) event(i sampleInstance, name, body string) int {
	s.t.Helper()
	res, text := s.do("POST", strings.Replace(i.Event, "{eventName}", name, 1), body)
	if res.StatusCode == http.StatusAccepted && text != "" {
		s.t.Errorf("202 with a body: %s", text)
	}
	return res.StatusCode
}

func (s sample) answer(i sampleInstance, code string) int {
	s.t.Helper()
	return s.event(i, "SmsChallengeResponse", code)
}

func (s sample) status(i sampleInstance, more string) (status sampleStatus) {
	s.t.Helper()
	res, body := s.do("GET", i.Status+more, "")
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		s.t.Fatalf("status: %d %s", res.StatusCode, body)
	}
	running := status.RuntimeStatus == "Running" || status.RuntimeStatus == "Pending"
	if running != (res.StatusCode == http.StatusAccepted) || !running && res.StatusCode != http.StatusOK {
		s.t.Errorf("%d for %s", res.StatusCode, status.RuntimeStatus)
	}
	if running && (res.Header.Get("Location") != i.Status || status.Output != nil) {
		s.t.Errorf("Location %q, output %v", res.Header.Get("Location"), status.Output)
	}
	return status
}

func (s sample) wants(i sampleInstance, runtime string, output any) sampleStatus {
	s.t.Helper()
	got := s.status(i, "")
	if got.RuntimeStatus != runtime || got.Output != output {
		s.t.Errorf("%s with output %v, want %s with %v", got.RuntimeStatus, got.Output, runtime, output)
	}
	return got
}

// The rig's side of the stories.

const sampleClient = "sample"

// withVerification registers clients of the type verification.
func withVerification(ids ...string) option {
	return func(o *options) {
		for _, id := range ids {
			withClient(id, func(c *config.Client) {
				c.AppType, c.ClientSecret, c.Callbacks, c.AllowedLogoutURLs = "verification", config.NewSecret(secret), nil, nil
			})(o)
		}
	}
}

func (r *rig) sample(client string) sample { return sample{r.t, r.base, client + "." + secret} }

var sampleText = regexp.MustCompile(`^Your verification code is (\d+)$`)

// texted is the code of the newest text to a number, whose text is the sample's.
func (r *rig) texted(number string, nth int) string {
	r.t.Helper()
	body := r.gateway.wait(number, nth).Body
	m := sampleText.FindStringSubmatch(body)
	if m == nil {
		r.t.Fatalf("the text is %q", body)
	}
	return m[1]
}

// sent waits until the text of an instance counts as handed over.
func (s sample) sent(i sampleInstance) {
	s.t.Helper()
	awaits(s.t, "the text is handed over", func() bool {
		return len(s.status(i, "&showHistory=true").HistoryEvents) > 1
	})
}

func wrongFor(code string, nth int) string {
	n, _ := strconv.Atoi(code)
	return fmt.Sprintf("%0*d", len(code), (n+nth)%10000)
}

func TestSampleStory(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient))
	s, number := r.sample(sampleClient), newNumber()
	i := s.start(number)
	instance := r.base + "/runtime/webhooks/durabletask/instances/" + i.ID
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(i.ID) ||
		!regexp.MustCompile(`^`+regexp.QuoteMeta(instance)+`\?taskHub=DurableFunctionsHub&connection=Storage&code=[\w.~-]{32,}$`).MatchString(i.Status) ||
		!strings.HasPrefix(i.Event, instance+"/raiseEvent/{eventName}?taskHub=DurableFunctionsHub&connection=Storage&code=") ||
		!strings.HasPrefix(i.Terminate, instance+"/terminate?reason={text}&taskHub=DurableFunctionsHub&connection=Storage&code=") {
		t.Fatalf("started %+v", i)
	}
	code := r.texted(number, 1)
	if len(code) != 4 {
		t.Fatalf("a code of %d digits", len(code))
	}
	got := s.wants(i, "Running", nil)
	if got.Input != number || !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(got.CreatedTime) || got.LastUpdatedTime < got.CreatedTime {
		t.Errorf("running: %+v", got)
	}
	for nth, answer := range []string{wrongFor(code, 1), `"` + wrongFor(code, 2) + `"`} {
		if strings.HasPrefix(answer, "0") {
			answer = strconv.Quote(answer) // no JSON number begins with 0
		}
		if status := s.answer(i, answer); status != http.StatusAccepted {
			t.Errorf("wrong answer %d: %d", nth, status)
		}
	}
	if status := s.event(i, "SomethingElse", `"`+code+`"`); status != http.StatusAccepted {
		t.Errorf("another event: %d", status)
	}
	s.wants(i, "Running", nil)
	r.clock.Advance(20 * time.Second)
	number0, _ := strconv.Atoi(code) // 0042 is sent as 42
	if status := s.answer(i, strconv.Itoa(number0)); status != http.StatusAccepted {
		t.Errorf("the right answer: %d", status)
	}
	done := s.wants(i, "Completed", true)
	created, _ := time.Parse(time.RFC3339, done.CreatedTime)
	updated, _ := time.Parse(time.RFC3339, done.LastUpdatedTime)
	if took := updated.Sub(created); took < 20*time.Second || took > 80*time.Second {
		t.Errorf("created %s, updated %s", done.CreatedTime, done.LastUpdatedTime)
	}
	for what, status := range map[string]int{"answer": s.answer(i, `"`+code+`"`), "another event": s.event(i, "X", `1`)} {
		if status != http.StatusGone {
			t.Errorf("%s after the end: %d, want 410", what, status)
		}
	}
	if res, _ := s.do("POST", i.Terminate, ""); res.StatusCode != http.StatusGone {
		t.Errorf("terminate after the end: %d, want 410", res.StatusCode)
	}
	if n := len(r.gateway.to(number)); n != 1 {
		t.Errorf("%d texts", n)
	}
	if got := s.status(i, "&showInput=false&showHistory=true"); got.Input != nil || len(got.HistoryEvents) != 3 {
		t.Errorf("history: %+v", got)
	}
}

func TestSampleTimesOut(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient))
	s, number := r.sample(sampleClient), newNumber()
	i := s.start(number)
	code := r.texted(number, 1)
	s.sent(i)
	sent, _ := time.Parse(time.RFC3339, s.status(i, "").LastUpdatedTime)
	r.clock.Advance(60 * time.Second)
	s.wants(i, "Running", nil)
	r.clock.Advance(40 * time.Second)
	if status := s.answer(i, `"`+code+`"`); status != http.StatusGone {
		t.Errorf("the right code too late: %d", status)
	}
	r.clock.Advance(time.Hour)
	got := s.wants(i, "Completed", false)
	ended, _ := time.Parse(time.RFC3339, got.LastUpdatedTime)
	if took := ended.Sub(sent); took < 89*time.Second || took > 91*time.Second {
		t.Errorf("it ended %v after the text", took)
	}
}

func TestSampleFourWrong(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient))
	s, number := r.sample(sampleClient), newNumber()
	i := s.start(number)
	code := r.texted(number, 1)
	for n := range 4 {
		s.wants(i, "Running", nil)
		if status := s.answer(i, `"`+wrongFor(code, n+1)+`"`); status != http.StatusAccepted {
			t.Fatalf("wrong answer %d: %d", n+1, status)
		}
	}
	s.wants(i, "Completed", false)
	if status := s.answer(i, `"`+code+`"`); status != http.StatusGone {
		t.Errorf("the right one after four wrong: %d", status)
	}
	s.wants(i, "Completed", false)
}

func TestSampleIsTerminated(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient))
	s, number := r.sample(sampleClient), newNumber()
	i := s.start(number)
	code := r.texted(number, 1)
	res, _ := s.do("POST", strings.Replace(i.Terminate, "{text}", url.QueryEscape("the person left & went"), 1), "")
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("terminate: %d", res.StatusCode)
	}
	s.wants(i, "Terminated", "the person left & went")
	if status := s.answer(i, `"`+code+`"`); status != http.StatusGone {
		t.Errorf("answer: %d", status)
	}
	if res, body := s.do("DELETE", i.Status, ""); res.StatusCode != http.StatusOK || !strings.Contains(body, `"instancesDeleted":1`) {
		t.Errorf("purge: %d %s", res.StatusCode, body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if res, body := s.do(method, i.Status, ""); res.StatusCode != http.StatusNotFound || !strings.Contains(body, `"message":`) {
			t.Errorf("%s after the purge: %d %s", method, res.StatusCode, body)
		}
	}
}

// The 202 doesn't wait for the text; when no route takes it, the instance says so,
// and the number has paid nothing.
func TestSampleWhoseTextDoesNotLeave(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient))
	s, number := r.sample(sampleClient), newNumber()
	release := make(chan struct{})
	r.gateway.answers(func(w http.ResponseWriter, _ *http.Request) bool {
		<-release
		w.WriteHeader(http.StatusBadRequest)
		return false
	})
	i := s.start(number)
	s.wants(i, "Running", nil)
	close(release)
	awaits(t, "it has failed", func() bool { return s.status(i, "").RuntimeStatus == "Failed" })
	if got := s.status(i, ""); got.Output == nil || got.Output == "" {
		t.Errorf("output %v", got.Output)
	}
	r.gateway.answers(nil)
	for range 5 { // the whole burst of a number
		s.start(number)
	}
}

// While a number's guesses are spent, its codes have 8 digits here, too.
func TestSampleGuessesMakeCodesLonger(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient))
	s, number := r.sample(sampleClient), newNumber()
	for n := range 3 {
		i := s.start(number)
		code := r.texted(number, n+1)
		for k := range 4 {
			s.answer(i, `"`+wrongFor(code, k+1)+`"`)
		}
		s.wants(i, "Completed", false)
	}
	i := s.start(number)
	code := r.texted(number, 4)
	if len(code) != 8 {
		t.Fatalf("a code of %d digits", len(code))
	}
	s.answer(i, `"`+code+`"`)
	s.wants(i, "Completed", true)
}

func TestSampleBadInput(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient), withClient("home", func(c *config.Client) {
		c.AppType, c.ClientSecret, c.Callbacks, c.AllowedLogoutURLs = "verification", config.NewSecret(secret), nil, nil
		c.Countries = []string{"JP"}
	}), withConfig(func(c *config.Config) {
		// Whatever is refused here and counted all the same leaves too little for the rest.
		c.Limits["send_client"] = config.Limit{Burst: 2, Every: time.Hour}
		c.Limits["guess_number"] = config.Limit{Burst: 4, Every: time.Hour}
	}))
	s := r.sample(sampleClient)
	startPath := r.base + "/orchestrators/E4_SmsPhoneVerification"
	const required = "A phone number input is required."
	for _, tt := range []struct {
		name, body string
		status     int
		message    string
	}{
		{"no body", "", 400, required},
		{"white space", " \n", 400, required},
		{"null", "null", 400, required},
		{"an empty string", `""`, 400, required},
		{"blanks", `"  "`, 400, required},
		{"not JSON", "+447400100000", 400, "JSON string"},
		{"a number", "447400100000", 400, "JSON string"},
		{"an object", `{"phone":"+447400100000"}`, 400, "JSON string"},
		{"two values", `"+447400100000" 1`, 400, "JSON string"},
		{"words", `"hello"`, 400, "international form"},
		{"national form", `"07400100000"`, 400, "international form"},
		{"too short", `"+4474"`, 400, "international form"},
		{"an extension", `"+447400100000 ext 12"`, 400, "extension"},
		{"a landline", `"+442079460000"`, 400, "mobile"},
		{"satellite", `"+881612345678"`, 400, "mobile"},
		{"a country that is not allowed", `"+33612345678"`, 400, "region FR"},
		{"a huge body", `"` + strings.Repeat("1", 20<<10) + `"`, 413, "16384"},
	} {
		res, body := s.post(tt.body)
		var answer map[string]string
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer) != 1 {
			t.Errorf("%s: the body is %s", tt.name, body)
		}
		if res.StatusCode != tt.status || !strings.Contains(answer["message"], tt.message) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, res.StatusCode, body, tt.status, tt.message)
		}
	}
	if res, body := r.sample("home").post(strconv.Quote(newNumber())); res.StatusCode != 400 || !strings.Contains(body, "region GB") {
		t.Errorf("a region that is not the key's: %d %s", res.StatusCode, body)
	}
	number := newNumber()
	for name, key := range map[string]string{
		"none": "", "wrong": sampleClient + ".wrong", "unknown client": "nobody." + secret, "no secret": sampleClient, "dots": "..",
		"another type of client": webClient + "." + secret, "long": strings.Repeat("x", 600) + "." + secret,
	} {
		for _, address := range []string{startPath, startPath + "?code=" + key} {
			header := []string{}
			if address == startPath && key != "" {
				header = []string{"x-functions-key", key}
			}
			res, body := s.do("POST", address, strconv.Quote(number), header...)
			if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `{"message":`) {
				t.Errorf("key %s: %d %s", name, res.StatusCode, body)
			}
		}
	}
	if res, body := s.do("POST", startPath+"?code="+s.key, strconv.Quote(number)); res.StatusCode != http.StatusAccepted {
		t.Errorf("the key in the query: %d %s", res.StatusCode, body)
	}
	r.gateway.wait(number, 1)
	r.gateway.wantsTexts(1)

	number = newNumber()
	i := s.start(number)
	code := r.texted(number, 1)
	for name, body := range map[string]string{
		"nothing": "", "null": "null", "three digits": `"123"`, "five": "12345", "negative": "-123", "a fraction": "12.5", "an exponent": "1e3",
		"letters": `"abcd"`, "not JSON": "0042", "an object": `{"code":"0042"}`, "a list": `["0042"]`, "true": "true", "huge number": strings.Repeat("9", 100),
	} {
		if status := s.answer(i, body); status != http.StatusBadRequest {
			t.Errorf("answer %s: %d, want 400", name, status)
		}
	}
	if status := s.answer(i, `"`+strings.Repeat("1", 20<<10)+`"`); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge answer: %d", status)
	}
	s.wants(i, "Running", nil)
	for _, id := range []string{"x", strings.ToUpper(i.ID), i.ID[:31], i.ID + "0", "0123456789abcdef0123456789abcdef"} {
		if res, body := s.do("GET", strings.Replace(i.Status, "/"+i.ID+"?", "/"+id+"?", 1), ""); res.StatusCode != http.StatusNotFound || !strings.Contains(body, `{"message":`) {
			t.Errorf("id %s: %d %s", id, res.StatusCode, body)
		}
	}
	if res, _ := s.do("GET", i.Status[:strings.Index(i.Status, "?")], ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("an instance without a key: %d", res.StatusCode)
	}
	if res, _ := s.do("GET", i.Status[:len(i.Status)-3]+"AAA", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("an instance with a forged key: %d", res.StatusCode)
	}
	if res, _ := s.do("POST", strings.Replace(i.Terminate, "{text}", strings.Repeat("x", 2000), 1), ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a long reason: %d", res.StatusCode)
	}
	for n := range 3 { // nothing of all that was a try
		s.answer(i, `"`+wrongFor(code, n+1)+`"`)
	}
	s.answer(i, `"`+code+`"`)
	s.wants(i, "Completed", true)
	if res, _ := s.post(strconv.Quote(newNumber())); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third start: %d, and the limit that shows what is counted is none", res.StatusCode)
	}
	r.gateway.wantsTexts(2)
}

// Another key's instance is not to be told from one that never was, in any verb.
func TestAttackOtherTenantsInstance(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient, "rival"))
	s, rival := r.sample(sampleClient), r.sample("rival")
	i, theirs := s.start(newNumber()), rival.start(newNumber())
	key := func(i sampleInstance) string { return i.Status[strings.LastIndex(i.Status, "=")+1:] }
	ask := func(id, method, path, code string, headers ...string) string {
		res, body := s.do(method, r.base+"/runtime/webhooks/durabletask/instances/"+id+path+"?code="+code, `"0000"`, headers...)
		return fmt.Sprint(res.StatusCode, body)
	}
	for _, verb := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"POST", "/terminate"}, {"POST", "/raiseEvent/SmsChallengeResponse"}} {
		for name, code := range map[string]string{"their caller key": rival.key, "their instance's key": key(theirs)} {
			foreign, unknown := ask(i.ID, verb[0], verb[1], code), ask("0123456789abcdef0123456789abcdef", verb[0], verb[1], code)
			if foreign != unknown || !strings.HasPrefix(foreign, "404") {
				t.Errorf("%s by %s: %s; unknown: %s", verb, name, foreign, unknown)
			}
		}
	}
	s.wants(i, "Running", nil)
	if got := ask(i.ID, "GET", "", "", "x-functions-key", s.key); !strings.HasPrefix(got, "202") {
		t.Errorf("the owner's caller key: %s", got)
	}
}

// Per-key quota (security.md row 35): what goes over it is refused and not texted.
func TestAttackKeyAsASMSCannon(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient, "rival"), withConfig(func(c *config.Config) {
		c.Limits["send_client"] = config.Limit{Burst: 3, Every: time.Hour}
	}))
	s := r.sample(sampleClient)
	for range 3 {
		s.start(newNumber())
	}
	number := newNumber()
	res, body := s.post(strconv.Quote(number))
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" || !strings.Contains(body, `"message"`) {
		t.Errorf("over the quota: %d %v %s", res.StatusCode, res.Header, body)
	}
	r.sample("rival").start(newNumber())
	if len(r.gateway.to(number)) != 0 {
		t.Error("a text over the quota left")
	}
}

// A key that got lost is of no use from elsewhere.
func TestAttackKeyFromElsewhere(t *testing.T) {
	t.Parallel()
	ours, theirs := []string{"127.0.0.0/8", "::1"}, []string{"192.0.2.0/24", "2001:db8::1"}
	addresses := map[string][]string{"here": ours, "elsewhere": theirs, "backend": theirs}
	r := start(t, withVerification("here", "elsewhere"), withMachines("backend"), withConfig(func(c *config.Config) {
		for i := range c.Clients {
			c.Clients[i].Addresses = addresses[c.Clients[i].ClientID]
		}
	}))
	r.sample("here").start(newNumber())
	number := newNumber()
	if res, body := r.sample("elsewhere").post(strconv.Quote(number)); res.StatusCode != http.StatusForbidden || !strings.Contains(body, `"message"`) {
		t.Errorf("from elsewhere: %d %s", res.StatusCode, body)
	}
	if status, _ := r.verifier("backend").do("POST", "/verifications", `{"phone_number":"`+number+`"}`); status != http.StatusForbidden {
		t.Errorf("with a token from elsewhere: %d", status)
	}
	if n := len(r.gateway.to(number)); n != 0 {
		t.Errorf("%d texts left", n)
	}
}

// Answers in parallel, one of them right: one end, and never more tries than four.
func TestAttackParallelAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, withVerification(sampleClient), withConfig(func(c *config.Config) {
		c.Limits["guess_number"] = config.Limit{Off: true}
	}))
	s := r.sample(sampleClient)
	number := newNumber()
	i := s.start(number)
	code := r.texted(number, 1)
	var wg sync.WaitGroup
	statuses := make([]int, 30)
	for n := range statuses {
		wg.Go(func() { statuses[n] = s.answer(i, `"`+wrongFor(code, n%2)+`"`) })
	}
	wg.Wait()
	for _, status := range statuses {
		if status != http.StatusAccepted && status != http.StatusGone {
			t.Errorf("an answer got %d", status)
		}
	}
	got := s.status(i, "")
	if got.RuntimeStatus != "Completed" {
		t.Fatalf("after 30 answers: %+v", got)
	}
	for range 3 {
		s.answer(i, `"`+code+`"`)
		if again := s.status(i, ""); again.Output != got.Output || again.LastUpdatedTime != got.LastUpdatedTime {
			t.Errorf("another end: %+v, then %+v", got, again)
		}
	}
}
