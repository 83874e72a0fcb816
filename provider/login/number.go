package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/language"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// typed is what the number page keeps with the challenge, sealed by the store:
// the number, and how the person wrote it.
type typed struct {
	number phone.Number
	text   string
	region string
	hinted bool // the number came from login_hint, not from this browser
}

type typedJSON struct {
	Number string `json:"n"`
	Text   string `json:"t"`
	Region string `json:"r,omitempty"`
	Hinted bool   `json:"h,omitempty"`
}

func (t typed) bytes() ([]byte, error) {
	return json.Marshal(typedJSON{t.number.E164(), t.text, t.region, t.hinted})
}

func readTyped(b []byte) (typed, error) {
	if len(b) == 0 {
		return typed{}, nil
	}
	var j typedJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return typed{}, fmt.Errorf("read number of challenge: %w", err)
	}
	n, err := phone.FromStored(j.Number)
	if err != nil {
		return typed{}, fmt.Errorf("read number of challenge: %w", err)
	}
	return typed{n, j.Text, j.Region, j.Hinted}, nil
}

// ShowNumber answers GET /login/phone.
func (h *Handler) ShowNumber(w http.ResponseWriter, r *http.Request) error {
	v, err := h.open(r)
	if err != nil {
		return err
	}
	if answered, err := h.signedInElsewhere(w, r, v); err != nil || answered {
		return err
	}
	if v.typed.number.IsZero() {
		v.typed = typed{text: numberHint(v.tx.LoginHint)}
	}
	return h.showNumber(w, r, v, told{status: http.StatusOK})
}

// numberHint is a login_hint that may be a phone number; an address or a name is
// none, and the person would have to delete it.
func numberHint(hint string) string {
	if !strings.ContainsFunc(hint, unicode.IsDigit) || strings.Contains(hint, "@") {
		return ""
	}
	return hint
}

// showNumber shows the number page with what was typed.
func (h *Handler) showNumber(w http.ResponseWriter, r *http.Request, v *visit, last told) error {
	region := v.typed.region
	if region == "" {
		region = h.home(r)
	}
	countries := make([]views.Country, len(h.Regions))
	for i, c := range h.Regions {
		c.Selected = c.Region == region
		countries[i] = c
	}
	page := views.LoginPhone{
		Frame: h.frame(r, v), CSRF: h.Browser.FormToken(r, v.tx.ID), Txn: string(v.tx.ID),
		Countries: countries, Phone: v.typed.text, Error: last.problem,
	}
	if last.unsent {
		page.Reference = h.Codes.Reference(v.challenge.ID)
	}
	return h.page(w, r, last.status, v, page)
}

// home is the country that the page proposes: the first that the operator
// listed. Where all are allowed it is the one that the browser's language
// names (en-GB); an address never decides, since people travel.
func (h *Handler) home(r *http.Request) string {
	if h.Home != "" {
		return h.Home
	}
	header := r.Header.Get("Accept-Language")
	accepted, _, _ := language.ParseAcceptLanguage(header[:min(len(header), 256)])
	for _, tag := range accepted {
		if region, sure := tag.Region(); sure > language.Low {
			return region.String()
		}
	}
	return "US"
}

// SubmitNumber answers POST /login/phone: it has a code texted and leads to the code page.
func (h *Handler) SubmitNumber(w http.ResponseWriter, r *http.Request) error {
	v, err := h.submit(w, r)
	if err != nil {
		return err
	}
	if answered, err := h.signedInElsewhere(w, r, v); err != nil || answered {
		return err
	}
	texted := v.typed.number
	v.typed = typed{text: v.form.Get("phone"), region: v.form.Get("country")}
	v.typed.number, err = h.Rules.Parse(v.typed.text, v.typed.region)
	if err != nil {
		reqctx.Add(r.Context(), slog.String("reason", "number refused"))
		return h.showNumber(w, r, v, refusal(h.numberProblem(err)))
	}
	v.changed = v.typed.number != texted
	v.typed.hinted = v.typed.text != "" && v.typed.text == v.tx.LoginHint
	sent, err := h.send(r, v)
	if err != nil {
		return h.sendProblem(w, r, v, err, h.showNumber)
	}
	notice := ""
	if sent.Repeated {
		notice = "again"
	}
	return h.seeOther(w, r, v, "code", notice)
}

