// Package receipts takes what SMS routes say became of texts: over HTTP
// ([Handler.Serve]) and over connections that senders hold ([Handler.Take]). Who
// can say what is the sender's to check; that a receipt counts once is the store's.
// A receipt changes what operators see, and no page of any person.
package receipts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Path is where senders call back; {sender} is the sender's name.
const Path = "/sms/receipts/{sender}"

// Store keeps receipts.
type Store interface {
	// SaveReceipt must return [storage.ErrConsumed] for a state that was told before.
	SaveReceipt(ctx context.Context, r storage.TextReceipt) error
}

// Config is what a Handler needs; every field is required.
type Config struct {
	// Issuer is the provider's address without a slash at its end: routes sign the
	// address that they were told.
	Issuer string
	Store  Store
	// Sender finds a sender by name.
	Sender func(name string) (*sms.Named, bool)
	// Observe counts a receipt.
	Observe func(sender string, state sms.State)
	Logger  *slog.Logger
	Now     func() time.Time
}

// Handler takes receipts.
type Handler struct{ Config }

// New returns a Handler.
func New(c Config) *Handler { return &Handler{c} }

// Serve answers POST /sms/receipts/{sender}. Whatever its route did not make, and
// what it made before, is 401 and changes nothing.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	body, err := web.RawBody(w, r)
	if err != nil {
		return err
	}
	name := r.PathValue("sender")
	sender, known := h.Sender(name)
	var receiver sms.Receiver
	if known {
		receiver, known = sender.Receiver()
	}
	if !known {
		return &oauth.Error{Code: oauth.InvalidRequest, Status: http.StatusNotFound,
			Description: "no sender of this name takes receipts here"}
	}
	reqctx.Add(r.Context(), slog.String("sender", name))
	list, err := receiver.Receipts(sms.Callback{URL: h.url(r), Header: r.Header, Body: body})
	if errors.Is(err, sms.ErrForged) {
		return unauthorized("not signed by the route")
	}
	if err != nil {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "the body is not a receipt of this route", Err: err}
	}
	for _, receipt := range list {
		err := h.save(r.Context(), name, receipt)
		if errors.Is(err, storage.ErrConsumed) {
			return unauthorized("told before")
		}
		if err != nil {
			return err
		}
	}
	return web.NoContent(w, r, http.StatusNoContent)
}

func unauthorized(reason string) error {
	return &oauth.Error{Code: oauth.AccessDenied, Status: http.StatusUnauthorized,
		Description: "this receipt is not a new one of the route", Reason: reason}
}

// url is the address that the route was told, whatever a proxy made of it.
func (h *Handler) url(r *http.Request) string {
	address := h.Issuer + "/sms/receipts/" + r.PathValue("sender")
	if r.URL.RawQuery != "" {
		address += "?" + r.URL.RawQuery
	}
	return address
}

// takeWithin bounds the write of a receipt that came over a connection.
const takeWithin = 10 * time.Second

// Take keeps a receipt that came over a connection of the sender's own. It returns an
// error when the same receipt could be kept later; what the store would refuse again
// is logged and lost.
func (h *Handler) Take(ctx context.Context, sender string, receipt sms.Receipt) error {
	ctx, cancel := context.WithTimeout(ctx, takeWithin)
	defer cancel()
	err := h.guarded(ctx, sender, receipt)
	if err == nil || errors.Is(err, storage.ErrConsumed) {
		return nil
	}
	h.Logger.ErrorContext(ctx, "save receipt", slog.String("sender", sender), slog.Any("err", err))
	if errors.Is(err, storage.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	return nil
}

// guarded turns a panic into an error: no request's recovery is around.
func (h *Handler) guarded(ctx context.Context, sender string, receipt sms.Receipt) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("save receipt: panic: %T", p)
		}
	}()
	return h.save(ctx, sender, receipt)
}

func (h *Handler) save(ctx context.Context, sender string, receipt sms.Receipt) error {
	err := h.Store.SaveReceipt(ctx, storage.TextReceipt{
		Sender: sender, MessageID: receipt.Message, State: string(receipt.State), Code: receipt.Code, At: h.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("save receipt: %w", err)
	}
	h.Observe(sender, receipt.State)
	h.Logger.InfoContext(ctx, "sms receipt", slog.String("sender", sender), slog.String("state", string(receipt.State)),
		slog.String("code", receipt.Code))
	return nil
}
