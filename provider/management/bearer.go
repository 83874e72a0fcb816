package management

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

// Guard lets in requests whose token has the scope. Nothing of a request but its
// header is looked at before.
func (h *Handler) Guard(scope string, next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		client, scopes, err := h.authenticate(r)
		if err != nil {
			return err
		}
		if err := h.count(w, r, client); err != nil {
			return err
		}
		reqctx.From(r.Context()).Scopes = scopes
		if err := needs(r, scope); err != nil {
			return err
		}
		return next(w, r)
	}
}

// needs refuses a request that [Handler.Guard] let in by a token without the scope.
func needs(r *http.Request, scope string) error {
	if slices.Contains(reqctx.From(r.Context()).Scopes, scope) {
		return nil
	}
	return &web.Fault{Status: http.StatusForbidden, Code: codeScope, Message: textScope + scope, Challenge: "Bearer"}
}

// count takes the call from the client's limit, and tells what is left. While Redis is
// away calls go uncounted: the limit spares the database, and an operator must be able to
// block a person then, too.
func (h *Handler) count(w http.ResponseWriter, r *http.Request, client storage.ClientID) error {
	l, now := h.c.Limit(client), h.c.Now()
	if l.Off {
		return nil
	}
	taken, err := h.c.Limits.TakeLimit(r.Context(), l, now)
	if refused, ok := errors.AsType[*storage.Limited](err); ok {
		web.RateLimited(w, l.Burst, refused.RetryAt, now)
		return &web.Fault{Status: http.StatusTooManyRequests, Code: codeTooMany, Message: textTooMany, Reason: "limit " + refused.Name}
	}
	if errors.Is(err, storage.ErrUnavailable) {
		reqctx.Add(r.Context(), slog.Bool("uncounted", true))
		return nil
	}
	if err != nil {
		return fmt.Errorf("count call: %w", err)
	}
	web.RateLimit(w, l.Burst, taken.Left, taken.FullAt)
	return nil
}

// authenticate reads the access token of a request (RFC 6750 §2.1). It must be a client's
// own: nobody manages in the name of a person.
func (h *Handler) authenticate(r *http.Request) (storage.ClientID, []string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", nil, unauthorized(textNoToken, "no token")
	}
	scheme, raw, _ := strings.Cut(headers[0], " ")
	if raw = strings.TrimSpace(raw); len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") || strings.Count(raw, ".") != 2 {
		return "", nil, fault(http.StatusBadRequest, codeBearer, textNotJWT)
	}
	token, err := h.c.Tokens.InForce(r.Context(), raw)
	if over, ok := errors.AsType[*api.NotInForce](err); ok {
		return "", nil, unauthorized(textToken, over.Reason)
	}
	if err != nil {
		return "", nil, fmt.Errorf("read token: %w", err)
	}
	if !slices.Contains(token.Audience, h.audience) || mint.Grant(token.ID) != "" {
		return "", nil, unauthorized(textToken, "for another audience, or a person's")
	}
	reqctx.Add(r.Context(), slog.String("client_id", string(token.Client)))
	return token.Client, token.Scopes, nil
}

func unauthorized(message, reason string) error {
	return &web.Fault{Status: http.StatusUnauthorized, Message: message, Challenge: "Bearer", Reason: reason}
}
