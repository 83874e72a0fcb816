package api

import (
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

// unknownTarget is RFC 8707 §2's error. Which APIs there are is told to no one who
// may not use them.
func unknownTarget(reason string) error {
	return oauth.Errorf(oauth.InvalidTarget, "the client can't get tokens for this audience or resource; register the API, or let the client use it").Because(reason)
}

// Requested returns the API that a request names: by audience, Auth0's parameter, or
// by resource (RFC 8707 §2), which may repeat; empty when it names none. A login is
// for one API, so naming two is an error.
func (r *Registry) Requested(v web.Values) (storage.Audience, error) {
	var named storage.Audience
	for _, text := range append([]string{v.Get("audience")}, v["resource"]...) {
		id := storage.Audience(text)
		switch {
		case id == "" || id == named:
		case named != "":
			return "", oauth.Errorf(oauth.InvalidTarget, "name one API in audience and resource; a login is for one").Because("two audiences")
		default:
			named = id
		}
	}
	if named == r.config.Userinfo {
		return "", nil
	}
	return named, nil
}

// ForPeople returns the API that a client asks for in the name of a person, and
// those of scopes that the client may get there. [storage.API.Clients] decides: any
// client, as at Auth0, or those with a client grant.
func (r *Registry) ForPeople(client *storage.Client, id storage.Audience, scopes []string) (*storage.API, []string, error) {
	a := r.Get(id)
	if a == nil {
		return nil, nil, unknownTarget("unknown API")
	}
	scopes = a.Offers(scopes)
	if a.Clients != storage.Granted {
		return a, scopes, nil
	}
	allowed, ok := r.Allowed(client.ClientID, id)
	if !ok {
		return nil, nil, unknownTarget("no client grant")
	}
	return a, allowed.Narrow(scopes), nil
}

// ForMachine returns the API that a client asks for as itself, and the scopes that it
// gets there: those it asks for, or, when it asks for none, all that its client grant
// allows.
func (r *Registry) ForMachine(client *storage.Client, id storage.Audience, asked []string) (*storage.API, []string, error) {
	a := r.Get(id)
	if a == nil {
		return nil, nil, unknownTarget("unknown API")
	}
	allowed, ok := r.Allowed(client.ClientID, id)
	if !ok {
		// Auth0's words and status, which its users look for.
		return nil, nil, oauth.Errorf(oauth.AccessDenied,
			`Client is not authorized to access "%s". You need to create a "client-grant" associated to this API.`, id).Because("no client grant")
	}
	granted := allowed.Narrow(a.ScopeValues())
	if len(asked) == 0 {
		return a, granted, nil
	}
	scopes := storage.Allowance{Scopes: granted}.Narrow(asked)
	if len(scopes) < len(asked) {
		return nil, nil, oauth.Errorf(oauth.InvalidScope, "scope asks for more than the client was granted at this API").Because("scope not granted")
	}
	return a, scopes, nil
}

// Target is what a login's grant is told of the API that was asked for when the
// login began. The API may be gone by now.
func (r *Registry) Target(id storage.Audience, scopes []string) (storage.GrantedAPI, error) {
	if id == "" {
		return storage.GrantedAPI{}, nil
	}
	a := r.Get(id)
	if a == nil {
		return storage.GrantedAPI{}, unknownTarget("API removed")
	}
	return storage.GrantedAPI{
		Audience: id, Scopes: a.Offers(scopes), AssignedOnly: a.Users != storage.Anyone, Lifetime: a.Lifetime(),
	}, nil
}
