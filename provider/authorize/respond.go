package authorize

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// field is one parameter of an authorization response, in order.
type field struct{ name, value string }

// respond sends an authorization response, success or error, in the response
// mode asked for. Every one carries iss (RFC 9207 §2) and the state as it came.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, t redirectTarget, fields ...field) error {
	if t.state != "" {
		fields = append(fields, field{"state", t.state})
	}
	fields = append(fields, field{"iss", h.Issuer})
	switch t.mode {
	case oauth.ModeFormPost:
		return h.formPost(w, r, t, fields)
	case oauth.ModeWebMessage:
		return h.webMessage(w, r, t, fields)
	case oauth.ModeFragment:
		return web.SeeOther(w, r, t.uri+"#"+encode(fields))
	default:
		return web.SeeOther(w, r, addQuery(t.uri, encode(fields)))
	}
}

// respondError sends an error to the client (RFC 6749 §4.1.2.1).
func (h *Handler) respondError(w http.ResponseWriter, r *http.Request, t redirectTarget, e *oauth.Error) error {
	fields := []field{{"error", string(e.Code)}}
	if e.Description != "" {
		fields = append(fields, field{"error_description", e.Description})
	}
	return h.respond(w, r, t, fields...)
}

// addQuery keeps the registered URI as it is, byte for byte, and adds to its query (RFC 6749 §3.1.2).
func addQuery(uri, query string) string {
	switch {
	case !strings.Contains(uri, "?"):
		return uri + "?" + query
	case strings.HasSuffix(uri, "?"), strings.HasSuffix(uri, "&"):
		return uri + query
	default:
		return uri + "&" + query
	}
}

func encode(fields []field) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(f.name)
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(f.value))
	}
	return b.String()
}

// formPost answers with a page that posts the response (OAuth 2.0 Form Post Response Mode §2).
func (h *Handler) formPost(w http.ResponseWriter, r *http.Request, t redirectTarget, fields []field) error {
	client, err := h.Clients.Get(r.Context(), t.client)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("find client: %w", err)
	}
	page := views.FormPost{Frame: h.Pages.Frame(r, t.locales, client), Action: t.uri, Fields: viewFields(fields)}
	return web.HTML(w, r, http.StatusOK, page.Page(), web.Origins(client, t.uri)...)
}

// webMessage answers with a page that hands the response to the page that it is a frame
// of, and to no other origin than the redirect URI's, which alone may have it as one
// (draft-sakimura-oauth-wmrm-00 §5).
func (h *Handler) webMessage(w http.ResponseWriter, r *http.Request, t redirectTarget, fields []field) error {
	origin := web.Origin(t.uri)
	page := views.WebMessage{Frame: h.Pages.Frame(r, t.locales, nil), Origin: origin, Fields: viewFields(fields)}
	return web.FramedHTML(w, r, page.Page(), origin)
}

func viewFields(fields []field) []views.Field {
	out := make([]views.Field, len(fields))
	for i, f := range fields {
		out[i] = views.Field{Name: f.name, Value: f.value}
	}
	return out
}
