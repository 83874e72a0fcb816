package management

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

var (
	errNoUser    = fault(http.StatusNotFound, codeNoUser, textNoUser)
	errUserTaken = fault(http.StatusConflict, codeUser, textUser)
)

// userObject is a person in Auth0's shape. app_metadata has the attributes, too: they
// are what Handset's own words call the same thing.
func userObject(p storage.Profile) object {
	provider, inner, ok := strings.Cut(string(p.ID), "|")
	if !ok {
		provider, inner = "sms", string(p.ID)
	}
	number := p.Number.E164()
	o := object{
		"user_id": string(p.ID), "phone_number": number, "phone_verified": !p.VerifiedAt.IsZero(), "name": number,
		"created_at": timeText(p.CreatedAt), "updated_at": timeText(p.UpdatedAt), "blocked": p.Blocked,
		"identities": []object{{"user_id": inner, "provider": provider, "connection": "sms", "isSocial": false}},
	}
	if !p.LastLoginAt.IsZero() {
		o["last_login"] = timeText(p.LastLoginAt)
	}
	if app := appMetadata(p); len(app) > 0 {
		o["app_metadata"] = app
	}
	if len(p.Metadata.User) > 0 {
		o["user_metadata"] = p.Metadata.User
	}
	return o
}

func appMetadata(p storage.Profile) map[string]any {
	all := maps.Clone(p.Metadata.App)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, p.Attributes)
	return all
}

// ListUsers answers GET /api/v2/users.
func (h *Handler) ListUsers(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r, "q", "search_engine", "sort", "connection", "primary_order")
	if err != nil {
		return err
	}
	switch {
	case q.checkpoint:
		return badQuery("Additional properties not allowed: from, take")
	case q.Has("search_engine") && q.Get("search_engine") != "v3":
		return badQuery("search_engine must be v3")
	case q.Has("sort"):
		return badQuery("sort is not supported: people come in the order of their user_id")
	case q.Has("connection") && q.Get("connection") != "sms":
		return q.page(w, r, "users", nil, 0)
	case q.Has("q"):
		return h.search(w, r, q)
	case q.skip+q.limit > maxReach:
		return fault(http.StatusBadRequest, codePaging, textPaging)
	}
	people, total, err := h.c.Store.Profiles(r.Context(), q.skip, q.limit)
	if err != nil {
		return err
	}
	out := make([]object, len(people))
	for i, p := range people {
		out[i] = userObject(p)
	}
	return q.page(w, r, "users", out, total)
}

// terms are the searches that Handset can answer: people are found by what is theirs
// alone, since all else of them is sealed. Wildcards and ranges are no values.
var terms = regexp.MustCompile(`^(phone_number|user_id):(?:"((?:[^"\\]|\\.)*)"|([^\s"*?~^()\[\]{}]+))$`)

// search answers a query of one term, or of several with OR between.
func (h *Handler) search(w http.ResponseWriter, r *http.Request, q query) error {
	var out []object
	seen := map[storage.UserID]bool{}
	alternatives := strings.Split(strings.TrimSpace(q.Get("q")), " OR ")
	if len(alternatives) > maxPage {
		return badQuery("q has more than %d terms", maxPage)
	}
	for _, text := range alternatives {
		p, err := h.found(r.Context(), strings.TrimSpace(text))
		switch {
		case errors.Is(err, storage.ErrNotFound):
		case err != nil:
			return err
		case !seen[p.ID]:
			seen[p.ID] = true
			out = append(out, userObject(p))
		}
	}
	q.paged = true
	return q.listed(w, r, "users", "user_id", out)
}

func (h *Handler) found(ctx context.Context, term string) (storage.Profile, error) {
	m := terms.FindStringSubmatch(term)
	if m == nil {
		return storage.Profile{}, badQuery(`q must be phone_number:"+..." or user_id:"...", or several of them with OR between`)
	}
	value := escapes.ReplaceAllString(m[2]+m[3], "$1")
	if m[1] == "user_id" {
		return h.c.Store.Profile(ctx, storage.UserID(value))
	}
	number, err := phone.FromStored(value)
	if err != nil {
		return storage.Profile{}, storage.ErrNotFound
	}
	u, err := h.c.Store.UserByNumber(ctx, number)
	if err != nil {
		return storage.Profile{}, err
	}
	return h.c.Store.Profile(ctx, u.ID)
}

var escapes = regexp.MustCompile(`\\(.)`)

// ShowUser answers GET /api/v2/users/{id}.
func (h *Handler) ShowUser(w http.ResponseWriter, r *http.Request) error {
	p, err := h.c.Store.Profile(r.Context(), storage.UserID(r.PathValue("id")))
	if err != nil {
		return translated(err, errNoUser, err)
	}
	return one(w, r, userObject(p))
}

// userChange is what a body says of a person; nil where it says nothing.
type userChange struct {
	number            *phone.Number
	verified, blocked *bool
	app, user         map[string]any
	hasApp, hasUser   bool
}

