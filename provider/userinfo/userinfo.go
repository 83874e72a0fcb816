// Package userinfo answers who an access token stands for: OIDC Core §5.3, with
// bearer tokens by RFC 6750. It reads claims and changes nothing.
//
// Two kinds of access tokens are good here: opaque ones, which Handset keeps, and
// those for an API whose audience names this endpoint, too, since they were granted
// with openid. Any other JWT, our own ID token and tokens for an API alone included,
// is just an unknown string.
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
	"github.com/handset-oidc/handset/provider/api"
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

// APITokens knows tokens for APIs.
type APITokens interface {
	// InForce must return [*api.NotInForce] for every other text, and for tokens
	// that have expired or were revoked.
	InForce(ctx context.Context, raw string) (api.Token, error)
	// Userinfo must report whether the token's audience names this endpoint.
	Userinfo(t api.Token) bool
}

// Subjects knows under which name a client sees a person.
type Subjects interface {
	For(ctx context.Context, id storage.ClientID, user storage.UserID) (storage.Subject, error)
	// Person must return an ID that nobody has for a name that is none.
	Person(ctx context.Context, id storage.ClientID, sub storage.Subject) (storage.UserID, error)
}

// Revocations knows the grants whose tokens died.
type Revocations interface {
	Revoked(id storage.GrantID) bool
}

// Config is what a [Handler] needs.
type Config struct {
	Minter       Minter
	AccessTokens AccessTokens
	APITokens    APITokens
	Subjects     Subjects
	People       People
	Revocations  Revocations
	// Now defaults to time.Now.
	Now func() time.Time
}

// Handler serves the userinfo endpoint.
type Handler struct{ c Config }

// New checks the configuration.
func New(c Config) (*Handler, error) {
	if c.Minter == nil || c.AccessTokens == nil || c.APITokens == nil || c.Subjects == nil || c.People == nil || c.Revocations == nil {
		return nil, errors.New("userinfo: every part but the clock is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Handler{c}, nil
}

// Serve answers GET and POST /userinfo.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	text, err := decode(w, r)
	if err != nil {
		return err
	}
	token, err := h.lookUp(r.Context(), text)
	if err != nil {
		return err
	}
	person, err := h.person(r.Context(), token.user)
	if err != nil {
		return err
	}
	// OIDC Core §5.3: the token must come from an OpenID Connect authentication request.
	if !slices.Contains(token.scopes, oauth.ScopeOpenID) {
		return refuse(oauth.InsufficientScope, "the access token was not granted the scope openid", "no openid scope")
	}
	return web.JSON(w, r, http.StatusOK, claims(token, person))
}

// bearer is what an access token of either kind says here.
type bearer struct {
	subject storage.Subject // as the token's client sees the person
	user    storage.UserID
	scopes  []string
}

// lookUp finds the token. Towards the client all refusals look alike.
func (h *Handler) lookUp(ctx context.Context, text string) (bearer, error) {
	macs := h.c.Minter.AccessTokenMACs(text)
	if macs == nil {
		return h.apiToken(ctx, text)
	}
	token, err := h.c.AccessTokens.AccessToken(ctx, macs)
	if errors.Is(err, storage.ErrNotFound) {
		return bearer{}, refuseToken("unknown token")
	}
	if err != nil {
		return bearer{}, fmt.Errorf("find access token: %w", err)
	}
	note(ctx, token.ClientID, token.UserID)
	switch {
	case !h.c.Now().Before(token.ExpiresAt):
		return bearer{}, refuseToken("token expired")
	case h.c.Revocations.Revoked(token.GrantID):
		return bearer{}, refuseToken("grant revoked")
	}
	sub, err := h.c.Subjects.For(ctx, token.ClientID, token.UserID)
	if errors.Is(err, storage.ErrNotFound) {
		return bearer{}, refuseToken("person removed")
	}
	return bearer{sub, token.UserID, token.Scopes}, err
}

// apiToken takes tokens for APIs that are for this endpoint as well.
func (h *Handler) apiToken(ctx context.Context, text string) (bearer, error) {
	token, err := h.c.APITokens.InForce(ctx, text)
	if over, ok := errors.AsType[*api.NotInForce](err); ok {
		return bearer{}, refuseToken(over.Reason)
	}
	if err != nil {
		return bearer{}, fmt.Errorf("read token: %w", err)
	}
	if !h.c.APITokens.Userinfo(token) {
		return bearer{}, refuseToken("token for another audience")
	}
	user, err := h.c.Subjects.Person(ctx, token.Client, token.Subject)
	if err != nil {
		return bearer{}, err
	}
	note(ctx, token.Client, user)
	return bearer{token.Subject, user, token.Scopes}, nil
}

func note(ctx context.Context, client storage.ClientID, user storage.UserID) {
	reqctx.Add(ctx, slog.String("client_id", string(client)), slog.String("sub", string(user)))
}

func (h *Handler) person(ctx context.Context, id storage.UserID) (storage.User, error) {
	person, err := h.c.People.User(ctx, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return person, refuseToken("person removed")
	case err != nil:
		return person, fmt.Errorf("find person: %w", err)
	case person.Blocked:
		return person, refuseToken("person blocked")
	}
	return person, nil
}

// claims returns what the scopes allow (OIDC Core §5.4). Handset knows no
// names: of the profile there is only updated_at.
func claims(token bearer, person storage.User) *oidc.UserInfo {
	info := &oidc.UserInfo{Subject: string(token.subject)}
	if slices.Contains(token.scopes, oauth.ScopeProfile) {
		info.UpdatedAt = oidc.FromTime(person.UpdatedAt)
	}
	if slices.Contains(token.scopes, oauth.ScopePhone) {
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
