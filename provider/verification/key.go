package verification

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

const instancePrefix = "hsi_"

// instanceKey opens one verification, and says which: behind its ID stands a MAC
// that only the secret key makes. Nothing is kept of it.
func instanceKey(v *vault.Vault, id storage.VerificationID) string {
	raw, _ := hex.DecodeString(string(id)) // an ID of ours
	return instancePrefix + base64.RawURLEncoding.EncodeToString(append(raw, v.MAC(vault.InstanceKey, string(id))...))
}

// openedBy returns the verification that a genuine instance key is of.
func openedBy(v *vault.Vault, key string) (storage.VerificationID, bool) {
	encoded, ok := strings.CutPrefix(key, instancePrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(raw) < 16 {
		return "", false
	}
	id := hex.EncodeToString(raw[:16])
	return storage.VerificationID(id), v.Verify(raw[16:], vault.InstanceKey, id)
}

// CallerKey is the key of a client of type verification: what it sends in
// x-functions-key, or as code. It names the client, so that no store is searched
// for it; what is kept is the MAC of its secret.
func CallerKey(id storage.ClientID, secret string) string { return string(id) + "." + secret }

// errKey is the one answer to no key, and to a wrong one.
func errKey(reason string) error {
	return &web.Fault{Status: http.StatusUnauthorized, Code: "unauthorized", Reason: reason,
		Message: "Send a valid key in the header x-functions-key or the query parameter code."}
}

// keys are those of a request: the header's, then the query's.
func keys(r *http.Request) ([]string, error) {
	query, err := web.Query(r)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, key := range append(r.Header.Values("X-Functions-Key"), query["code"]...) {
		if key != "" {
			out = append(out, key)
		}
	}
	if len(out) > 2 {
		return nil, errKey("many keys")
	}
	return out, nil
}

// caller returns the client of type verification that one of the keys is of.
func (v *Verifier) caller(ctx context.Context, keys []string) (*storage.Client, error) {
	for _, key := range keys {
		dot := strings.LastIndexByte(key, '.')
		if dot < 1 || len(key) > 512 {
			continue
		}
		c, err := v.c.Clients.Authenticate(ctx, client.Credentials{
			ClientID: storage.ClientID(key[:dot]), Method: oauth.AuthSecretPost, Secret: key[dot+1:],
		})
		if err != nil && oauth.AsError(err) == nil {
			return nil, err
		}
		if err == nil && c.AppType == oauth.AppVerification {
			return c, admits(ctx, c)
		}
	}
	return nil, errKey("no key of a client")
}

// opened returns the verification that a request is about. Towards a key of another
// one, unknown and another's look alike.
func (d *Durable) opened(r *http.Request) (storage.Verification, error) {
	held, err := keys(r)
	if err != nil {
		return storage.Verification{}, err
	}
	id, of := r.PathValue("id"), storage.ClientID("")
	for _, key := range held {
		if opens, ok := openedBy(d.c.Vault, key); ok {
			if string(opens) != id {
				return storage.Verification{}, errInstance
			}
			return d.ofLivingClient(r.Context(), id)
		}
	}
	caller, err := d.caller(r.Context(), held)
	if err != nil {
		return storage.Verification{}, err
	}
	of = caller.ClientID
	return d.instance(d.find(r.Context(), id, of, storage.DialectDurable))
}

// ofLivingClient finds an instance by its own key, which dies with the client that
// started it.
func (d *Durable) ofLivingClient(ctx context.Context, id string) (storage.Verification, error) {
	record, err := d.instance(d.find(ctx, id, "", storage.DialectDurable))
	if err != nil {
		return record, err
	}
	_, err = d.c.Clients.Get(ctx, record.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Verification{}, errInstance
	}
	return record, err
}

var (
	errInstance error = &web.Fault{Status: http.StatusNotFound, Code: "not_found", Message: "There is no such instance."}
	errOver     error = &web.Fault{Status: http.StatusGone, Code: "ended", Message: "The instance has ended."}
)

func (d *Durable) instance(record storage.Verification, err error) (storage.Verification, error) {
	if errors.Is(err, storage.ErrNotFound) {
		return record, errInstance
	}
	return record, err
}
