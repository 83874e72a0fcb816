package views

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCopy holds the words of pages.md.
func TestCopy(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"phone-unreadable": "Enter a mobile number, like 07700 900 982 or +44 7700 900982",
		"phone-country":    "We cannot text numbers in United States. Countries we can text: Germany, Japan, United Kingdom",
		"phone-kind":       "Enter a mobile number that can get text messages",
		"phone-extension":  "Enter the number without an extension",
		"phone-send-limit": "We have sent several codes to this number. Try again in 2 hours",
		"phone-not-texted": "We have not sent a text to this number yet. Try again in 26 seconds",
		"phone-gateway":    "We cannot send texts right now. Try again in a few minutes",
		"code-format":      "Enter the 6 digits from the text message",
		"code-wrong":       "That code is not right. Check the newest message. 4 tries left",
		"code-wrong-last":  "That code is not right. Check the newest message. 1 try left",
		"code-spent":       "That code can no longer be used. Send a new code",
		"code-spent-early": "That code can no longer be used. Send a new code",
		"code-expired":     "That code has expired. Send a new code",
		"code-send-limit":  "We have sent several codes to this number. Try again in 14 minutes",
		"code-gateway":     "We cannot send texts right now. Try again in a few minutes",
		"code-kind":        "Enter a mobile number that can get text messages",
	}
	for _, s := range Gallery(englishFrame(t)) {
		summary := find(parse(t, s.Page), ".summary p")
		if len(summary) == 0 {
			if want[s.Name] != "" {
				t.Errorf("%s: no summary", s.Name)
			}
			continue
		}
		if got := textOf(summary[0]); got != want[s.Name] {
			t.Errorf("%s:\n got %q\nwant %q", s.Name, got, want[s.Name])
		}
		delete(want, s.Name)
	}
	for name := range want {
		t.Errorf("%s is not in the gallery", name)
	}
}

// keyUse finds a text's key where code or a page names it.
var keyUse = regexp.MustCompile(`"((?:list|wait|summary|error|notice|phone|code|signedin|problem|logout|loggedout|formpost|inbox|title)\.[a-z0-9_.]+)"`)

// TestKeys: every text that is used is there, and every text that is there is used.
func TestKeys(t *testing.T) {
	t.Parallel()
	defined := keysOf(t, "messages/en.json")
	used := map[string]bool{}
	files, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_templ.go") ||
			!strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, ".templ") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range keyUse.FindAllStringSubmatch(string(source), -1) {
			if ext := filepath.Ext(m[1]); ext != ".css" && ext != ".js" {
				used[m[1]] = true
			}
		}
	}
	for _, kind := range problemKinds {
		used["problem."+string(kind)+".heading"], used["problem."+string(kind)+".text"] = true, true
	}
	for key := range used {
		if !defined[key] {
			t.Errorf("%s is used, but has no text", key)
		}
	}
	for key := range defined {
		plain := strings.TrimSuffix(strings.TrimSuffix(key, "_8"), "_plain")
		if !used[key] && !used[plain] {
			t.Errorf("%s has a text, but is not used", key)
		}
	}
}

var problemKinds = []ProblemKind{
	ProblemTimedOut, ProblemApplication, ProblemRedirect, ProblemRequest, ProblemMethod, ProblemForeign,
	ProblemBusy, ProblemUnavailable, ProblemNotFound, ProblemInternal,
}

// TestLocalesAreWhole: every language has every text, with the same places.
func TestLocalesAreWhole(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("messages/*.json")
	if err != nil {
		t.Fatal(err)
	}
	master := keysOf(t, "messages/en.json")
	for _, file := range files {
		if diff := cmp.Diff(slices.Sorted(maps.Keys(master)), slices.Sorted(maps.Keys(keysOf(t, file)))); diff != "" {
			t.Errorf("%s (-en +it):\n%s", file, diff)
		}
	}
}

func keysOf(t *testing.T, file string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]any
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for key := range texts {
		keys[key] = true
	}
	return keys
}

// TestNoPlaceIsLeftOpen: no page shows a {placeholder} or the name of a text.
func TestNoPlaceIsLeftOpen(t *testing.T) {
	t.Parallel()
	for language, f := range frames(t) {
		for _, s := range Gallery(f) {
			words := textOf(parse(t, s.Page))
			if strings.ContainsAny(words, "{}\uE000\uE001") || keyUse.MatchString(`"`+words+`"`) {
				t.Errorf("%s/%s: %s", language, s.Name, words)
			}
		}
	}
}
