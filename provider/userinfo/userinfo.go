// Package userinfo answers who an access token stands for: OIDC Core §5.3, with
// bearer tokens by RFC 6750. It reads claims and changes nothing.
//
// Only opaque access tokens that Handset keeps are looked at. A JWT, our own ID
// token included, is just an unknown string here.
package userinfo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/handset-oidc/handset/internal/reqctx"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// Minter tells what to look a token up by.
type Minter interface {
	// AccessTokenMACs must return nil for what has not the form of an access token.
	AccessTokenMACs(token string) [][]byte
}

// AccessTokens finds access tokens by their MACs.
type AccessTokens interface {
	// AccessToken must return storage.ErrNotFound for an unknown token; it may
	// return an expired one.
	AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error)
}

// People finds the person a token stands for.
type People interface {
	// User must return storage.ErrNotFound for a removed person.
	User(ctx context.Context, id storage.UserID) (storage.User, error)
}

// Revocations knows the grants whose tokens died.
type Revocations interface {
	Revoked(id storage.GrantID) bool
}

// Config is what a [Handler] needs.
type Config struct {
	Minter       Minter
	AccessTokens AccessTokens
	People       People
	Revocations  Revocations
	// Now defaults to time.Now.
	Now func() time.Time
}

// Handler serves the userinfo endpoint.
type Handler struct {
	minter       Minter
	accessTokens AccessTokens
	people       People
	revocations  Revocations
	now          func() time.Time
}

// New checks the configuration.
func New(c Config) (*Handler, error) {
	if c.Minter == nil || c.AccessTokens == nil || c.People == nil || c.Revocations == nil {
		return nil, errors.New("userinfo: minter, access tokens, people and revocations are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Handler{c.Minter, c.AccessTokens, c.People, c.Revocations, c.Now}, nil
}

// Serve answers GET and POST /userinfo.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	bearer, err := decode(w, r)
	if err != nil {
		return err
	}
	token, person, err := h.lookUp(r.Context(), bearer)
	if err != nil {
		return err
	}
	// OIDC Core §5.3: the token must come from an OpenID Connect authentication request.
	if !slices.Contains(token.Scopes, oauth.ScopeOpenID) {
		return refuse(oauth.InsufficientScope, "the access token was not granted the scope openid", "no openid scope")
	}
	return web.JSON(w, r, http.StatusOK, claims(person, token.Scopes))
}

// lookUp finds the token and its person. Towards the client all refusals look alike.
func (h *Handler) lookUp(ctx context.Context, bearer string) (storage.AccessToken, storage.User, error) {
	none := func(err error) (storage.AccessToken, storage.User, error) {
		return storage.AccessToken{}, storage.User{}, err
	}
	macs := h.minter.AccessTokenMACs(bearer)
	if macs == nil { // a JWT, for example: our own ID token opens nothing here
		return none(refuseToken("not an access token"))
	}
	token, err := h.accessTokens.AccessToken(ctx, macs)
	if errors.Is(err, storage.ErrNotFound) {
		return none(refuseToken("unknown token"))
	}
	if err != nil {
		return none(fmt.Errorf("find access token: %w", err))
	}
	reqctx.Add(ctx, slog.String("client_id", string(token.ClientID)), slog.String("sub", string(token.UserID)))
	switch {
	case !h.now().Before(token.ExpiresAt):
		return none(refuseToken("token expired"))
	case h.revocations.Revoked(token.GrantID):
		return none(refuseToken("grant revoked"))
	}
	person, err := h.people.User(ctx, token.UserID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return none(refuseToken("person removed"))
	case err != nil:
		return none(fmt.Errorf("find person: %w", err))
	case person.Blocked:
		return none(refuseToken("person blocked"))
	}
	return token, person, nil
}

// claims returns what the scopes allow (OIDC Core §5.4). Handset knows no
// names: of the profile there is only updated_at.
func claims(person storage.User, scopes []string) *oidc.UserInfo {
	info := &oidc.UserInfo{Subject: string(person.ID)}
	if slices.Contains(scopes, oauth.ScopeProfile) {
		info.UpdatedAt = oidc.FromTime(person.UpdatedAt)
	}
	if slices.Contains(scopes, oauth.ScopePhone) {
		info.PhoneNumber = person.Number.E164()
		info.PhoneNumberVerified = oidc.Bool(!person.VerifiedAt.IsZero())
	}
	return info
}

// decode takes the token from the Authorization header or from the form body
// (RFC 6750 §2.1, §2.2), never from the URL, which ends in logs (RFC 9700 §4.3.2).
func decode(w http.ResponseWriter, r *http.Request) (string, error) {
	query, err := web.Query(r)
	if err != nil {
		return "", err
	}
	if _, ok := query["access_token"]; ok {
		return "", refuse(oauth.InvalidRequest, "send the access token in the Authorization header, not in the URL", "token in query")
	}
	header, err := fromHeader(r)
	if err != nil {
		return "", err
	}
	body, err := fromBody(w, r)
	if err != nil {
		return "", err
	}
	switch {
	case header != "" && body != "":
		// RFC 6750 §2: "Clients MUST NOT use more than one method".
		return "", refuse(oauth.InvalidRequest, "send the access token once, in the header or in the body", "token sent twice")
	case header == "" && body == "":
		// RFC 6750 §3.1 keeps the error out of the header. The body is for a developer.
		return "", &oauth.Error{Code: oauth.InvalidToken, Challenge: "Bearer", Unasked: true, Reason: "no token",
			Description: "there is no access token; send it in the header Authorization: Bearer"}
	}
	return header + body, nil
}

func fromHeader(r *http.Request) (string, error) {
	fields := r.Header.Values("Authorization")
	if len(fields) > 1 {
		return "", refuse(oauth.InvalidRequest, "send one Authorization header", "repeated authorization header")
	}
	if len(fields) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110 §11.1: schemes ignore case
		return "", nil
	}
	return strings.Trim(token, " "), nil
}

// fromBody looks at form bodies of POST requests only (RFC 6750 §2.2).
func fromBody(w http.ResponseWriter, r *http.Request) (string, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || err != nil || media != "application/x-www-form-urlencoded" {
		return "", nil
	}
	form, err := web.Body(w, r)
	if err != nil {
		return "", err
	}
	if slices.Contains(form.Repeated(), "access_token") {
		return "", refuse(oauth.InvalidRequest, "the access token is given twice", "repeated parameter")
	}
	return form.Get("access_token"), nil
}

func refuse(code oauth.Code, description, reason string) error {
	return &oauth.Error{Code: code, Description: description, Challenge: "Bearer", Reason: reason}
}

// refuseToken is one answer for all causes (RFC 6750 §3.1); the log keeps them apart.
func refuseToken(reason string) error {
	return refuse(oauth.InvalidToken, "the access token is unknown, expired or revoked", reason)
}
