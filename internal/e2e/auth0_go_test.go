package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// Row 8, case E, and row 9: Auth0's SDKs for Go.
func TestAuth0Go(t *testing.T) {
	t.Parallel()
	binary := goClients(t)
	for _, version := range []string{"v1", "v3"} {
		if version != "v1" && !everySDK() {
			continue
		}
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			r := startAuth0(t)
			cmd := exec.CommandContext(t.Context(), binary, "passwordless", version, r.domain(), webClient)
			cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+trusted(t), "CLIENT_SECRET="+secret)
			client := startNode(t, cmd)
			type answer struct{ ID, Number, Access, Token, Error string }
			ask := func(number, code string) (a answer) {
				t.Helper()
				line, err := json.Marshal(object{"number": number, "code": code})
				if err != nil {
					t.Fatal(err)
				}
				client.tell(string(line))
				client.hear(&a)
				return a
			}
			number := newNumber()
			if a := ask(number, ""); len(a.ID) != 24 || a.Number != number {
				t.Fatalf("start: %+v", a)
			}
			code := r.gateway.code(number)
			for what, c := range map[string]struct{ got, want string }{
				"again":        {ask(number, "").Error, "429 too_many_requests: Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers."},
				"a bad number": {ask("x", "").Error, `400 bad.phone_number: String does not match pattern: ^\+[0-9]{1,15}$`},
				"a wrong code": {ask(number, wrong(code, 1)).Error, "403 invalid_grant: " + wrongCode},
			} {
				if c.got != c.want {
					t.Errorf("%s: %q, want %q", what, c.got, c.want)
				}
			}
			if a := ask(number, code); a.Access == "" || claims(t, a.Token)["sub"] == nil {
				t.Errorf("login: %+v", a)
			}
		})
	}
}
