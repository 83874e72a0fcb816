package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
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
			// A limit that, once used up, says that a second is enough, and refuses each time
			// that the SDK asks again: its clock stands still.
			const texts = 20
			r := startAuth0(t, withClock(newClock()), withConfig(func(c *config.Config) {
				c.Limits["send_client"] = config.Limit{Burst: texts, Every: time.Second}
			}))
			cmd := exec.CommandContext(t.Context(), binary, "passwordless", version, r.domain(), webClient)
			cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+trusted(t), "CLIENT_SECRET="+secret)
			client := startNode(t, cmd)
			type answer struct {
				ID, Number, Access, Token, Error string
				Verified                         bool
			}
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
			if a := ask(number, ""); len(a.ID) != 24 || a.Number != number || a.Verified {
				t.Fatalf("start: %+v", a)
			}
			wantsFrench(t, r.gateway.wait(number, 1))
			code := r.gateway.code(number)
			for range texts - 1 {
				ask(newNumber(), "")
			}
			limited := newNumber()
			for what, c := range map[string]struct{ got, want string }{
				"another":      {ask(limited, "").Error, "429 too_many_requests: Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers."},
				"a bad number": {ask("x", "").Error, `400 bad.phone_number: String does not match pattern: ^\+[0-9]{1,15}$`},
				"a wrong code": {ask(number, wrong(code, 1)).Error, "403 invalid_grant: " + wrongCode},
			} {
				if c.got != c.want {
					t.Errorf("%s: %q, want %q", what, c.got, c.want)
				}
			}
			if n := strings.Count(r.logs.String(), `"status":429`); n != 3 {
				t.Errorf("the SDK asked %d times for what is 429", n)
			}
			r.gateway.wantsTexts(texts) // and none to limited
			if a := ask(number, code); a.Access == "" || claims(t, a.Token)["sub"] == nil {
				t.Errorf("login: %+v", a)
			}
		})
	}
}
