package client

import (
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/storage"
)

// originsOf returns the origins whose pages may call a client's endpoints: the
// registered ones and, as with Auth0, those of its redirect URIs.
func originsOf(c *storage.Client) map[string]bool {
	origins := map[string]bool{}
	for _, list := range [][]string{c.WebOrigins, c.AllowedOrigins} {
		for _, origin := range list {
			origins[origin] = true
		}
	}
	for _, callback := range c.Callbacks {
		if origin := registration.Origin(callback); origin != "" {
			origins[origin] = true
		}
	}
	return origins
}
