package docscheck

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/server"
	"github.com/handset-oidc/handset/internal/vault"
)

// TestEndpointsOfTheReadme holds its table against the route table and the
// discovery document, in both directions.
func TestEndpointsOfTheReadme(t *testing.T) {
	t.Parallel()
	table := endpointTable(t)
	routes := routeTable(t)
	for _, route := range routes {
		if !slices.ContainsFunc(table, func(row string) bool { return covers(row, route) }) {
			t.Errorf("README.md has no row for %s", route)
		}
	}
	for _, row := range table {
		if !slices.ContainsFunc(routes, func(route string) bool { return covers(row, route) }) {
			t.Errorf("README.md has a row for %s, which is no route", row)
		}
	}
	for _, path := range discovered(t) {
		if !slices.ContainsFunc(table, func(row string) bool { return strings.HasSuffix(row, " "+path) }) {
			t.Errorf("discovery names %s, README.md does not", path)
		}
	}
}

// endpointTable lists the rows as "METHOD /path"; "/path/…" stands for all below.
func endpointTable(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, c := range read(t, "README.md").chapters() {
		if c.heading != "Endpoints" {
			continue
		}
		for _, row := range c.rows {
			words := strings.Fields(strings.Trim(row[0], "`"))
			for _, method := range words[:len(words)-1] {
				all = append(all, method+" "+words[len(words)-1])
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("README.md has no table of endpoints")
	}
	return all
}

func covers(row, route string) bool {
	if prefix, open := strings.CutSuffix(row, "…"); open {
		return strings.HasPrefix(route, prefix)
	}
	return row == route
}

func routeTable(t *testing.T) []string {
	t.Helper()
	c := config.Default()
	c.Issuer, c.Countries = "http://localhost:3000/", []string{"JP"}
	c.Database = config.NewAddress("sqlite::memory:")
	v, err := vault.Parse(vault.Generate())
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), server.Config{Config: c, Vault: v, Logger: slog.New(slog.DiscardHandler), Console: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.Provider.Routes()
}

// discovered are the paths of the endpoints that the discovery document names.
func discovered(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "provider/discovery/testdata/openid-configuration.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var all []string
	for name, value := range document {
		if address, ok := value.(string); ok && (strings.HasSuffix(name, "_endpoint") || name == "jwks_uri") {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, u.Path)
		}
	}
	if len(all) < 7 {
		t.Errorf("the discovery document names only %v", all)
	}
	return all
}

// TestFoldersOfTheReadme: every package folder at the top has its row.
func TestFoldersOfTheReadme(t *testing.T) {
	t.Parallel()
	text := read(t, "README.md").text
	for _, name := range tree(t, ".go") {
		top, _, below := strings.Cut(name, "/")
		if below && !strings.Contains(text, "| ["+top) {
			t.Fatalf("README.md says nothing of the folder %s", top)
		}
	}
}
