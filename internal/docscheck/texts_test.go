package docscheck

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/passcode"
	"github.com/handset-oidc/handset/passcode/sms"
)

const textsPage = "docs/sms.md"

// examples are the page's blocks of configuration that begin with a key.
func examples(t *testing.T, key string) []block {
	t.Helper()
	return slices.DeleteFunc(read(t, textsPage).blocks("yaml"), func(b block) bool { return !strings.HasPrefix(b.text, key) })
}

// TestTemplateOfTheManual: the options that operators start from make the texts they
// promise.
func TestTemplateOfTheManual(t *testing.T) {
	t.Parallel()
	blocks := examples(t, "options:")
	if len(blocks) != 1 {
		t.Fatalf("%s has %d examples of options, want 1", textsPage, len(blocks))
	}
	name := filepath.Join(t.TempDir(), "handset.yaml")
	write(t, name, "issuer: https://login.example.com/\nconnections:\n  - name: sms\n    strategy: sms\n    "+
		strings.ReplaceAll(strings.TrimSpace(blocks[0].text), "\n", "\n    ")+"\n")
	c, warnings, err := config.Load(name, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the options of %s: %v %v", textsPage, err, warnings)
	}
	connection, err := passcode.ParseConnection(*server.Connection(c), passcode.Senders{
		Deps: sms.Deps{Client: sms.NewHTTPClient(sms.ClientConfig{})},
	})
	if err != nil {
		t.Fatal(err)
	}
	for language, want := range map[string]string{
		"fr-CA,fr;q=0.9": "123456 est votre code Shop.",
		"de":             "123456 is your Shop code.",
	} {
		if got := connection.Example(sms.Fields{Application: "Shop", Language: language}); got != want {
			t.Errorf("in %s: %q, want %q", language, got, want)
		}
	}
}

// TestPreviewOfTheManual: the preview that the page shows is what the command says.
func TestPreviewOfTheManual(t *testing.T) {
	t.Parallel()
	text := (&passcode.Connection{}).Example(sms.Fields{Application: "Shop", Language: "ja", Host: "login.example.com"})
	encoding, segments, units := sms.Segments(text)
	want := fmt.Sprintf("encoding: %s\nunits:    %d\nsegments: %d\n\n%s\n", encoding, units, segments, text)
	for _, b := range read(t, textsPage).blocks("text") {
		if b.text == want {
			return
		}
	}
	t.Errorf("%s does not show\n%s", textsPage, want)
}
