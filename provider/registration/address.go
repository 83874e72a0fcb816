package registration

import (
	"net/url"
	"strings"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

func (f *findings) addresses(c storage.Client) {
	check := func(field string, list []string, problem func(string) string) {
		for i, text := range list {
			if message := problem(text); message != "" {
				f.add(member(field, i), "%s", message)
			}
		}
	}
	redirect := webAddress
	if c.AppType == oauth.AppNative {
		redirect = nativeAddress
	}
	check("callbacks", c.Callbacks, redirect)
	check("allowed_logout_urls", c.AllowedLogoutURLs, redirect)
	check("web_origins", c.WebOrigins, originProblem)
	check("allowed_origins", c.AllowedOrigins, originProblem)
	if c.InitiateLogin == "" {
		return
	}
	if message := webAddress(c.InitiateLogin); message != "" {
		f.add("initiate_login_uri", "%s", message)
	}
}

// webAddress says why a browser can't be sent to an address, or returns "":
// https, or http for a loopback host.
func webAddress(address string) string {
	u, problem := absolute(address)
	switch {
	case problem != "":
		return problem
	case u.Scheme != "https" && u.Scheme != "http":
		return "must use https"
	case u.Hostname() == "":
		return "must name a host"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "must use https: http is for localhost, 127.0.0.1 and [::1] only"
	}
	return ""
}

// nativeAddress is webAddress for an app, which may also have a scheme of its
// own: a reversed domain name, since others claim short ones (RFC 8252 §7.1).
func nativeAddress(address string) string {
	u, problem := absolute(address)
	switch {
	case problem != "":
		return problem
	case u.Scheme == "https", u.Scheme == "http":
		return webAddress(address)
	case !strings.Contains(u.Scheme, "."):
		return "an app's own scheme must be a reversed domain name, like com.example.app:/callback (RFC 8252 §7.1)"
	}
	return ""
}

// absolute parses an address that is compared by its exact text: an absolute
// URI without fragment (RFC 6749 §3.1.2).
func absolute(address string) (u *url.URL, problem string) {
	u, err := url.Parse(address)
	switch {
	case strings.Contains(address, "*"):
		return nil, "wildcards do not work; list every address"
	case err != nil || u.Scheme == "" || strings.ContainsFunc(address, notURIChar):
		return nil, "must be an absolute URI"
	case strings.Contains(address, "#"):
		return nil, "must not have a fragment (RFC 6749 §3.1.2)"
	case u.User != nil:
		return nil, "must not have a user name"
	}
	return u, ""
}

// notURIChar is true for what RFC 3986 has no place for.
func notURIChar(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>\^`+"`{|}", r) }

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// originProblem says why a text is no origin as browsers send it, or returns
// "": spelled otherwise it would never match.
func originProblem(origin string) string {
	if origin == "" || originOf(origin) != origin || strings.ContainsFunc(origin, notURIChar) || strings.ContainsAny(origin, "*%") {
		return "want an origin: scheme, host and port without a path, such as https://app.example.com"
	}
	return ""
}

// originOf returns the origin of an address as browsers send it (RFC 6454 §6.2):
// in lower case and without a default port; "" for what has none.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}
