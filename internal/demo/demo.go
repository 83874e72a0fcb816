// Package demo is the phone of handset demo: a page that shows every text that
// the provider sends, and the same as JSON for scripts. It is never part of a
// real server.
package demo

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/views"
)

// Mount puts the inbox beside the provider: GET /inbox and GET /inbox/messages.
func Mount(provider http.Handler, inbox *sms.Inbox) http.Handler {
	h := &handler{inbox: inbox}
	catalog, err := views.NewCatalog()
	if err != nil {
		panic("demo: " + err.Error()) // unreachable: the provider has read the same embedded files
	}
	h.pages = &web.Pages{Catalog: catalog}
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.Handle("GET /inbox", local(h.pages.Page(h.show)))
	mux.Handle("GET /inbox/messages", local(web.OAuth(h.messages)))
	return mux
}

// local answers only browsers that have asked for this machine by a name of its
// own. A page of another site whose name was made to resolve to 127.0.0.1 (DNS
// rebinding) could read every code otherwise; the provider beside us checks the
// same.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			web.Plain(w, r, http.StatusMisdirectedRequest, "this server answers for another host name")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

type handler struct {
	inbox *sms.Inbox
	pages *web.Pages
}

// show answers GET /inbox.
func (h *handler) show(w http.ResponseWriter, r *http.Request) error {
	page := views.Inbox{Frame: h.pages.Frame(r, nil, nil)}
	for _, t := range h.inbox.Texts(phone.Number{}) {
		page.Messages = append(page.Messages, views.InboxMessage{To: t.To.E164(), Body: t.Body, At: t.At})
	}
	return web.HTML(w, r, http.StatusOK, page.Page())
}

// message is one text as scripts read it.
type message struct {
	To   string    `json:"to"`
	Body string    `json:"body"`
	At   time.Time `json:"at"`
	ID   uint64    `json:"id"`
}

// longPoll is how long a request with after= waits for the next text.
const longPoll = 10 * time.Second

// messages answers GET /inbox/messages?to=+81…, newest last. With after=ID it
// waits a while for a text newer than that one.
func (h *handler) messages(w http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	var to phone.Number
	if s := q.Get("to"); s != "" {
		// In a query an unescaped plus is a space; scripts forget it.
		if s[0] == ' ' {
			s = "+" + s[1:]
		}
		if to, err = phone.FromStored(s); err != nil {
			return web.BadRequest("to must be a number like +819012345678")
		}
	}
	texts := h.inbox.Texts(to)
	if q.Has("after") {
		after, err := strconv.ParseUint(q.Get("after"), 10, 64)
		if err != nil {
			return web.BadRequest("after must be the id of a message")
		}
		ctx, cancel := context.WithTimeout(r.Context(), longPoll)
		defer cancel()
		// When the time is up there is nothing new, which is an answer too.
		texts, _ = h.inbox.Wait(ctx, to, after)
	}
	answer := struct {
		Messages []message `json:"messages"`
	}{[]message{}}
	for _, t := range texts {
		answer.Messages = append(answer.Messages, message{To: t.To.E164(), Body: t.Body, At: t.At, ID: t.ID})
	}
	return web.JSON(w, r, http.StatusOK, answer)
}
