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
)

// Guard lets in requests whose token has the scope. Nothing of a request but its
// header is looked at before.
func (h *Handler) Guard(scope string, next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h.authorize(r, scope); err != nil {
			return err
		}
		return next(w, r)
	}
}

// authorize checks the access token of a request (RFC 6750 §2.1). It must be a client's
// own: nobody manages in the name of a person.
func (h *Handler) authorize(r *http.Request, scope string) error {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return unauthorized(textNoToken, "no token")
	}
	scheme, raw, _ := strings.Cut(headers[0], " ")
	if raw = strings.TrimSpace(raw); len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") || strings.Count(raw, ".") != 2 {
		return fault(http.StatusBadRequest, codeBearer, textNotJWT)
	}
	token, err := h.c.Tokens.InForce(r.Context(), raw)
	if over, ok := errors.AsType[*api.NotInForce](err); ok {
		return unauthorized(textToken, over.Reason)
	}
	if err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	if !slices.Contains(token.Audience, h.audience) || mint.Grant(token.ID) != "" {
		return unauthorized(textToken, "for another audience, or a person's")
	}
	reqctx.Add(r.Context(), slog.String("client_id", string(token.Client)))
	if !slices.Contains(token.Scopes, scope) {
		return &web.Fault{Status: http.StatusForbidden, Code: codeScope, Message: textScope + scope, Challenge: "Bearer"}
	}
	return nil
}

func unauthorized(message, reason string) error {
	return &web.Fault{Status: http.StatusUnauthorized, Message: message, Challenge: "Bearer", Reason: reason}
}
