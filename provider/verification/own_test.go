package verification

import (
	"context"
	"testing"

	"github.com/handset-oidc/handset/storage"
)

// A client's callback must not reach into the operator's network, unless private
// addresses are allowed; what a name resolves to is checked when it is dialled.
func TestCallbackAddresses(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string][2]bool{ // by default, and where private addresses are allowed
		"https://app.example/hook":     {true, true},
		"http://app.example/hook":      {false, true},
		"https://127.0.0.1/":           {false, true},
		"https://10.0.0.8/":            {false, true},
		"https://[::1]/":               {false, true},
		"https://169.254.169.254/":     {false, false},
		"https://u:p@app.example/":     {false, false},
		"https://app.example/#x":       {false, false},
		"ftp://app.example/":           {false, false},
		"https:///hook":                {false, false},
		"javascript:alert(1)":          {false, false},
		"https://app.example/\x7fhook": {false, false},
	} {
		for i, private := range []bool{false, true} {
			a := NewAPI(nil, APIConfig{AllowPrivate: private})
			if problem := a.callbackProblem(address); (problem == "") != allowed[i] {
				t.Errorf("%q, private allowed %v: %q", address, private, problem)
			}
		}
	}
}

// nobody knows no client.
type nobody struct{ Clients }

func (nobody) Get(context.Context, storage.ClientID) (*storage.Client, error) {
	return nil, storage.ErrNotFound
}

func TestARemovedClientIsToldNothing(t *testing.T) {
	t.Parallel()
	c := &Callbacks{Clients: nobody{}} // with an HTTP client that would panic
	v := storage.Verification{ClientID: "gone", Details: storage.VerificationDetails{CallbackURL: "https://app.example/hook"}}
	taken, final, outcome, err := c.tell(t.Context(), v)
	if taken || !final || outcome != "client was removed" || err != nil {
		t.Errorf("taken %t, final %t: %s, %v", taken, final, outcome, err)
	}
}