// numberProblem says why a number is refused.
func (h *Handler) numberProblem(err error) views.Message {
	if e, ok := errors.AsType[*phone.RegionError](err); ok {
		allowed := make([]string, len(h.Regions))
		for i, c := range h.Regions {
			allowed[i] = c.Region
		}
		return views.CountryNotAllowed(e.Region, allowed)
	}
	switch {
	case errors.Is(err, phone.ErrExtension):
		return views.NumberExtension()
	case errors.Is(err, phone.ErrNotMobile):
		return views.NumberKind()
	default:
		return views.NumberUnreadable()
	}
}

// send asks the engine for a text. Unknown numbers while sign-up is off, and
// blocked people, get a decoy: the same pages in the same time, and no text
// (security.md row 27).
func (h *Handler) send(r *http.Request, v *visit) (passcode.Sent, error) {
	t := v.typed
	ctx := r.Context()
	reqctx.Add(ctx, slog.Any("number", t.number))
	conn := v.connection
	user, err := h.People.UserByNumber(ctx, t.number)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return passcode.Sent{}, fmt.Errorf("find person: %w", err)
	}
	decoy := decoyReason(err != nil, user.Blocked, conn.SignupDisabled)
	kept, err := t.bytes()
	if err != nil {
		return passcode.Sent{}, err
	}
	facts := reqctx.From(ctx)
	wait := h.SendWait
	if conn.SignupDisabled {
		wait = 0
	}
	return h.Codes.Send(ctx, passcode.SendRequest{
		Challenge: ChallengeID(v.tx.ID), Purpose: passcode.Login, Client: v.tx.ClientID,
		Number: t.number, Context: kept, Address: facts.Address, UserAgent: facts.Agent,
		Connection: conn, Application: v.client.Name, Host: h.Host,
		Language: languages(r, v.tx.UILocales),
		Decoy:    decoy != "", DecoyReason: decoy,
		Wait: wait,
	})
}

// languages are those that the text may be in, as Accept-Language lists them: what
// the client asked for (OIDC Core §3.1.2.1) goes before what the browser did. The
// page may lack a language that texts have.
func languages(r *http.Request, uiLocales []string) string {
	return strings.Join(slices.Concat(uiLocales, r.Header.Values("Accept-Language")), ",")
}

// decoyReason says why a number gets no text, for the log; empty when it gets one.
func decoyReason(unknown, blocked, signupDisabled bool) string {
	switch {
	case blocked:
		return "person blocked"
	case unknown && signupDisabled:
		return "sign-up is off"
	}
	return ""
}

// shower is a page of a login.
type shower func(http.ResponseWriter, *http.Request, *visit, told) error

// sendProblem answers when no text went out: on the page where it was asked for.
func (h *Handler) sendProblem(w http.ResponseWriter, r *http.Request, v *visit, err error, show shower) error {
	if limited, ok := errors.AsType[*passcode.Limited](err); ok {
		wait := max(limited.RetryAt.Sub(h.Now()), time.Second)
		reqctx.Add(r.Context(), slog.String("reason", "limit "+limited.Name))
		problem := views.SendLimit(wait)
		switch limited.Name {
		case limit.Cooldown:
			if !v.changed {
				// Too early is no error: the code page shows how long to wait.
				return h.seeOther(w, r, v, "code", "early")
			}
			// The code page is about the number before, and what was typed would be lost.
			problem = views.NotTextedYet(wait)
		case limit.SendAddress:
			busy := h.busy(v, limited.Name, limited.RetryAt)
			busy.Reference = h.Codes.Reference(v.challenge.ID)
			return busy
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		return show(w, r, v, told{status: http.StatusTooManyRequests, problem: problem, unsent: true})
	}
	if errors.Is(err, passcode.ErrNotSent) {
		reqctx.From(r.Context()).Fail(err)
		if failure, ok := errors.AsType[*sms.Error](err); ok && failure.Final() {
			// The number itself can't be texted: only another one helps.
			return h.showNumber(w, r, v, told{status: http.StatusUnprocessableEntity, problem: views.NumberKind(), unsent: true})
		}
		w.Header().Set("Retry-After", "60")
		return show(w, r, v, told{status: http.StatusServiceUnavailable, problem: views.GatewayDown(), unsent: true})
	}
	return fmt.Errorf("send code: %w", err)
}

// busy is the page for an address that asks too often.
func (h *Handler) busy(v *visit, name string, retryAt time.Time) *web.Problem {
	return &web.Problem{Kind: views.ProblemBusy, Status: http.StatusTooManyRequests, Client: v.client,
		Locales: v.tx.UILocales, Wait: max(retryAt.Sub(h.Now()), time.Second), Reason: "limit " + name}
}
