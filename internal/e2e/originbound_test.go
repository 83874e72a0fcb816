package e2e

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// On an issuer of the Internet the text's last line binds the code to its host, so
// that no phone offers it on another site's page. The listener is reached as a proxy
// with TLS in front of it does: by its address, with the issuer's Host.
func TestTextsEndWithTheHostOfTheIssuer(t *testing.T) {
	t.Parallel()
	var address string
	r := start(t, func(o *options) {
		o.issuer = func(string) string { return "https://login.example.com/" }
		o.wrap = func(l net.Listener) net.Listener {
			address = l.Addr().String()
			return l
		}
	})
	r.base = "http://" + address
	number := newNumber()
	host := []string{"Host", "login.example.com"}
	form := r.numberForm(t, host...).with("phone", number)
	if got := form.send(t, host...); !got.sent(t) {
		t.Fatalf("no text was sent: %d %s", got.status, http.StatusText(got.status))
	}
	body := r.gateway.wait(number, 1).Body
	if want := "\n\n@login.example.com #" + r.gateway.code(number); !strings.HasSuffix(body, want) {
		t.Errorf("the text ends with %q, want %q", body[strings.LastIndex(body, "\n")+1:], want)
	}
}
