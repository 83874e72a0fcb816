package management

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

var (
	errNoAPI      = fault(http.StatusNotFound, codeNoAPI, textNoAPI)
	errAPITaken   = fault(http.StatusConflict, codeAPI, textAPI)
	errNoGrant    = fault(http.StatusNotFound, codeNoGrant, textNoGrant)
	errGrantTaken = fault(http.StatusConflict, codeGrant, textGrant)
)

// apis are all, those that are fixed in place of the store's of the same identifier.
func (h *Handler) apis(ctx context.Context) ([]storage.API, error) {
	kept, err := h.c.Store.APIs(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(h.c.FileAPIs)
	for _, a := range kept {
		if !slices.ContainsFunc(h.c.FileAPIs, func(f storage.API) bool { return f.Identifier == a.Identifier }) {
			all = append(all, a)
		}
	}
	return all, nil
}

// api finds an API by Auth0's ID or by its identifier.
func (h *Handler) api(ctx context.Context, id string) (storage.API, error) {
	all, err := h.apis(ctx)
	if err != nil {
		return storage.API{}, err
	}
	for _, a := range all {
		if apiID(a.Identifier) == id || string(a.Identifier) == id {
			return a, nil
		}
	}
	return storage.API{}, errNoAPI
}

// ownAPI is an API that may be changed.
func (h *Handler) ownAPI(r *http.Request) (storage.API, error) {
	a, err := h.api(r.Context(), r.PathValue("id"))
	if err == nil && a.FromFile {
		err = declared("The resource server")
	}
	return a, err
}

func (h *Handler) apiObject(a storage.API) (object, error) {
	o, err := asObject(a)
	if err != nil {
		return nil, err
	}
	if a.Scopes == nil {
		o["scopes"] = []object{}
	}
	o["id"] = apiID(a.Identifier)
	o["is_system"] = strings.HasPrefix(string(a.Identifier), strings.TrimRight(h.c.Issuer, "/")+"/")
	o["token_lifetime_for_web"] = a.TokenLifetime
	o["skip_consent_for_verifiable_first_party_clients"] = true
	return o, nil
}

// ListAPIs answers GET /api/v2/resource-servers.
func (h *Handler) ListAPIs(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r, "identifiers")
	if err != nil {
		return err
	}
	all, err := h.apis(r.Context())
	if err != nil {
		return err
	}
	var out []object
	for _, a := range all {
		if q.Has("identifiers") && !inLists(q.Values["identifiers"], string(a.Identifier)) {
			continue
		}
		o, err := h.apiObject(a)
		if err != nil {
			return err
		}
		out = append(out, o)
	}
	return q.listed(w, r, "resource_servers", "identifier", out)
}

// inLists reports whether a value stands in one of lists that are separated by commas.
func inLists(lists []string, value string) bool {
	return slices.Contains(strings.Split(strings.Join(lists, ","), ","), value)
}

