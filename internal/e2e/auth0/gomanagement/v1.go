package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/auth0/go-auth0"
	"github.com/auth0/go-auth0/management"
)

func v1(ctx context.Context, t tenant) error {
	credentials := []management.Option{management.WithClientCredentials(ctx, t.id, t.secret)}
	domain, plain := strings.CutPrefix(t.domain, "http://")
	if plain {
		credentials = slices.Insert(credentials, 0, management.WithInsecure())
	}
	m, err := management.New(domain, credentials...)
	if err != nil {
		return step("new client", err)
	}
	return first(
		func() error { return v1Connections(ctx, m, t) },
		func() error { return v1Registrations(ctx, m) },
		func() error { return v1Users(ctx, m, t) },
	)
}

func v1Connections(ctx context.Context, m *management.Management, t tenant) error {
	sms, err := m.Connection.ReadByName(ctx, "sms")
	if err != nil {
		return step("read connection by name", err)
	}
	options := &management.ConnectionOptionsSMS{
		Provider: auth0.String("sms_gateway"), GatewayURL: &t.gateway, Template: auth0.String("Go @@password@@"), Syntax: auth0.String("md_with_macros"),
		OTP: &management.ConnectionOptionsOTP{TimeStep: auth0.Int(120), Length: auth0.Int(7)},
	}
	if err := m.Connection.Update(ctx, sms.GetID(), &management.Connection{Options: options}); err != nil {
		return step("update connection", err)
	}
	read, err := m.Connection.Read(ctx, sms.GetID())
	if err != nil {
		return step("read connection", err)
	}
	got, ok := read.Options.(*management.ConnectionOptionsSMS)
	if err := want(ok && got.GetTemplate() == "Go @@password@@" && got.OTP.GetLength() == 7, "the options that were written, got %v", read); err != nil {
		return err
	}
	other := &management.Connection{Name: auth0.String("other"), Strategy: auth0.String("sms"), Options: options}
	if err := m.Connection.Create(ctx, other); err != nil {
		return step("create connection", err)
	}
	if err := refusedAs(m.Connection.Create(ctx, &management.Connection{Name: auth0.String("other"), Strategy: auth0.String("sms"), Options: options}), 409); err != nil {
		return step("create it again", err)
	}
	list, err := m.Connection.List(ctx, management.Parameter("strategy", "sms"))
	if err != nil {
		return step("list connections", err)
	}
	enabled := []management.ConnectionEnabledClient{{ClientID: &t.id, Status: auth0.Bool(true)}}
	return first(
		func() error {
			return want(list.Total == 2 && len(list.Connections) == 2, "two connections, got %d", list.Total)
		},
		func() error {
			return step("enable a client", m.Connection.UpdateEnabledClients(ctx, other.GetID(), enabled))
		},
		func() error {
			_, err := m.Connection.ReadEnabledClients(ctx, other.GetID())
			return step("read enabled clients", err)
		},
		func() error { return step("delete connection", m.Connection.Delete(ctx, other.GetID())) },
		func() error {
			_, err := m.Connection.Read(ctx, "con_nope")
			return want(err != nil && err.Error() == "404 Not Found: The connection does not exist", "404 of an unknown connection, got %v", err)
		},
	)
}

func refusedAs(err error, status int) error {
	if err == nil {
		return errNotRefused
	}
	if m, ok := err.(management.Error); !ok || m.Status() != status {
		return fmt.Errorf("want %d, got %w", status, err)
	}
	return nil
}

func v1Registrations(ctx context.Context, m *management.Management) error {
	client := &management.Client{Name: auth0.String("Batch"), AppType: auth0.String("non_interactive"), GrantTypes: &[]string{"client_credentials"}}
	api := &management.ResourceServer{Identifier: auth0.String("https://orders.example.com"), Name: auth0.String("Orders"),
		Scopes: &[]management.ResourceServerScope{{Value: auth0.String("read:orders")}}}
	return first(
		func() error { return step("create client", m.Client.Create(ctx, client)) },
		func() error { return want(client.GetClientSecret() != "", "a secret") },
		func() error {
			return step("rename client", m.Client.Update(ctx, client.GetClientID(), &management.Client{Name: auth0.String("Batches")}))
		},
		func() error {
			_, err := m.Client.RotateSecret(ctx, client.GetClientID())
			return step("rotate secret", err)
		},
		func() error { return step("create API", m.ResourceServer.Create(ctx, api)) },
		func() error {
			got, err := m.ResourceServer.Read(ctx, "https://orders.example.com")
			if err != nil {
				return step("read API by identifier", err)
			}
			return want(got.GetID() == api.GetID(), "the API that was made")
		},
		func() error {
			grant := &management.ClientGrant{ClientID: client.ClientID, Audience: api.Identifier, Scope: &[]string{"read:orders"}}
			if err := m.ClientGrant.Create(ctx, grant); err != nil {
				return step("create client grant", err)
			}
			return first(
				func() error {
					return step("narrow client grant", m.ClientGrant.Update(ctx, grant.GetID(), &management.ClientGrant{Scope: &[]string{}}))
				},
				func() error { return step("delete client grant", m.ClientGrant.Delete(ctx, grant.GetID())) },
			)
		},
		func() error {
			list, err := m.Client.List(ctx, management.PerPage(2))
			if err != nil {
				return step("list clients", err)
			}
			return want(len(list.Clients) == 2 && list.HasNext(), "a page of two clients, and more")
		},
		func() error { return step("delete API", m.ResourceServer.Delete(ctx, api.GetID())) },
		func() error { return step("delete client", m.Client.Delete(ctx, client.GetClientID())) },
	)
}

func v1Users(ctx context.Context, m *management.Management, t tenant) error {
	user := &management.User{Connection: auth0.String("sms"), PhoneNumber: &t.number, AppMetadata: &map[string]any{"employee_id": "291"}}
	if err := m.User.Create(ctx, user); err != nil {
		return step("create user", err)
	}
	id := user.GetID()
	return first(
		func() error {
			return refusedAs(m.User.Create(ctx, &management.User{Connection: auth0.String("sms"), PhoneNumber: &t.number}), 409)
		},
		func() error {
			found, err := m.User.Search(ctx, management.Query(`phone_number:"`+t.number+`"`))
			if err != nil {
				return step("search", err)
			}
			return want(len(found.Users) == 1 && found.Users[0].GetID() == id, "the user by number")
		},
		func() error {
			return step("block", m.User.Update(ctx, id, &management.User{Blocked: auth0.Bool(true)}))
		},
		func() error {
			got, err := m.User.Read(ctx, id)
			if err != nil {
				return step("read user", err)
			}
			return want(got.GetBlocked() && got.GetAppMetadata()["employee_id"] == "291", "a blocked user, got %v", got)
		},
		func() error { return step("delete user", m.User.Delete(ctx, id)) },
		func() error {
			_, err := m.User.Read(ctx, id)
			return refusedAs(err, 404)
		},
	)
}
