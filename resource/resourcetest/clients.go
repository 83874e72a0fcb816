package resourcetest

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"time"

	"github.com/handset-oidc/handset/resource"
)

// AddClient registers a client, which may get tokens for itself and ask about tokens.
// It may authenticate in the form or in the header.
func (i *Issuer) AddClient(id resource.ClientID, secret resource.Secret) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clients[id] = secret
}

// family is the line of refresh tokens of one login; one of them is good at a time.
type family struct {
	token   Token
	current string
}

// RefreshToken is what an application of a person got at their login: each use gives
// a token such as the one described, and the next refresh token. The second use of
// one ends the line.
func (i *Issuer) RefreshToken(gives Token) resource.Secret {
	f := &family{token: gives, current: rand.Text()}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refresh[f.current] = f
	return resource.Secret(f.current)
}

// ClientSubject is the subject of a client's tokens for itself, as Handset names it.
func ClientSubject(id resource.ClientID) resource.Subject { return resource.Subject(id) + "@clients" }

// Deny makes the token endpoint answer access_denied for a person, or for a client,
// by its [ClientSubject].
func (i *Issuer) Deny(subject resource.Subject) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.denied[subject] = true
}

// authenticated reports whether a request carries the secret of a client.
func (i *Issuer) authenticated(r *http.Request) bool {
	id, secret := clientOf(r)
	i.mu.Lock()
	defer i.mu.Unlock()
	want, ok := i.clients[resource.ClientID(id)]
	return ok && subtle.ConstantTimeCompare([]byte(want), []byte(secret)) == 1
}

// clientOf reads credentials from header or form (RFC 6749 §2.3.1).
func clientOf(r *http.Request) (id, secret string) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		return r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	if errID != nil || errSecret != nil {
		return "", ""
	}
	return id, secret
}

func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	id, secret := clientOf(r)
	public := secret == "" && r.PostFormValue("grant_type") == "refresh_token"
	switch {
	case !public && !i.authenticated(r):
		refuse(w, http.StatusUnauthorized, "invalid_client")
	case r.PostFormValue("grant_type") == "client_credentials":
		i.serveClientCredentials(w, r, resource.ClientID(id))
	case r.PostFormValue("grant_type") == "refresh_token":
		i.serveRefresh(w, r)
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type")
	}
}

// serveClientCredentials makes a token without a person (RFC 9068 §2.2).
func (i *Issuer) serveClientCredentials(w http.ResponseWriter, r *http.Request, id resource.ClientID) {
	subject := ClientSubject(id)
	i.mu.Lock()
	denied := i.denied[subject]
	i.mu.Unlock()
	switch {
	case denied:
		refuse(w, http.StatusForbidden, "access_denied")
		return
	case r.PostFormValue("audience") != string(i.audience):
		refuse(w, http.StatusBadRequest, "invalid_target")
		return
	}
	i.issue(w, r, Token{Subject: subject, ClientID: id, Claims: map[string]any{"auth_time": nil, "amr": nil}}, "")
}

func (i *Issuer) serveRefresh(w http.ResponseWriter, r *http.Request) {
	used := r.PostFormValue("refresh_token")
	i.mu.Lock()
	f, ok := i.refresh[used]
	denied := ok && i.denied[f.token.Subject]
	var next string
	switch {
	case denied:
	case ok && f.current == used:
		next = rand.Text()
		f.current = next
		i.refresh[next] = f
	case ok: // used before: the line ends (RFC 9700 §4.14.2)
		f.current = ""
	}
	i.mu.Unlock()
	switch {
	case denied:
		refuse(w, http.StatusForbidden, "access_denied")
	case next == "":
		refuse(w, http.StatusBadRequest, "invalid_grant")
	default:
		i.issue(w, r, f.token, next)
	}
}

// issue answers with a token (RFC 6749 §5.1). A scope that was asked for is granted.
func (i *Issuer) issue(w http.ResponseWriter, r *http.Request, token Token, refresh string) {
	if scope := r.PostFormValue("scope"); scope != "" {
		token.Claims = with(token.Claims, "scope", scope)
	}
	life := token.Lifetime
	if life == 0 {
		life = time.Hour
	}
	body := map[string]any{"access_token": i.Token(token), "token_type": "Bearer", "expires_in": int(life.Seconds())}
	if refresh != "" {
		body["refresh_token"] = refresh
	}
	answer(w, http.StatusOK, body)
}
