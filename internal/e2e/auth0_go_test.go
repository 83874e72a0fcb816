package e2e

import (
	"context"
	"errors"
	"net/http"
	"testing"

	authv1 "github.com/auth0/go-auth0/authentication"
	oauthv1 "github.com/auth0/go-auth0/authentication/oauth"
	smsv1 "github.com/auth0/go-auth0/authentication/passwordless"
	authv3 "github.com/auth0/go-auth0/v3/authentication"
	oauthv3 "github.com/auth0/go-auth0/v3/authentication/oauth"
	smsv3 "github.com/auth0/go-auth0/v3/authentication/passwordless"
)

// goSDK is what a version of go-auth0 does for a number.
type goSDK struct {
	send  func(number string) (id, sent string, err error)
	login func(number, code string) (access, id string, err error)
}

// refusal is an error of either version.
type refusal interface {
	error
	Status() int
}

// Row 8, case E, and row 9: Auth0's SDKs for Go. Neither waits and asks again here: that
// would take as long as the server says.
func TestAuth0Go(t *testing.T) {
	t.Parallel()
	for version, open := range map[string]func(*testing.T, *rig) goSDK{"v1": goAuth0V1, "v3": goAuth0V3} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			r := startAuth0(t)
			sdk, number := open(t, r), newNumber()
			id, sent, err := sdk.send(number)
			if err != nil || len(id) != 24 || sent != number {
				t.Fatalf("send: %q %q %v", id, sent, err)
			}
			for what, c := range map[string]struct {
				err    error
				status int
				words  string
			}{
				"again":        {second(sdk.send(number)), 429, "429 too_many_requests: Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers."},
				"a bad number": {second(sdk.send("x")), 400, `400 bad.phone_number: String does not match pattern: ^\+[0-9]{1,15}$`},
				"a wrong code": {second(sdk.login(number, wrong(r.gateway.code(number), 1))), 403, "403 invalid_grant: " + wrongCode},
			} {
				if e, ok := errors.AsType[refusal](c.err); !ok || e.Status() != c.status || e.Error() != c.words {
					t.Errorf("%s: %v, want %s", what, c.err, c.words)
				}
			}
			access, token, err := sdk.login(number, r.gateway.code(number)) // the SDK verifies the ID token
			if err != nil || access == "" || claims(t, token)["sub"] == nil {
				t.Errorf("login: %q %q %v", access, token, err)
			}
		})
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

func goAuth0V1(t *testing.T, r *rig) goSDK {
	ctx := context.WithoutCancel(t.Context())
	a, err := authv1.New(ctx, r.domain(), authv1.WithClientID(webClient), authv1.WithClientSecret(secret),
		authv1.WithClient(&http.Client{Transport: r.http.Transport}), authv1.WithNoRetries())
	if err != nil {
		t.Fatal(err)
	}
	return goSDK{
		send: func(number string) (string, string, error) {
			sent, err := a.Passwordless.SendSMS(ctx, smsv1.SendSMSRequest{PhoneNumber: number}, authv1.Header("x-request-language", "fr"))
			if err != nil {
				return "", "", err
			}
			return sent.ID, sent.PhoneNumber, nil
		},
		login: func(number, code string) (string, string, error) {
			set, err := a.Passwordless.LoginWithSMS(ctx, smsv1.LoginWithSMSRequest{PhoneNumber: number, Code: code, Scope: "openid"}, oauthv1.IDTokenValidationOptions{})
			if err != nil {
				return "", "", err
			}
			return set.AccessToken, set.IDToken, nil
		},
	}
}

func goAuth0V3(t *testing.T, r *rig) goSDK {
	ctx := context.WithoutCancel(t.Context())
	a, err := authv3.New(ctx, r.domain(), authv3.WithClientID(webClient), authv3.WithClientSecret(secret),
		authv3.WithClient(&http.Client{Transport: r.http.Transport}), authv3.WithNoRetries())
	if err != nil {
		t.Fatal(err)
	}
	return goSDK{
		send: func(number string) (string, string, error) {
			sent, err := a.Passwordless.SendSMS(ctx, smsv3.SendSMSRequest{PhoneNumber: number}, authv3.Header("x-request-language", "fr"))
			if err != nil {
				return "", "", err
			}
			return sent.ID, sent.PhoneNumber, nil
		},
		login: func(number, code string) (string, string, error) {
			set, err := a.Passwordless.LoginWithSMS(ctx, smsv3.LoginWithSMSRequest{PhoneNumber: number, Code: code, Scope: "openid"}, oauthv3.IDTokenValidationOptions{})
			if err != nil {
				return "", "", err
			}
			return set.AccessToken, set.IDToken, nil
		},
	}
}
