package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// ShowCode answers GET /login/code.
func (h *Handler) ShowCode(w http.ResponseWriter, r *http.Request) error {
	v, err := h.open(r)
	if err != nil {
		return err
	}
	if answered, err := h.signedInElsewhere(w, r, v); err != nil || answered {
		return err
	}
	if v.typed.number.IsZero() {
		// The step before has not been done, or its code is long gone.
		return h.seeOther(w, r, v, "phone", "")
	}
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	last := told{status: http.StatusOK, problem: h.standing(v.challenge)}
	if last.problem.IsZero() {
		last.notice = h.notice(v.challenge, q.Get("notice"))
	}
	return h.showCode(w, r, v, last)
}

// standing is what a person must know of a challenge before typing anything.
func (h *Handler) standing(c storage.Challenge) views.Message {
	switch {
	case c.NumberFailed: // never with sign-up off, where it would tell who is registered
		return views.NumberKind()
	case c.SendFailed:
		return views.GatewayDown()
	case c.State != storage.ChallengeLive || c.TriesLeft == 0:
		return views.CodeSpent()
	case !h.Now().Before(c.ExpiresAt):
		return views.CodeExpired()
	default:
		return views.Message{}
	}
}

func (h *Handler) notice(c storage.Challenge, word string) views.Message {
	switch word {
	case "again":
		return views.SentAgain()
	case "new":
		return views.SentNew()
	case "early":
		if h.Now().Before(c.ResendHint) {
			return views.TooEarly()
		}
	}
	return views.Message{}
}

// showCode shows the code page as the challenge stands.
func (h *Handler) showCode(w http.ResponseWriter, r *http.Request, v *visit, last told) error {
	now := h.Now()
	page := views.LoginCode{
		Frame: h.frame(r, v), CSRF: h.Browser.FormToken(r, v.tx.ID), Txn: string(v.tx.ID),
		Number: v.typed.text, Digits: v.challenge.Length,
		Lifetime: v.connection.CodeLife(), ExpiresIn: max(0, v.challenge.ExpiresAt.Sub(now)), ResendIn: max(0, v.challenge.ResendHint.Sub(now)),
		Notice: last.notice, Error: last.problem, Reference: h.Codes.Reference(v.challenge.ID),
	}
	if v.typed.hinted {
		e164 := v.typed.number.E164()
		page.Number, page.Ending = "", e164[len(e164)-2:]
	}
	return h.page(w, r, last.status, v, page)
}

// SubmitCode answers POST /login/code. A right code leads back to the dispatcher.
func (h *Handler) SubmitCode(w http.ResponseWriter, r *http.Request) error {
	v, err := h.submit(w, r)
	if err != nil {
		return err
	}
	if v.typed.number.IsZero() {
		return timedOut(v.client, &v.tx, "code before number, or challenge lost")
	}
	reqctx.Add(r.Context(), slog.Any("number", v.typed.number))
	err = h.Codes.Check(r.Context(), passcode.CheckRequest{
		Challenge: v.challenge, Purpose: passcode.Login, Client: v.tx.ClientID,
		Number: v.typed.number, Typed: v.form.Get("code"), Address: reqctx.From(r.Context()).Address,
	})
	if rejected, ok := errors.AsType[*passcode.Rejection](err); ok {
		return h.rejected(w, r, v, rejected)
	}
	if err != nil {
		return fmt.Errorf("check code: %w", err)
	}
	err = h.Dispatcher.SignedIn(w, r, v.tx, storage.Login{
		Number: v.typed.number, Challenge: v.challenge.ID, SignupDisabled: v.connection.SignupDisabled,
	})
	if errors.Is(err, storage.ErrConsumed) {
		// Redis said yes, SQL has the last word: this code or this login was used before.
		return h.used(w, r, v)
	}
	return err
}

// rejected answers a code that does not open the login.
func (h *Handler) rejected(w http.ResponseWriter, r *http.Request, v *visit, e *passcode.Rejection) error {
	reqctx.Add(r.Context(), slog.String("reason", "code "+string(e.Reason)))
	unprocessable := func(m views.Message) error { return h.showCode(w, r, v, refusal(m)) }
	switch e.Reason {
	case passcode.Wrong:
		if e.TriesLeft == 0 {
			return unprocessable(views.CodeSpent())
		}
		return unprocessable(views.CodeWrong(e.TriesLeft))
	case passcode.Malformed:
		return unprocessable(views.CodeFormat(v.challenge.Length))
	case passcode.Expired:
		return unprocessable(views.CodeExpired())
	case passcode.Used:
		return h.used(w, r, v)
	case passcode.TooMany:
		return h.busy(v, limit.VerifyAddress, e.RetryAt)
	case passcode.Gone:
		return timedOut(v.client, &v.tx, "challenge lost")
	default:
		return unprocessable(views.CodeSpent())
	}
}

// used answers a code that was right once: the login it opened is done, in
// this browser or not.
func (h *Handler) used(w http.ResponseWriter, r *http.Request, v *visit) error {
	ok, err := h.Dispatcher.Satisfied(r, v.tx)
	if err != nil {
		return err
	}
	if ok {
		return h.showSignedIn(w, r, v, false)
	}
	answered, err := h.answered(r.Context(), v.tx.ID)
	if err != nil {
		return err
	}
	if answered {
		// The answer, and the session with it, got lost on the way to this
		// browser. This login can't be answered again: another one can.
		return timedOut(v.client, &v.tx, "answered, and the answer was lost")
	}
	return h.showCode(w, r, v, refusal(views.CodeSpent()))
}

// answered reports whether the login that used the code up was written. The
// twin of this request (a second press on the button) may be just about to
// write it, so it has a second; after that the write has failed, and a new
// code can still finish the login.
func (h *Handler) answered(ctx context.Context, id storage.TransactionID) (bool, error) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for range 20 {
		answered, err := h.Dispatcher.Answered(ctx, id)
		if err != nil || answered {
			return answered, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-look.C:
		}
	}
	return false, nil
}

// Resend answers POST /login/resend: the same code again, or a new one.
func (h *Handler) Resend(w http.ResponseWriter, r *http.Request) error {
	v, err := h.submit(w, r)
	if err != nil {
		return err
	}
	if v.typed.number.IsZero() {
		return h.seeOther(w, r, v, "phone", "")
	}
	if answered, err := h.signedInElsewhere(w, r, v); err != nil || answered {
		return err
	}
	sent, err := h.send(r, v)
	if err != nil {
		return h.sendProblem(w, r, v, err, h.showCode)
	}
	notice := "new"
	if sent.Repeated {
		notice = "again"
	}
	return h.seeOther(w, r, v, "code", notice)
}
