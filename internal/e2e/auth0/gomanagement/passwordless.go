package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	authv1 "github.com/auth0/go-auth0/authentication"
	oauthv1 "github.com/auth0/go-auth0/authentication/oauth"
	smsv1 "github.com/auth0/go-auth0/authentication/passwordless"
	authv3 "github.com/auth0/go-auth0/v3/authentication"
	oauthv3 "github.com/auth0/go-auth0/v3/authentication/oauth"
	smsv3 "github.com/auth0/go-auth0/v3/authentication/passwordless"
)

// asked is one line of the input: a text is asked for, or its code exchanged.
type asked struct{ Number, Code string }

// answered is the line that answers it.
type answered struct {
	ID, Number    string // of a start
	Verified      bool
	Access, Token string // of a login; the client has verified the ID token
	Error         string
}

// passwordless answers each line of the input, by both versions of the client.
func passwordless(version, domain, id string) {
	ctx := context.Background()
	ask, err := map[string]func(context.Context, string, string, string) (func(asked) answered, error){
		"v1": passwordlessV1, "v3": passwordlessV3,
	}[version](ctx, domain, id, os.Getenv("CLIENT_SECRET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var a asked
		if err := json.Unmarshal(in.Bytes(), &a); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = out.Encode(ask(a)) // nobody hears it who has gone
	}
}

// Both ask again as they do by themselves: after 429 twice more, in the time that the
// server says, which they hold to be no more than ten seconds.

func passwordlessV1(ctx context.Context, domain, id, secret string) (func(asked) answered, error) {
	a, err := authv1.New(ctx, domain, authv1.WithClientID(id), authv1.WithClientSecret(secret))
	return func(in asked) answered {
		if in.Code == "" {
			sent, err := a.Passwordless.SendSMS(ctx, smsv1.SendSMSRequest{PhoneNumber: in.Number}, authv1.Header("x-request-language", "fr"))
			if err != nil {
				return answered{Error: err.Error()}
			}
			return answered{ID: sent.ID, Number: sent.PhoneNumber, Verified: sent.PhoneVerified}
		}
		set, err := a.Passwordless.LoginWithSMS(ctx, smsv1.LoginWithSMSRequest{PhoneNumber: in.Number, Code: in.Code, Scope: "openid"}, oauthv1.IDTokenValidationOptions{})
		if err != nil {
			return answered{Error: err.Error()}
		}
		return answered{Access: set.AccessToken, Token: set.IDToken}
	}, err
}

func passwordlessV3(ctx context.Context, domain, id, secret string) (func(asked) answered, error) {
	a, err := authv3.New(ctx, domain, authv3.WithClientID(id), authv3.WithClientSecret(secret))
	return func(in asked) answered {
		if in.Code == "" {
			sent, err := a.Passwordless.SendSMS(ctx, smsv3.SendSMSRequest{PhoneNumber: in.Number}, authv3.Header("x-request-language", "fr"))
			if err != nil {
				return answered{Error: err.Error()}
			}
			return answered{ID: sent.ID, Number: sent.PhoneNumber, Verified: sent.PhoneVerified}
		}
		set, err := a.Passwordless.LoginWithSMS(ctx, smsv3.LoginWithSMSRequest{PhoneNumber: in.Number, Code: in.Code, Scope: "openid"}, oauthv3.IDTokenValidationOptions{})
		if err != nil {
			return answered{Error: err.Error()}
		}
		return answered{Access: set.AccessToken, Token: set.IDToken}
	}, err
}
