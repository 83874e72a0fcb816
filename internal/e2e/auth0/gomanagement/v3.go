package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/auth0/go-auth0/v3/management"
	"github.com/auth0/go-auth0/v3/management/client"
	"github.com/auth0/go-auth0/v3/management/core"
	"github.com/auth0/go-auth0/v3/management/option"
)

func v3(ctx context.Context, t tenant) error {
	m, err := client.New(t.domain, option.WithClientCredentials(ctx, t.id, t.secret))
	if err != nil {
		return step("new client", err)
	}
	return first(
		func() error { return v3Connections(ctx, m, t) },
		func() error { return v3Users(ctx, m, t) },
	)
}

func v3Connections(ctx context.Context, m *client.Management, t tenant) error {
	page, err := m.Connections.List(ctx, &management.ListConnectionsQueryParameters{Take: management.Int(50)})
	if err != nil {
		return step("list connections", err)
	}
	if err := want(len(page.Results) == 1 && page.Results[0].GetName() == "sms", "one connection"); err != nil {
		return err
	}
	id := page.Results[0].GetID()
	// What is a connection's own has no field in the client's types.
	options := map[string]any{"provider": "sms_gateway", "gateway_url": t.gateway, "template": "Go @@password@@"}
	other, err := m.Connections.Create(ctx, &management.CreateConnectionRequestContent{
		Name: "other", Strategy: management.ConnectionIdentityProviderEnumSms, Options: &management.ConnectionPropertiesOptions{ExtraProperties: options},
	})
	if err != nil {
		return step("create connection", err)
	}
	return first(
		func() error {
			_, err := m.Connections.Update(ctx, id, &management.UpdateConnectionRequestContent{Options: &management.UpdateConnectionOptions{ExtraProperties: options}})
			return step("update options", err)
		},
		func() error { return step("delete connection", m.Connections.Delete(ctx, other.GetID())) },
		func() error {
			_, err := m.Connections.Get(ctx, other.GetID(), &management.GetConnectionRequestParameters{})
			return refusedBy3(err, http.StatusNotFound)
		},
		func() error {
			_, err := m.Connections.Update(ctx, id, &management.UpdateConnectionRequestContent{DisplayName: management.String("Texts")})
			return step("update connection", err)
		},
		func() error {
			got, err := m.Connections.Get(ctx, id, &management.GetConnectionRequestParameters{})
			if err != nil {
				return step("get connection", err)
			}
			return want(got.GetDisplayName() == "Texts" && got.GetOptions()["template"] == "Go @@password@@", "what was written, got %v", got)
		},
		func() error { return step("delete an unknown connection", m.Connections.Delete(ctx, "con_nope")) },
		func() error {
			_, err := m.Connections.Get(ctx, "con_nope", &management.GetConnectionRequestParameters{})
			return refusedBy3(err, http.StatusNotFound)
		},
	)
}

func refusedBy3(err error, status int) error {
	var e *core.APIError
	if !errors.As(err, &e) || e.StatusCode != status {
		return fmt.Errorf("want %d, got %v", status, err)
	}
	return nil
}

func v3Users(ctx context.Context, m *client.Management, t tenant) error {
	user, err := m.Users.Create(ctx, &management.CreateUserRequestContent{Connection: "sms", PhoneNumber: &t.number})
	if err != nil {
		return step("create user", err)
	}
	id := user.GetUserID()
	return first(
		func() error {
			page, err := m.Users.List(ctx, &management.ListUsersRequestParameters{Q: management.String(`phone_number:"` + t.number + `"`)})
			if err != nil {
				return step("search", err)
			}
			return want(len(page.Results) == 1 && page.Results[0].GetUserID() == id, "the user by number")
		},
		func() error {
			_, err := m.Users.Update(ctx, id, &management.UpdateUserRequestContent{Blocked: management.Bool(true)})
			return step("block", err)
		},
		func() error {
			got, err := m.Users.Get(ctx, id, &management.GetUserRequestParameters{})
			if err != nil {
				return step("get user", err)
			}
			return want(got.GetBlocked(), "a blocked user")
		},
		func() error { return step("delete user", m.Users.Delete(ctx, id)) },
		func() error {
			_, err := m.Users.Get(ctx, id, &management.GetUserRequestParameters{})
			return refusedBy3(err, http.StatusNotFound)
		},
	)
}
