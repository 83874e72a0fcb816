package management

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

var (
	errNoConnection    = fault(http.StatusNotFound, codeNoConnection, textNoConnection)
	errConnectionTaken = fault(http.StatusConflict, codeConnection, textConnection)
)

// connections are all, those of the file in place of the store's of the same name.
func (h *Handler) connections(ctx context.Context) ([]storage.Connection, error) {
	kept, err := h.c.Store.Connections(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(h.c.FileConnections)
	for _, c := range kept {
		if !slices.ContainsFunc(all, func(f storage.Connection) bool { return f.Name == c.Name }) {
			all = append(all, c)
		}
	}
	return all, nil
}

func (h *Handler) connection(ctx context.Context, id string) (storage.Connection, error) {
	all, err := h.connections(ctx)
	if err != nil {
		return storage.Connection{}, err
	}
	for _, c := range all {
		if ConnectionID(c.Name) == id {
			return c, nil
		}
	}
	return storage.Connection{}, errNoConnection
}

// own is a connection that may be changed.
func (h *Handler) ownConnection(r *http.Request) (storage.Connection, error) {
	c, err := h.connection(r.Context(), r.PathValue("id"))
	if err == nil && c.FromFile {
		err = declared("The connection")
	}
	return c, err
}

// connectionObject is a connection in Auth0's shape, with the secrets of its options:
// PATCH replaces the options whole, so who changes one sends all of them back.
func connectionObject(c storage.Connection) object {
	s := c.Settings
	o := object{
		"id": ConnectionID(c.Name), "name": c.Name, "strategy": c.Strategy, "options": c.Options,
		"is_domain_connection": s.IsDomainConnection, "realms": s.Realms, "enabled_clients": s.EnabledClients,
	}
	if s.Realms == nil {
		o["realms"] = []string{string(c.Name)}
	}
	if s.EnabledClients == nil {
		o["enabled_clients"] = []string{}
	}
	if s.DisplayName != "" {
		o["display_name"] = s.DisplayName
	}
	if s.ShowAsButton != nil {
		o["show_as_button"] = *s.ShowAsButton
	}
	if s.Metadata != nil {
		o["metadata"] = s.Metadata
	}
	if s.Authentication != nil {
		o["authentication"] = s.Authentication
	}
	if s.ConnectedAccounts != nil {
		o["connected_accounts"] = s.ConnectedAccounts
	}
	return o
}

// ListConnections answers GET /api/v2/connections.
func (h *Handler) ListConnections(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r, "strategy", "name", "domain_alias")
	if err != nil {
		return err
	}
	all, err := h.connections(r.Context())
	if err != nil {
		return err
	}
	var out []object
	for _, c := range all {
		if strategies := q.Values["strategy"]; len(strategies) > 0 && !slices.Contains(strategies, c.Strategy) || q.Has("name") && q.Get("name") != string(c.Name) {
			continue
		}
		o := connectionObject(c)
		o["name"] = string(c.Name)
		out = append(out, o)
	}
	return q.listed(w, r, "connections", "name", out)
}

