package api

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/handset-oidc/handset/resource"

	"github.com/handset-oidc/handset/examples/purchasing/vendors"
)

type rest struct {
	book *vendors.Book
	log  *slog.Logger
}

// NewREST is the REST API: GET and POST of /vendors.
func NewREST(api *resource.API, book *vendors.Book, log *slog.Logger) http.Handler {
	h := &rest{book, log}
	mux := http.NewServeMux()
	mux.Handle("GET /vendors", api.RequireScope(Read)(http.HandlerFunc(h.list)))
	mux.Handle("POST /vendors", api.RequireScope(Write)(http.HandlerFunc(h.create)))
	return mux
}

func (h *rest) list(w http.ResponseWriter, r *http.Request) {
	if _, err := employee(r.Context()); err != nil {
		answer(w, http.StatusForbidden, problem{"for employees only"})
		return
	}
	answer(w, http.StatusOK, h.book.All())
}

func (h *rest) create(w http.ResponseWriter, r *http.Request) {
	by, err := employee(r.Context())
	if err != nil {
		answer(w, http.StatusForbidden, problem{"for employees only"})
		return
	}
	var in struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil {
		answer(w, http.StatusBadRequest, problem{"want an object with a name"})
		return
	}
	v, err := h.book.Add(in.Name, by)
	if err != nil {
		answer(w, http.StatusUnprocessableEntity, problem{err.Error()})
		return
	}
	h.log.InfoContext(r.Context(), "vendor added", slog.Int64("vendor", v.ID), slog.String("employee", string(by)), slog.String("by", "REST"))
	answer(w, http.StatusCreated, v)
}

// problem is the answer to a call that is refused.
type problem struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who has hung up gets nothing
}
