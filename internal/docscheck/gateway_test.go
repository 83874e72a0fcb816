//go:build unix

package docscheck

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/porttest"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
)

const gatewayPage = "docs/integration/sms-gateway.md"

// TestGatewaysOfTheManual runs the gateways that operators start from, with the
// configuration that stands beside them: a text arrives as it was sent, and who
// does not know the secret gets a 401.
func TestGatewaysOfTheManual(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ language, file, program string }{
		{"js", "gateway.mjs", "node"},
		{"go", "gateway.go", "go"},
	} {
		t.Run(c.language, func(t *testing.T) {
			t.Parallel()
			needs(t, c.program)
			dir, port := t.TempDir(), porttest.Reserve(t)
			write(t, filepath.Join(dir, c.file), gatewayBlock(t, c.language))
			write(t, filepath.Join(dir, "gateway.secret"), "the secret of the gateway\n")
			command := []string{"node", c.file}
			if c.language == "go" {
				build := exec.CommandContext(t.Context(), "go", "build", "-o", "gateway", c.file)
				build.Dir, build.Env = dir, environment()
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("go build %s: %v\n%s", c.file, err, out)
				}
				command = []string{"./gateway"}
			}
			printed := startGateway(t, dir, port, command)

			deliver(t, gatewayOf(t, dir, port), nil)
			for _, want := range []string{"+819012345678", "+12345678", "314159 is your Shop code.", "@login.example.com #314159"} {
				if !strings.Contains(printed(), want) {
					t.Errorf("the gateway did not get %q; it printed:\n%s", want, printed())
				}
			}
			write(t, filepath.Join(dir, "gateway.secret"), "another secret\n")
			deliver(t, gatewayOf(t, dir, port), &sms.Error{Kind: sms.KindUnauthorized, Status: http.StatusUnauthorized})
		})
	}
}

// TestGatewaysOfTheManualNeedASecret: an empty key would let everybody sign.
func TestGatewaysOfTheManualNeedASecret(t *testing.T) {
	t.Parallel()
	needs(t, "node")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "gateway.mjs"), gatewayBlock(t, "js"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "gateway.mjs")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PORT="+porttest.Reserve(t), "GATEWAY_SECRET=")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "GATEWAY_SECRET is not set") {
		t.Errorf("without a secret: %v\n%s", err, out)
	}
}

func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("there is no %s", program)
		}
		t.Skipf("there is no %s", program)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// gatewayBlock is the page's one block in a language, but for the one that sends
// receipts.
func gatewayBlock(t *testing.T, language string) string {
	t.Helper()
	blocks := slices.DeleteFunc(read(t, gatewayPage).blocks(language), func(b block) bool {
		return strings.HasPrefix(b.text, "// "+receiptProgram)
	})
	if len(blocks) != 1 {
		t.Fatalf("%s has %d blocks of %s, want 1", gatewayPage, len(blocks), language)
	}
	return blocks[0].text
}

// startGateway runs a gateway until the test ends and returns what it printed so far.
func startGateway(t *testing.T, dir, port string, command []string) (printed func() string) {
	t.Helper()
	// A file has what was printed as soon as it was, which a pipe has not.
	out, err := os.Create(filepath.Join(dir, "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	printed = func() string {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(os.Environ(), "PORT="+port, "GATEWAY_SECRET=the secret of the gateway")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Minute)
	for {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://127.0.0.1:"+port+"/send", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(request); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				t.Error("the gateway takes something else than POST")
			}
			return printed
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the gateway does not answer; it printed:\n%s", printed())
		}
	}
}

// gatewayOf reads the configuration of the page as serve does.
func gatewayOf(t *testing.T, dir, port string) *sms.Named {
	t.Helper()
	text := strings.NewReplacer(":9000/", ":"+port+"/", "secret_file: gateway.secret", "secret_file: "+dir+"/gateway.secret").
		Replace("issuer: https://login.example.com/\ncountries: [JP]\n" + gatewayBlock(t, "yaml"))
	name := filepath.Join(dir, "handset.yaml")
	write(t, name, text)
	c, warnings, err := config.Load(name, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the configuration of %s: %v %v", gatewayPage, err, warnings)
	}
	client := sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: c.AllowPrivateGateways})
	t.Cleanup(client.CloseIdleConnections)
	connection, err := passcode.ParseConnection(*server.Connection(c), passcode.Senders{
		Deps: sms.Deps{Client: client, AllowPrivate: c.AllowPrivateGateways},
	})
	if err != nil {
		t.Fatal(err)
	}
	return connection.Routes.Senders()[0]
}

func deliver(t *testing.T, to *sms.Named, want *sms.Error) {
	t.Helper()
	number, err := phone.FromStored("+819012345678")
	if err != nil {
		t.Fatal(err)
	}
	_, err = to.Send(t.Context(), sms.Message{
		To: number, From: "+12345678", Body: "314159 is your Shop code.\n\n@login.example.com #314159",
	})
	got, _ := errors.AsType[*sms.Error](err)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("sent: %v, want %v", err, want)
	}
}
