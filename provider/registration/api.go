package registration

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

const (
	// LongestToken is the longest life that tokens of an API may have: what keys
	// and revocations are remembered for. It is Auth0's, too.
	LongestToken  = 30 * 24 * time.Hour
	shortestToken = time.Minute
	// UsualToken is the life of an API's tokens when nothing else is said.
	UsualToken = 24 * time.Hour

	longestIdentifier = 600
	longestScope      = 280
)

// SigningAlgorithms returns those that the tokens of an API may be signed with,
// the usual one first.
func SigningAlgorithms() []string { return []string{"ES256", "RS256"} }

// IDTokenAlgorithms returns those that ID tokens may be signed with, the usual one
// first: it is the one that every relying party knows (OIDC Core §15.1).
func IDTokenAlgorithms() []string { return []string{"RS256", "ES256"} }

// ValidateAPI says all that is wrong with an API; nil when nothing is. What is
// below the issuer is Handset's own.
func ValidateAPI(a storage.API, issuer string) []Problem {
	var f findings
	f.identifier(a.Identifier, issuer)
	if len(a.Name) > longestName || strings.ContainsFunc(a.Name, isControl) {
		f.add("name", "want one line of at most %d characters", longestName)
	}
	if life := a.Lifetime(); life < shortestToken || life > LongestToken {
		f.add("token_lifetime", "want %d to %d seconds", int(shortestToken.Seconds()), int(LongestToken.Seconds()))
	}
	f.oneOf("signing_alg", a.SigningAlg, SigningAlgorithms()...)
	f.oneOf("users", a.Users, storage.Assigned, storage.Anyone)
	f.oneOf("clients", a.Clients, storage.Anyone, storage.Granted)
	f.scopes(a.Scopes)
	f.claims(a.Claims)
	return f
}

// identifiers are printable and need no escape in JSON, YAML or a header.
var identifiers = regexp.MustCompile(`^[!#-\[\]-~]+$`)

func (f *findings) identifier(id storage.Audience, issuer string) {
	base := strings.TrimRight(issuer, "/")
	switch {
	case id == "":
		f.add("identifier", "missing")
	case len(id) > longestIdentifier || !identifiers.MatchString(string(id)):
		f.add("identifier", "want printable characters without spaces and quotes, at most %d, such as https://api.example.com", longestIdentifier)
	case string(id) == base || strings.HasPrefix(string(id), base+"/"):
		f.add("identifier", "is the issuer or below it, where Handset's own APIs are")
	}
}

// scopeTokens is RFC 6749 §3.3's scope-token.
var scopeTokens = regexp.MustCompile(`^[!#-\[\]-~]+$`)

// providersScopes mean something of the provider's in every request.
var providersScopes = append(oauth.Scopes(), "email", "address")

func (f *findings) scopes(scopes []storage.Scope) {
	seen := map[string]bool{}
	for i, s := range scopes {
		switch path := member("scopes", i) + ".value"; {
		case len(s.Value) > longestScope || !scopeTokens.MatchString(s.Value):
			f.add(path, "want printable characters without spaces and quotes, at most %d, such as read:vendors", longestScope)
		case slices.Contains(providersScopes, s.Value):
			f.add(path, "%s is a scope of OpenID Connect; choose another name", s.Value)
		case seen[s.Value]:
			f.add(path, "is declared twice")
		}
		seen[s.Value] = true
		if len(s.Description) > longestName || strings.ContainsFunc(s.Description, isControl) {
			f.add(member("scopes", i)+".description", "want one line of at most %d characters", longestName)
		}
	}
}

var (
	claimNames = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,200}$`)
	// claimSources name an attribute of the person.
	claimSources = regexp.MustCompile(`^user\.[A-Za-z_][A-Za-z0-9_]{0,63}$`)
)

func (f *findings) claims(claims map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		path := "claims." + name
		switch {
		case !claimNames.MatchString(name):
			f.add("claims", "want names of letters, digits and _ . : / - only")
		case oauth.ReservedClaim(name):
			f.add(path, "access tokens say something else by this name; choose another")
		case !claimSources.MatchString(claims[name]):
			f.add(path, "want user. and the name of an attribute, such as user.employee_id")
		}
	}
}

// ValidateClientGrant says all that is wrong with what a client may do at an API;
// whether there are such a client and such an API is another question.
func ValidateClientGrant(g storage.ClientGrant) []Problem {
	var f findings
	if g.ClientID == "" {
		f.add("client_id", "missing")
	}
	if g.Audience == "" {
		f.add("audience", "missing: the identifier of the API")
	}
	f.allowance(g.Allowance)
	return f
}

func (f *findings) allowance(a storage.Allowance) {
	if a.AllScopes && len(a.Scopes) > 0 {
		f.add("scope", "not with allow_all_scopes; remove one of the two")
	}
	for i, s := range a.Scopes {
		if !scopeTokens.MatchString(s) || slices.Contains(a.Scopes[:i], s) {
			f.add(member("scope", i), "want the names of scopes, each once")
		}
	}
}

// UnknownScopes returns those scopes of an allowance that the API does not have.
func UnknownScopes(a storage.Allowance, api *storage.API) []string {
	offered := api.Offers(a.Scopes)
	return slices.DeleteFunc(slices.Clone(a.Scopes), func(s string) bool { return slices.Contains(offered, s) })
}

// SetAPIDefaults gives an API that comes by API what it has where nothing is said.
func SetAPIDefaults(a *storage.API) {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&a.Name, string(a.Identifier)}, {&a.SigningAlg, SigningAlgorithms()[0]},
		{&a.Users, storage.Assigned}, {&a.Clients, storage.Anyone},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if a.TokenLifetime == 0 {
		a.TokenLifetime = int(UsualToken.Seconds())
	}
}
