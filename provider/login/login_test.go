package login

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// pending is a login that waits, of a client as it is registered now, in the
// browser that started it.
type pending struct {
	tx     storage.Transaction
	client storage.Client
}

func (p pending) Login(context.Context, storage.TransactionID, storage.ChallengeID) (storage.Transaction, storage.Challenge, error) {
	return p.tx, storage.Challenge{State: storage.ChallengeGone}, nil
}
func (p pending) Get(context.Context, storage.ClientID) (*storage.Client, error) {
	return &p.client, nil
}
func (pending) Owns(*http.Request, storage.Transaction) bool                     { return true }
func (pending) FormToken(*http.Request, storage.TransactionID) string            { return "" }
func (pending) CheckFormToken(*http.Request, storage.TransactionID, string) bool { return true }

// usual has the connection of logins that name none.
func usual(name storage.ConnectionName) *passcode.Connection {
	if name != "" {
		return nil
	}
	return &passcode.Connection{}
}

// A login that named a connection which was removed meanwhile ends: it never goes on by
// another, which may not be the client's.
func TestLoginUnderWayByAConnectionThatIsGone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := pending{
		tx:     storage.Transaction{ID: "t", ExpiresAt: now.Add(time.Minute), RedirectURI: "https://app.example/cb", Connection: "gone"},
		client: storage.Client{Callbacks: []string{"https://app.example/cb"}, AppType: "regular_web"},
	}
	h := New(Config{Store: p, Clients: p, Browser: p, Connection: usual, Now: func() time.Time { return now }})
	_, err := h.visit(httptest.NewRequest(http.MethodGet, "/login/code?txn=t", nil), "t")
	if problem, refused := errors.AsType[*web.Problem](err); !refused || problem.Kind != views.ProblemTimedOut {
		t.Errorf("it goes on: %v", err)
	}
}

// An operator who takes a callback out of a registration, since somebody else
// has it now, must not see another code sent there by a login under way.
func TestLoginUnderWayToAnAddressThatIsNotRegisteredAnyMore(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		requested, registered, appType string
		goesOn                         bool
	}{
		"registered":       {"https://app.example/cb", "https://app.example/cb", "regular_web", true},
		"taken out":        {"https://sold.example/cb", "https://app.example/cb", "regular_web", false},
		"any port":         {"http://127.0.0.1:50123/cb", "http://127.0.0.1/cb", "native", true},
		"not native since": {"http://127.0.0.1:50123/cb", "http://127.0.0.1/cb", "regular_web", false},
	} {
		p := pending{
			tx:     storage.Transaction{ID: "t", ExpiresAt: now.Add(time.Minute), RedirectURI: tt.requested},
			client: storage.Client{Callbacks: []string{tt.registered}, AppType: tt.appType},
		}
		h := New(Config{Store: p, Clients: p, Browser: p, Connection: usual, Now: func() time.Time { return now }})
		_, err := h.visit(httptest.NewRequest(http.MethodGet, "/login/code?txn=t", nil), "t")
		problem, refused := errors.AsType[*web.Problem](err)
		if refused == tt.goesOn || refused && problem.Kind != views.ProblemTimedOut {
			t.Errorf("%s: %v, want it to go on: %t", name, err, tt.goesOn)
		}
	}
}