func (h *Handler) readUser(ctx context.Context, d document, more map[string]any) (c userChange, err error) {
	var number, connection *string
	properties := map[string]any{
		"phone_number": &number, "phone_verified": &c.verified, "blocked": &c.blocked,
		"app_metadata": &c.app, "user_metadata": &c.user, "connection": &connection,
	}
	maps.Copy(properties, more)
	if err := d.into("", properties); err != nil {
		return c, err
	}
	if connection != nil && *connection != "sms" {
		// Any will do: people are not a connection's.
		if _, err := h.connection(ctx, ConnectionID(storage.ConnectionName(*connection))); errors.Is(err, errNoConnection) {
			return c, fault(http.StatusBadRequest, codeNoConnection, "The connection does not exist.")
		} else if err != nil {
			return c, err
		}
	}
	c.hasApp, c.hasUser = d.has("app_metadata"), d.has("user_metadata")
	if number == nil {
		return c, nil
	}
	if !strings.HasPrefix(*number, "+") {
		return c, invalid("phone_number", `String does not match pattern: ^\+[0-9]{1,15}$`)
	}
	n, err := h.c.Rules.Parse(*number, "")
	if err != nil {
		return c, invalid("phone_number", "The number can't be used: %s", err)
	}
	c.number = &n
	return c, nil
}

// applyUser changes a person. Metadata is merged at its first level, and null takes a
// property away; an empty object takes all.
func (h *Handler) applyUser(c userChange, p *storage.Profile) (err error) {
	if c.number != nil && *c.number != p.Number {
		p.Number = *c.number
		p.VerifiedAt = storage.Profile{}.VerifiedAt // another number is not proved
	}
	if c.verified != nil && *c.verified == p.VerifiedAt.IsZero() {
		p.VerifiedAt = storage.Profile{}.VerifiedAt
		if *c.verified {
			p.VerifiedAt = h.now()
		}
	}
	if c.blocked != nil {
		p.Blocked = *c.blocked
	}
	app := appMetadata(*p)
	if c.hasApp {
		app = merged(app, c.app)
	}
	if c.hasUser {
		p.Metadata.User = merged(p.Metadata.User, c.user)
	}
	if p.Attributes, p.Metadata.App, err = h.c.Schema.Split(app); err != nil {
		return invalid("app_metadata", "%s", err)
	}
	if missing := h.c.Schema.Missing(p.Attributes); len(missing) > 0 {
		return invalid("app_metadata", "%s: is missing", strings.Join(missing, ", "))
	}
	p.UpdatedAt = h.now()
	return nil
}

func merged(into, changes map[string]any) map[string]any {
	if len(changes) == 0 {
		return nil
	}
	out := maps.Clone(into)
	if out == nil {
		out = map[string]any{}
	}
	for name, value := range changes {
		out[name] = value
		if value == nil {
			delete(out, name)
		}
	}
	return out
}

// userIDs are what can be the second half of a subject.
var userIDs = regexp.MustCompile(`^[!-~]{1,250}$`)

// CreateUser answers POST /api/v2/users.
func (h *Handler) CreateUser(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	for _, name := range []string{"connection", "phone_number"} {
		if !d.has(name) {
			return invalid("", "Missing required property: %s", name)
		}
	}
	var given *string
	c, err := h.readUser(r.Context(), d, map[string]any{"user_id": &given})
	if err != nil {
		return err
	}
	p := storage.Profile{User: storage.User{ID: mint.UserID(), Number: *c.number, CreatedAt: h.now()}}
	if given != nil {
		if !userIDs.MatchString(*given) || strings.HasSuffix(*given, "@clients") { // those are machines' subjects
			return invalid("user_id", "String does not match pattern: %s", userIDs)
		}
		p.ID = storage.UserID("sms|" + strings.TrimPrefix(*given, "sms|"))
	}
	if err := h.applyUser(c, &p); err != nil {
		return err
	}
	if err := h.c.Store.AddProfile(r.Context(), p); err != nil {
		return h.takenUser(err)
	}
	return h.changed(w, r, http.StatusCreated, userObject(p))
}

// UpdateUser answers PATCH /api/v2/users/{id}.
func (h *Handler) UpdateUser(w http.ResponseWriter, r *http.Request) error {
	d, err := readDocument(w, r)
	if err != nil {
		return err
	}
	c, err := h.readUser(r.Context(), d, nil)
	if err != nil {
		return err
	}
	p, err := h.c.Store.EditProfile(r.Context(), storage.UserID(r.PathValue("id")), h.now(), func(p *storage.Profile) error {
		return h.applyUser(c, p)
	})
	if err != nil {
		return translated(h.takenUser(err), errNoUser, err)
	}
	return h.changed(w, r, http.StatusOK, userObject(p))
}

// takenUser says what of a person is another's already, and not whose.
func (h *Handler) takenUser(err error) error {
	taken, ok := errors.AsType[*storage.TakenError](err)
	switch {
	case !ok:
		return err
	case slices.Contains([]string{"phone_number", "user_id"}, taken.Field):
		return errUserTaken
	}
	return fault(http.StatusConflict, codeUser, "Another user has the same "+strings.TrimPrefix(taken.Field, "attributes."))
}

// RemoveUser answers DELETE /api/v2/users/{id}.
func (h *Handler) RemoveUser(w http.ResponseWriter, r *http.Request) error {
	return h.removed(w, r, h.c.Store.RemoveUser(r.Context(), storage.UserID(r.PathValue("id")), h.now()))
}
