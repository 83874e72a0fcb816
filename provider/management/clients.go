package management

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

var errNoClient = fault(http.StatusNotFound, codeNoClient, textNoClient)

// clients are all, those of the file in place of the store's of the same ID.
func (h *Handler) clients(ctx context.Context) ([]storage.Client, error) {
	kept, err := h.c.Store.Clients(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(h.c.FileClients)
	for _, c := range kept {
		if h.fileClient(c.ClientID) == nil {
			all = append(all, c)
		}
	}
	return all, nil
}

func (h *Handler) clientIDs(ctx context.Context) ([]storage.ClientID, error) {
	all, err := h.clients(ctx)
	ids := make([]storage.ClientID, len(all))
	for i, c := range all {
		ids[i] = c.ClientID
	}
	return ids, err
}

func (h *Handler) fileClient(id storage.ClientID) *storage.Client {
	for i := range h.c.FileClients {
		if h.c.FileClients[i].ClientID == id {
			return &h.c.FileClients[i]
		}
	}
	return nil
}

func (h *Handler) client(ctx context.Context, id storage.ClientID) (storage.Client, error) {
	if c := h.fileClient(id); c != nil {
		return *c, nil
	}
	c, err := h.c.Store.Client(ctx, id)
	return c, translated(err, errNoClient, err)
}

// ownClient is the ID of a client that may be changed.
func (h *Handler) ownClient(r *http.Request) (storage.ClientID, error) {
	id := storage.ClientID(r.PathValue("id"))
	if h.fileClient(id) != nil {
		return id, declared("The client")
	}
	return id, nil
}

// clientObject is a client in Auth0's shape. Secrets are kept as MACs, so that one is
// shown when it is made and never again: secret is empty otherwise.
func clientObject(c storage.Client, secret string) (object, error) {
	o, err := asObject(c)
	if err != nil {
		return nil, err
	}
	for _, list := range []string{"callbacks", "allowed_logout_urls", "web_origins", "allowed_origins", "grant_types"} {
		if o[list] == nil {
			o[list] = []string{}
		}
	}
	alg := c.IDTokenAlg
	if alg == "" {
		alg = registration.IDTokenAlgorithms()[0]
	}
	o["global"], o["oidc_conformant"] = false, true
	o["jwt_configuration"] = object{"alg": alg}
	if secret != "" {
		o["client_secret"] = secret
	}
	return o, nil
}

// ListClients answers GET /api/v2/clients.
func (h *Handler) ListClients(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r, "is_global", "is_first_party", "app_type")
	if err != nil {
		return err
	}
	for _, name := range []string{"is_global", "is_first_party"} {
		if _, err := q.flag(name); err != nil {
			return err
		}
	}
	all, err := h.clients(r.Context())
	if err != nil {
		return err
	}
	var out []object
	for _, c := range all {
		types := q.Values["app_type"]
		if q.Get("is_global") == "true" || q.Get("is_first_party") == "false" || q.Has("app_type") && !inLists(types, c.AppType) {
			continue
		}
		o, err := clientObject(c, "")
		if err != nil {
			return err
		}
		out = append(out, o)
	}
	return q.listed(w, r, "clients", "client_id", out)
}

// ShowClient answers GET /api/v2/clients/{id}.
func (h *Handler) ShowClient(w http.ResponseWriter, r *http.Request) error {
	c, err := h.client(r.Context(), storage.ClientID(r.PathValue("id")))
	if err != nil {
		return err
	}
	o, err := clientObject(c, "")
	if err != nil {
		return err
	}
	return one(w, r, o)
}

// jwtConfiguration is what Handset has of Auth0's object.
type jwtConfiguration = document