// ShowConnection answers GET /api/v2/connections/{id}.
func (h *Handler) ShowConnection(w http.ResponseWriter, r *http.Request) error {
	c, err := h.connection(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return one(w, r, connectionObject(c))
}

// settings are the properties of a connection that can be changed.
func settings(s *storage.ConnectionSettings, options *json.RawMessage, enabled *[]storage.ClientID) map[string]any {
	return map[string]any{
		"options": options, "enabled_clients": enabled, "display_name": &s.DisplayName,
		"is_domain_connection": &s.IsDomainConnection, "show_as_button": &s.ShowAsButton, "realms": &s.Realms,
		"metadata": &s.Metadata, "authentication": &s.Authentication, "connected_accounts": &s.ConnectedAccounts,
	}
}

// apply changes a connection as a body says, and checks what became of it.
func (h *Handler) applyConnection(d document, c *storage.Connection, more map[string]any) error {
	var options json.RawMessage
	var enabled []storage.ClientID
	properties := settings(&c.Settings, &options, &enabled)
	for name, target := range more {
		properties[name] = target
	}
	if err := d.into("", properties); err != nil {
		return err
	}
	for name, raw := range map[string]json.RawMessage{
		"options": options, "authentication": c.Settings.Authentication, "connected_accounts": c.Settings.ConnectedAccounts,
	} {
		if raw != nil && !isObject(raw) {
			return invalid(name, "Expected type object")
		}
	}
	if options != nil {
		c.Options = withDefaults(options)
	}
	if d.has("enabled_clients") {
		// Auth0's own guide sends an empty list, and means everyone by it. Who sends back
		// the empty list of a connection that was taken from all does not, nor who takes
		// the last client from one that serves by name alone.
		nobody := c.Settings.Restricted && (len(c.Settings.EnabledClients) == 0 || c.Name != storage.DefaultConnection)
		c.Settings.EnabledClients, c.Settings.Restricted = enabled, nobody || len(enabled) > 0
	}
	c.UpdatedAt = h.now()
	if err := h.c.CheckConnection(*c); err != nil {
		// Templates and syntaxes are quoted: people put numbers into the one, and secrets
		// into the wrong property.
		wrong := invalid("", "%s", err)
		wrong.Quotes, wrong.Reason = true, "options"
		return wrong
	}
	return nil
}

// withDefaults adds the options that Auth0 gives a value where there is none.
func withDefaults(options json.RawMessage) json.RawMessage {
	var values map[string]json.RawMessage
	if json.Unmarshal(options, &values) != nil || values["brute_force_protection"] != nil {
		return options
	}
	values["brute_force_protection"] = json.RawMessage("true")
	out, err := json.Marshal(values)
	if err != nil {
		return options // unreachable: it was JSON
	}
	return out
}

// CreateConnection answers POST /api/v2/connections.
func (h *Handler) CreateConnection(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	for _, name := range []string{"name", "strategy"} {
		if !d.has(name) {
			return invalid("", "Missing required property: %s", name)
		}
	}
	var name string
	c := storage.Connection{Options: withDefaults(json.RawMessage("{}"))}
	// The strategy is read first: what else is wrong depends on it.
	if strictjson.Decode(d["strategy"], &c.Strategy) != nil || c.Strategy != "sms" {
		return invalid("strategy", "No enum match: sms is the one strategy of Handset")
	}
	if strictjson.Decode(d["name"], &name) != nil || !registration.ConnectionNames.MatchString(name) {
		return invalid("name", "String does not match pattern: %s", registration.ConnectionNames)
	}
	c.Name = storage.ConnectionName(name)
	if err := h.applyConnection(d, &c, map[string]any{"name": &name, "strategy": &c.Strategy}); err != nil {
		return err
	}
	if slices.ContainsFunc(h.c.FileConnections, func(f storage.Connection) bool { return f.Name == c.Name }) {
		return errConnectionTaken
	}
	if err := h.c.Store.CreateConnection(r.Context(), c); err != nil {
		return translated(err, err, errConnectionTaken)
	}
	return h.changed(w, r, http.StatusCreated, connectionObject(c))
}

// UpdateConnection answers PATCH /api/v2/connections/{id}. The options are replaced whole.
func (h *Handler) UpdateConnection(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	c, err := h.ownConnection(r)
	if err != nil {
		return err
	}
	err = h.c.Store.UpdateConnection(r.Context(), c.Name, func(kept *storage.Connection) error {
		kept.Settings.DisplayName = string(kept.Name) // as Auth0 does, where none is given
		err := h.applyConnection(d, kept, nil)
		c = *kept
		return err
	})
	if err != nil {
		return translated(err, errNoConnection, err)
	}
	return h.changed(w, r, http.StatusOK, connectionObject(c))
}

// RemoveConnection answers DELETE /api/v2/connections/{id}. People stay: they are not a
// connection's.
func (h *Handler) RemoveConnection(w http.ResponseWriter, r *http.Request) error {
	c, err := h.ownConnection(r)
	if errors.Is(err, errNoConnection) {
		return web.NoContent(w, r, http.StatusNoContent)
	}
	if err != nil {
		return err
	}
	if c.Name == h.c.InUse {
		return fault(http.StatusForbidden, codeForbidden, "People log in by this connection, so it can't be removed; change it instead")
	}
	if err := h.c.Store.RemoveConnection(r.Context(), c.Name); err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			return web.NoContent(w, r, http.StatusNoContent)
		}
		return err
	}
	return h.changed(w, r, http.StatusAccepted, object{"deleted_at": timeText(h.c.Now())})
}

// enabledClient is a client of a connection, and whether it may use it.
type enabledClient struct {
	ClientID *storage.ClientID `json:"client_id"`
	Status   *bool             `json:"status"`
}

// ListConnectionClients answers GET /api/v2/connections/{id}/clients.
func (h *Handler) ListConnectionClients(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	c, err := h.connection(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	ids := c.Settings.EnabledClients
	if !c.Settings.Restricted {
		if ids, err = h.clientIDs(r.Context()); err != nil {
			return err
		}
	}
	out := make([]object, len(ids))
	for i, id := range ids {
		out[i] = object{"client_id": string(id)}
	}
	q.checkpoint = true
	return q.listed(w, r, "clients", "client_id", out)
}

// UpdateConnectionClients answers PATCH /api/v2/connections/{id}/clients.
func (h *Handler) UpdateConnectionClients(w http.ResponseWriter, r *http.Request) error {
	var changes []enabledClient
	if err := readBody(w, r, &changes); err != nil {
		return err
	}
	if len(changes) == 0 || len(changes) > maxPage {
		return invalid("", "Expected array of 1 to %d clients", maxPage)
	}
	if slices.ContainsFunc(changes, func(c enabledClient) bool { return c.ClientID == nil || c.Status == nil }) {
		return invalid("", "Missing required property: client_id and status")
	}
	c, err := h.ownConnection(r)
	if err != nil {
		return err
	}
	everyone, err := h.clientIDs(r.Context()) // outside of the transaction
	if err != nil {
		return err
	}
	err = h.c.Store.UpdateConnection(r.Context(), c.Name, func(kept *storage.Connection) error {
		s := &kept.Settings
		if !s.Restricted {
			s.EnabledClients = everyone
		}
		s.Restricted, kept.UpdatedAt = true, h.now()
		for _, change := range changes {
			s.EnabledClients = slices.DeleteFunc(s.EnabledClients, func(id storage.ClientID) bool { return id == *change.ClientID })
			if *change.Status {
				s.EnabledClients = append(s.EnabledClients, *change.ClientID)
			}
		}
		return nil
	})
	if err != nil {
		return translated(err, errNoConnection, err)
	}
	return h.changed(w, r, http.StatusNoContent, nil)
}