// ShowAPI answers GET /api/v2/resource-servers/{id}.
func (h *Handler) ShowAPI(w http.ResponseWriter, r *http.Request) error {
	a, err := h.api(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	o, err := h.apiObject(a)
	if err != nil {
		return err
	}
	return one(w, r, o)
}

// applyAPI changes an API as a body says, and checks what became of it.
func (h *Handler) applyAPI(d document, a *storage.API, more map[string]any) error {
	skip, web := true, 0
	properties := map[string]any{
		"name": &a.Name, "scopes": &a.Scopes, "token_lifetime": &a.TokenLifetime, "signing_alg": &a.SigningAlg,
		"allow_offline_access": &a.AllowOfflineAccess, "users": &a.Users, "clients": &a.Clients, "claims": &a.Claims,
		"skip_consent_for_verifiable_first_party_clients": &skip, "token_lifetime_for_web": &web,
	}
	for name, target := range more {
		properties[name] = target
	}
	if err := d.into("", properties); err != nil {
		return err
	}
	registration.SetAPIDefaults(a)
	switch {
	case !skip:
		return invalid("skip_consent_for_verifiable_first_party_clients", "No enum match: Handset asks nobody for consent")
	case web != 0 && web != a.TokenLifetime:
		return invalid("token_lifetime_for_web", "No enum match: it is the same as token_lifetime")
	}
	for _, p := range registration.ValidateAPI(*a, h.c.Issuer) {
		return invalid(p.Field, "%s", p.Message)
	}
	a.UpdatedAt = h.now()
	return nil
}

// CreateAPI answers POST /api/v2/resource-servers. Who says nothing of users means
// everyone, as at Auth0.
func (h *Handler) CreateAPI(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	if !d.has("identifier") {
		return invalid("", "Missing required property: identifier")
	}
	a := storage.API{CreatedAt: h.now(), Users: storage.Anyone}
	if err := strictjson.Decode(d["identifier"], &a.Identifier); err != nil {
		return invalid("identifier", "Expected type string")
	}
	if err := h.applyAPI(d, &a, map[string]any{"identifier": new(string)}); err != nil {
		return err
	}
	if slices.ContainsFunc(h.c.FileAPIs, func(f storage.API) bool { return f.Identifier == a.Identifier }) {
		return errAPITaken
	}
	if err := h.c.Store.CreateAPI(r.Context(), a); err != nil {
		return translated(err, err, errAPITaken)
	}
	o, err := h.apiObject(a)
	if err != nil {
		return err
	}
	return h.changed(w, r, http.StatusCreated, o)
}

// UpdateAPI answers PATCH /api/v2/resource-servers/{id}.
func (h *Handler) UpdateAPI(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	a, err := h.ownAPI(r)
	if err != nil {
		return err
	}
	err = h.c.Store.UpdateAPI(r.Context(), a.Identifier, func(kept *storage.API) error {
		err := h.applyAPI(d, kept, nil)
		a = *kept
		return err
	})
	if err != nil {
		return translated(err, errNoAPI, err)
	}
	o, err := h.apiObject(a)
	if err != nil {
		return err
	}
	return h.changed(w, r, http.StatusOK, o)
}

// RemoveAPI answers DELETE /api/v2/resource-servers/{id}.
func (h *Handler) RemoveAPI(w http.ResponseWriter, r *http.Request) error {
	a, err := h.ownAPI(r)
	if errors.Is(err, errNoAPI) {
		return h.removed(w, r, nil)
	}
	if err != nil {
		return err
	}
	return h.removed(w, r, h.c.Store.RemoveAPI(r.Context(), a.Identifier, h.now()))
}

// grants are all client grants, those of the file in place of the store's for the same.
func (h *Handler) grants(ctx context.Context) ([]storage.ClientGrant, error) {
	kept, err := h.c.Store.ClientGrants(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(h.c.FileGrants)
	for _, g := range kept {
		if !slices.ContainsFunc(h.c.FileGrants, func(f storage.ClientGrant) bool { return sameGrant(f, g) }) {
			all = append(all, g)
		}
	}
	return all, nil
}

func sameGrant(a, b storage.ClientGrant) bool {
	return a.ClientID == b.ClientID && a.Audience == b.Audience
}

func (h *Handler) grant(ctx context.Context, id string) (storage.ClientGrant, error) {
	all, err := h.grants(ctx)
	if err != nil {
		return storage.ClientGrant{}, err
	}
	for _, g := range all {
		if grantID(g.ClientID, g.Audience) == id {
			return g, nil
		}
	}
	return storage.ClientGrant{}, errNoGrant
}

// ownGrant is a client grant that may be changed.
func (h *Handler) ownGrant(r *http.Request) (storage.ClientGrant, error) {
	g, err := h.grant(r.Context(), r.PathValue("id"))
	if err == nil && g.FromFile {
		err = declared("The client grant")
	}
	return g, err
}

func grantObject(g storage.ClientGrant) object {
	o := object{
		"id": grantID(g.ClientID, g.Audience), "client_id": string(g.ClientID), "audience": string(g.Audience),
		"scope": g.Scopes, "subject_type": "client",
	}
	if g.Scopes == nil {
		o["scope"] = []string{}
	}
	if g.AllScopes {
		o["allow_all_scopes"] = true
	}
	return o
}

// ListGrants answers GET /api/v2/client-grants.
func (h *Handler) ListGrants(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r, "client_id", "audience", "subject_type", "allow_any_organization")
	if err != nil {
		return err
	}
	all, err := h.grants(r.Context())
	if err != nil {
		return err
	}
	var out []object
	for _, g := range all {
		o := grantObject(g)
		fits := true
		for _, name := range []string{"client_id", "audience", "subject_type"} {
			fits = fits && (!q.Has(name) || q.Get(name) == o[name])
		}
		if fits {
			out = append(out, o)
		}
	}
	return q.listed(w, r, "client_grants", "id", out)
}

// ShowGrant answers GET /api/v2/client-grants/{id}.
func (h *Handler) ShowGrant(w http.ResponseWriter, r *http.Request) error {
	g, err := h.grant(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return one(w, r, grantObject(g))
}

// applyGrant changes a client grant as a body says, and checks what became of it.
func applyGrant(d document, g *storage.ClientGrant, more map[string]any) error {
	subject := "client"
	properties := map[string]any{"scope": &g.Scopes, "allow_all_scopes": &g.AllScopes, "subject_type": &subject}
	for name, target := range more {
		properties[name] = target
	}
	if err := d.into("", properties); err != nil {
		return err
	}
	if subject != "client" {
		return invalid("subject_type", "No enum match: client is the one that Handset has")
	}
	if g.AllScopes && !d.has("scope") {
		g.Scopes = nil
	}
	for _, p := range registration.ValidateClientGrant(*g) {
		return invalid(p.Field, "%s", p.Message)
	}
	return nil
}

// grantedAPI is the API that a client grant is for.
func (h *Handler) grantedAPI(ctx context.Context, id storage.Audience) (storage.API, error) {
	a, err := h.api(ctx, string(id))
	if err == nil && a.Identifier != id {
		err = errNoAPI
	}
	return a, err
}

func checkScopes(g storage.ClientGrant, a storage.API) error {
	if len(registration.UnknownScopes(g.Allowance, &a)) > 0 {
		return invalid("scope", "The resource server has no such scope")
	}
	return nil
}

// CreateGrant answers POST /api/v2/client-grants. The client and the API must be there.
func (h *Handler) CreateGrant(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	g := storage.ClientGrant{CreatedAt: h.now()}
	if err := applyGrant(d, &g, map[string]any{"client_id": &g.ClientID, "audience": &g.Audience}); err != nil {
		return err
	}
	if _, err := h.client(r.Context(), g.ClientID); err != nil {
		return err
	}
	a, err := h.grantedAPI(r.Context(), g.Audience)
	if err != nil {
		return err
	}
	if err := checkScopes(g, a); err != nil {
		return err
	}
	if slices.ContainsFunc(h.c.FileGrants, func(f storage.ClientGrant) bool { return sameGrant(f, g) }) {
		return errGrantTaken
	}
	if err := h.c.Store.CreateClientGrant(r.Context(), g); err != nil {
		return translated(err, err, errGrantTaken)
	}
	return h.changed(w, r, http.StatusCreated, grantObject(g))
}

// UpdateGrant answers PATCH /api/v2/client-grants/{id}.
func (h *Handler) UpdateGrant(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	g, err := h.ownGrant(r)
	if err != nil {
		return err
	}
	a, err := h.grantedAPI(r.Context(), g.Audience)
	if err != nil {
		return err
	}
	err = h.c.Store.UpdateClientGrant(r.Context(), g.ClientID, g.Audience, func(kept *storage.ClientGrant) error {
		if err := applyGrant(d, kept, nil); err != nil {
			return err
		}
		g = *kept
		return checkScopes(g, a)
	})
	if err != nil {
		return translated(err, errNoGrant, err)
	}
	return h.changed(w, r, http.StatusOK, grantObject(g))
}

// RemoveGrant answers DELETE /api/v2/client-grants/{id}.
func (h *Handler) RemoveGrant(w http.ResponseWriter, r *http.Request) error {
	g, err := h.ownGrant(r)
	if errors.Is(err, errNoGrant) {
		return h.removed(w, r, nil)
	}
	if err != nil {
		return err
	}
	return h.removed(w, r, h.c.Store.RemoveClientGrant(r.Context(), g.ClientID, g.Audience))
}