// applyClient changes a client as a body says, gives it what its kind of application
// has where nothing is said, and checks what became of it. It returns the secret that
// this made necessary, if any.
func (h *Handler) applyClient(d document, c *storage.Client) (secret string, err error) {
	var jwt jwtConfiguration
	conformant := true
	err = d.into("", map[string]any{
		"name": &c.Name, "app_type": &c.AppType, "callbacks": &c.Callbacks, "allowed_logout_urls": &c.AllowedLogoutURLs,
		"web_origins": &c.WebOrigins, "allowed_origins": &c.AllowedOrigins, "grant_types": &c.GrantTypes,
		"token_endpoint_auth_method": &c.TokenEndpointAuthMethod, "jwks": &c.JWKS, "is_first_party": &c.IsFirstParty,
		"require_pkce": &c.RequirePKCE, "require_state": &c.RequireState, "require_nonce": &c.RequireNonce,
		"subject_type": &c.SubjectType, "id_token_signed_response_alg": &c.IDTokenAlg, "initiate_login_uri": &c.InitiateLogin,
		"resource_server_identifier": &c.API, "countries": &c.Countries, "addresses": &c.Addresses,
		"is_token_endpoint_ip_header_trusted": &c.TrustIPHeader, "cross_origin_authentication": &c.CrossOrigin,
		"oidc_conformant": &conformant, "jwt_configuration": &jwt,
	})
	if err == nil {
		err = jwt.into("jwt_configuration.", map[string]any{"alg": &c.IDTokenAlg})
	}
	if err != nil {
		return "", err
	}
	if !conformant {
		return "", invalid("oidc_conformant", "No enum match: Handset has conformant clients only")
	}
	registration.SetDefaults(c)
	switch {
	case !c.NeedsSecret():
		c.SecretMACs = nil
	case len(c.SecretMACs) == 0:
		secret = client.NewSecret()
		c.SecretMACs = [][]byte{client.SecretMAC(h.c.Vault, c.ClientID, secret)}
	}
	for _, p := range registration.Validate(*c) {
		// As at Auth0 an application can be registered before it has an address; until
		// then nobody can log in to it.
		if p.Field != "callbacks" {
			return "", invalid(p.Field, "%s", p.Message)
		}
	}
	c.UpdatedAt = h.now()
	return secret, nil
}

// CreateClient answers POST /api/v2/clients.
func (h *Handler) CreateClient(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	if !d.has("name") {
		return invalid("", "Missing required property: name")
	}
	c := storage.Client{ClientID: client.NewID(), IsFirstParty: true, CreatedAt: h.now()}
	secret, err := h.applyClient(d, &c)
	if err != nil {
		return err
	}
	if err := h.c.Store.CreateClient(r.Context(), c); err != nil {
		return err
	}
	o, err := clientObject(c, secret)
	if err != nil {
		return err
	}
	return h.changed(w, r, http.StatusCreated, o)
}

// UpdateClient answers PATCH /api/v2/clients/{id}. To give a client other credentials, or
// another way to use them, takes the scope of those as well: who knows a client's secret
// is that client, with every scope that it has.
func (h *Handler) UpdateClient(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	return h.editClient(w, r, func(c *storage.Client) (string, error) {
		before := *c
		secret, err := h.applyClient(d, c)
		if err == nil && !sameCredentials(before, *c) {
			err = needs(r, ScopeRotate)
		}
		return secret, err
	})
}

// sameCredentials reports whether two states of a client authenticate alike. Keys are
// compared by what they say: callers send back what they read, in an order of their own.
func sameCredentials(a, b storage.Client) bool {
	return a.TokenEndpointAuthMethod == b.TokenEndpointAuthMethod && sameJSON(a.JWKS, b.JWKS) &&
		slices.EqualFunc(a.SecretMACs, b.SecretMACs, bytes.Equal)
}

// RotateSecret answers POST /api/v2/clients/{id}/rotate-secret. As at Auth0 the secret
// before ends at once.
func (h *Handler) RotateSecret(w http.ResponseWriter, r *http.Request) error {
	return h.editClient(w, r, func(c *storage.Client) (string, error) {
		if !c.NeedsSecret() {
			return "", fault(http.StatusBadRequest, codeBody, "The client authenticates without a secret")
		}
		secret := client.NewSecret()
		c.SecretMACs, c.UpdatedAt = [][]byte{client.SecretMAC(h.c.Vault, c.ClientID, secret)}, h.now()
		return secret, nil
	})
}

func (h *Handler) editClient(w http.ResponseWriter, r *http.Request, edit func(*storage.Client) (secret string, err error)) error {
	id, err := h.ownClient(r)
	if err != nil {
		return err
	}
	var after storage.Client
	var secret string
	err = h.c.Store.UpdateClient(r.Context(), id, func(c *storage.Client) (err error) {
		secret, err = edit(c)
		after = *c
		return err
	})
	if err != nil {
		return translated(err, errNoClient, err)
	}
	o, err := clientObject(after, secret)
	if err != nil {
		return err
	}
	return h.changed(w, r, http.StatusOK, o)
}

// RemoveClient answers DELETE /api/v2/clients/{id}.
func (h *Handler) RemoveClient(w http.ResponseWriter, r *http.Request) error {
	id, err := h.ownClient(r)
	if err != nil {
		return err
	}
	return h.removed(w, r, h.c.Store.RemoveClient(r.Context(), id, h.now()))
}

// removed answers a removal: what was not there is gone as well.
func (h *Handler) removed(w http.ResponseWriter, r *http.Request, err error) error {
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return h.changed(w, r, http.StatusNoContent, nil)
}
