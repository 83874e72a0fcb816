//go:build unix

package docscheck

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
)

const (
	receiptProgram = "receipt.mjs"
	receiptSecret  = "the receipt secret of the manual"
)

var secretFiles = regexp.MustCompile(`(_file): ([\w.]+)`)

// TestProvidersOfTheManual: each example of the page is a configuration that loads
// without a word and makes the sender that it is for.
func TestProvidersOfTheManual(t *testing.T) {
	t.Parallel()
	var made []string
	for _, block := range examples(t, "connections:") {
		dir := t.TempDir()
		text := secretFiles.ReplaceAllStringFunc(block.text, func(s string) string {
			found := secretFiles.FindStringSubmatch(s)
			write(t, filepath.Join(dir, found[2]), "a secret of the manual\n")
			return found[1] + ": " + filepath.Join(dir, found[2])
		})
		name := filepath.Join(dir, "handset.yaml")
		write(t, name, "issuer: https://login.example.com/\ncountries: [JP]\n"+text)
		c, warnings, err := config.Load(name, nil)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%v %v:\n%s", err, warnings, block.text)
			continue
		}
		senders := passcode.Senders{Deps: sms.Deps{Client: sms.NewHTTPClient(sms.ClientConfig{})}}
		if _, err := passcode.ParseConnection(*server.Connection(c), senders); err != nil {
			t.Errorf("%v:\n%s", err, block.text)
		}
		made = append(made, strings.Fields(block.text[strings.Index(block.text, "provider:"):])[1])
	}
	if want := []string{"twilio", "vonage", "sns", "smpp"}; !slices.Equal(made, want) {
		t.Errorf("%s has examples of %v, want %v", textsPage, made, want)
	}
}

// receiver is a gateway that takes receipts signed with the manual's secret.
func receiver(t *testing.T, now func() time.Time) sms.Receiver {
	t.Helper()
	g, err := sms.NewGateway(sms.GatewayConfig{
		URL: "https://sms.example.com/send", ReceiptSecret: receiptSecret, Client: http.DefaultClient, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestReceiptOfTheManual: the example that people try their own code on is signed
// as it says.
func TestReceiptOfTheManual(t *testing.T) {
	t.Parallel()
	page := read(t, gatewayPage)
	if !strings.Contains(page.text, "`"+receiptSecret+"`") {
		t.Errorf("%s does not tell the secret of its example", gatewayPage)
	}
	for _, block := range page.blocks("http") {
		if !strings.Contains(block.text, "webhook-id") {
			continue
		}
		text := strings.TrimSuffix(block.text, "\n")
		_, body, _ := strings.Cut(text, "\n\n")
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n"))))
		if err != nil {
			t.Fatal(err)
		}
		now := func() time.Time { return time.Unix(1777896000, 0) }
		got, err := receiver(t, now).Receipts(sms.Callback{Header: r.Header, Body: []byte(body)})
		if err != nil || len(got) != 1 || got[0] != (sms.Receipt{Message: "m-1", State: sms.Undelivered, Code: "DLR-4.2"}) {
			t.Errorf("receipts %v, %v", got, err)
		}
		return
	}
	t.Errorf("%s has no example of a receipt", gatewayPage)
}

// TestReceiptProgramOfTheManual runs the program that sends receipts.
func TestReceiptProgramOfTheManual(t *testing.T) {
	t.Parallel()
	needs(t, "node")
	blocks := read(t, gatewayPage).blocks("js")
	i := slices.IndexFunc(blocks, func(b block) bool { return strings.HasPrefix(b.text, "// "+receiptProgram) })
	if i < 0 {
		t.Fatalf("%s has no %s", gatewayPage, receiptProgram)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, receiptProgram), blocks[i].text)
	got := make(chan []sms.Receipt, 2)
	g := receiver(t, time.Now)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		receipts, err := g.Receipts(sms.Callback{Header: r.Header, Body: body})
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		got <- receipts
	}))
	defer server.Close()
	run := func(secret string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "-e",
			`import { tell } from './`+receiptProgram+`'; await tell(process.argv[1], 'm-1', 'failed', 'E7')`, server.URL)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "RECEIPT_SECRET="+secret)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(receiptSecret); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if receipts := <-got; len(receipts) != 1 || receipts[0] != (sms.Receipt{Message: "m-1", State: sms.Failed, Code: "E7"}) {
		t.Errorf("receipts %v", receipts)
	}
	if out, err := run("another secret of 16 bytes"); err == nil || !strings.Contains(out, "receipt refused with status 401") {
		t.Errorf("with another secret: %v\n%s", err, out)
	}
}
