package management

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handset-oidc/handset/internal/web"
)

// Auth0's numbers of paging.
const (
	usualPage = 50
	maxPage   = 100
	// maxReach is how far pages by number reach into people.
	maxReach = 1000
)

// query is what a list was asked for.
type query struct {
	web.Values
	// paged: by number; checkpoint: by from and take, which wins (Auth0 has no totals
	// there).
	paged, checkpoint, totals bool
	skip, limit               int
	after                     string
}

// lists are the parameters that are given once per value, by some SDKs.
var lists = []string{"strategy", "app_type", "identifiers", "fields"}

// readQuery refuses what is no list's parameter. own are those of one list.
func readQuery(r *http.Request, own ...string) (query, error) {
	values, err := web.Query(r)
	if err != nil {
		return query{}, badQuery("not a query string")
	}
	q := query{Values: values, limit: usualPage}
	own = append(own, "page", "per_page", "include_totals", "fields", "include_fields", "from", "take")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(own, name) {
			return q, badQuery("Additional properties not allowed: %s", named(name))
		}
		if len(values[name]) > 1 && !slices.Contains(lists, name) {
			return q, badQuery("Expected one value on property %s", name)
		}
	}
	q.paged = q.Has("page") || q.Has("per_page")
	q.checkpoint = q.Has("take") || q.Has("from")
	if q.totals, err = q.flag("include_totals"); err != nil {
		return q, err
	}
	if _, err := q.flag("include_fields"); err != nil {
		return q, err
	}
	return q, q.pages()
}

func (q *query) pages() (err error) {
	size, page := "per_page", 0
	if q.checkpoint {
		size = "take"
	}
	if q.limit, err = q.number(size, usualPage, 0, maxPage); err != nil {
		return err
	}
	if q.limit == 0 {
		q.limit = usualPage
	}
	if q.checkpoint {
		q.after, err = readCursor(q.Get("from"))
		return err
	}
	if page, err = q.number("page", 0, 0, 1<<20); err != nil {
		return err
	}
	q.skip = page * q.limit
	return nil
}

func (q *query) number(name string, otherwise, least, most int) (int, error) {
	if !q.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < least || n > most {
		return 0, badQuery("Expected integer from %d to %d on property %s", least, most, name)
	}
	return n, nil
}

func (q *query) flag(name string) (bool, error) {
	switch q.Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, badQuery("Expected type boolean on property %s", name)
}

// A cursor names the last object of the page before.
func cursor(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

func readCursor(text string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", badQuery("not a checkpoint on property from")
	}
	return string(raw), nil
}

// listed answers with one page of all, in Auth0's three shapes. key is the property
// that the objects are under, and by the one that orders them.
func (q *query) listed(w http.ResponseWriter, r *http.Request, key, by string, all []object) error {
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(a[by].(string), b[by].(string)) })
	total := len(all)
	switch {
	case q.checkpoint:
		behind, _ := slices.BinarySearchFunc(all, q.after, func(o object, after string) int {
			if o[by].(string) <= after {
				return -1
			}
			return 1
		})
		all = all[behind:]
		answer := object{}
		if len(all) > q.limit {
			all = all[:q.limit]
			answer["next"] = cursor(all[q.limit-1][by].(string))
		}
		answer[key] = q.trimmed(all)
		return web.JSON(w, r, http.StatusOK, answer)
	case q.paged || q.totals:
		all = all[min(q.skip, total):min(q.skip+q.limit, total)]
	}
	return q.page(w, r, key, all, total)
}

// page answers with a page that was cut already.
func (q *query) page(w http.ResponseWriter, r *http.Request, key string, page []object, total int) error {
	if !q.totals {
		return web.JSON(w, r, http.StatusOK, q.trimmed(page))
	}
	return web.JSON(w, r, http.StatusOK, object{
		"start": q.skip, "limit": q.limit, "length": len(page), "total": total, key: q.trimmed(page),
	})
}

// trimmed leaves the fields that were asked for. It is never nil: clients loop over it.
func (q *query) trimmed(all []object) []object {
	out := make([]object, len(all))
	for i, o := range all {
		out[i] = q.trim(o)
	}
	return out
}

func (q *query) trim(o object) object {
	if !q.Has("fields") {
		return o
	}
	fields := strings.Split(strings.Join(q.Values["fields"], ","), ",")
	leaveOut := q.Get("include_fields") == "false"
	out := maps.Clone(o)
	maps.DeleteFunc(out, func(name string, _ any) bool { return slices.Contains(fields, name) == leaveOut })
	return out
}

// one answers with one object and the fields of it that were asked for.
func one(w http.ResponseWriter, r *http.Request, o object) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	return web.JSON(w, r, http.StatusOK, q.trim(o))
}
