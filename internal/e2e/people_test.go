package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/internal/people"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/storage"
)

// Where sign-up is off the people of a list log in, under the subjects that the list
// gave them, also after their number was changed; anybody else sees the same page and
// gets no text. (TestAttackEnumerateNumbers walks the whole way of strangers.)
func TestRegisteredPeopleOnly(t *testing.T) {
	t.Parallel()
	r := start(t, withoutAddressLimits(), withoutSignup())
	named, plain, moved, blocked, stranger := newNumber(), newNumber(), newNumber(), newNumber(), newNumber()
	importer := people.Importer{
		Store: r.server.SQL, Rules: server.Rules(r.config), NewID: mint.UserID, Now: r.clock.Now,
		Report: func(e *people.LineError) error { return e },
	}
	done, err := importer.Import(t.Context(), strings.NewReader(strings.Join([]string{
		"phone,user_id,blocked,employee_id", named + ",auth0|42,,0291", plain + ",,,0292", blocked + ",,true,0293",
	}, "\n")))
	if err != nil || done != (people.Summary{Added: 3}) {
		t.Fatalf("%+v, %v", done, err)
	}

	subject := func(number string) string {
		t.Helper()
		_, got := r.newTokensFor(webClient, number)
		status, claims := r.userinfo(got.AccessToken)
		if status != http.StatusOK || claims["phone_number"] != number {
			t.Errorf("userinfo: %d", status)
		}
		sub, _ := claims["sub"].(string)
		return sub
	}
	if sub := subject(named); sub != "auth0|42" {
		t.Errorf("sub = %s, want what the list says", sub)
	}
	if sub := subject(plain); !strings.HasPrefix(sub, "sms|") {
		t.Errorf("sub = %s, want one of our own", sub)
	}
	to, err := phone.FromStored(moved)
	if err != nil {
		t.Fatal(err)
	}
	err = r.server.SQL.UpdateUser(t.Context(), "auth0|42", func(u *storage.User) error {
		u.Number = to
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sub := subject(moved); sub != "auth0|42" {
		t.Errorf("sub = %s with another number", sub)
	}

	known := r.numberForm(t).with("phone", plain).send(t)
	texts := len(r.gateway.to(named))
	for name, number := range map[string]string{"a stranger": stranger, "somebody blocked": blocked, "the number before": named} {
		if got := r.numberForm(t).with("phone", number).send(t); got.told() != known.told() {
			t.Errorf("%s:\n%s\nsomebody known:\n%s", name, got.told(), known.told())
		}
	}
	r.gateway.wait(plain, 2)
	if n := len(r.gateway.to(stranger)) + len(r.gateway.to(blocked)) + len(r.gateway.to(named)) - texts; n != 0 {
		t.Errorf("%d texts to those who get none", n)
	}
}
