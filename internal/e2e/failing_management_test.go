package e2e

import (
	"context"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// The methods of SQL that the Management API needs, and the one of Redis that Auth0's
// doors need beside those of the login pages.

func (s failingSQL) Connections(ctx context.Context) ([]storage.Connection, error) {
	return result(s.f, "Connections", func() ([]storage.Connection, error) { return s.Durable.Connections(ctx) })
}

func (s failingSQL) CreateConnection(ctx context.Context, c storage.Connection) error {
	return s.f.call("CreateConnection", func() error { return s.Durable.CreateConnection(ctx, c) })
}

func (s failingSQL) UpdateConnection(ctx context.Context, name storage.ConnectionName, edit func(*storage.Connection) error) error {
	return s.f.call("UpdateConnection", func() error { return s.Durable.UpdateConnection(ctx, name, edit) })
}

func (s failingSQL) RemoveConnection(ctx context.Context, name storage.ConnectionName) error {
	return s.f.call("RemoveConnection", func() error { return s.Durable.RemoveConnection(ctx, name) })
}

func (s failingSQL) Clients(ctx context.Context) ([]storage.Client, error) {
	return result(s.f, "Clients", func() ([]storage.Client, error) { return s.Durable.Clients(ctx) })
}

func (s failingSQL) CreateClient(ctx context.Context, c storage.Client) error {
	return s.f.call("CreateClient", func() error { return s.Durable.CreateClient(ctx, c) })
}

func (s failingSQL) UpdateClient(ctx context.Context, id storage.ClientID, edit func(*storage.Client) error) error {
	return s.f.call("UpdateClient", func() error { return s.Durable.UpdateClient(ctx, id, edit) })
}

func (s failingSQL) RemoveClient(ctx context.Context, id storage.ClientID, now time.Time) error {
	return s.f.call("RemoveClient", func() error { return s.Durable.RemoveClient(ctx, id, now) })
}

func (s failingSQL) APIs(ctx context.Context) ([]storage.API, error) {
	return result(s.f, "APIs", func() ([]storage.API, error) { return s.Durable.APIs(ctx) })
}

func (s failingSQL) CreateAPI(ctx context.Context, a storage.API) error {
	return s.f.call("CreateAPI", func() error { return s.Durable.CreateAPI(ctx, a) })
}

func (s failingSQL) UpdateAPI(ctx context.Context, id storage.Audience, edit func(*storage.API) error) error {
	return s.f.call("UpdateAPI", func() error { return s.Durable.UpdateAPI(ctx, id, edit) })
}

func (s failingSQL) RemoveAPI(ctx context.Context, id storage.Audience, now time.Time) error {
	return s.f.call("RemoveAPI", func() error { return s.Durable.RemoveAPI(ctx, id, now) })
}

func (s failingSQL) ClientGrants(ctx context.Context) ([]storage.ClientGrant, error) {
	return result(s.f, "ClientGrants", func() ([]storage.ClientGrant, error) { return s.Durable.ClientGrants(ctx) })
}

func (s failingSQL) CreateClientGrant(ctx context.Context, g storage.ClientGrant) error {
	return s.f.call("CreateClientGrant", func() error { return s.Durable.CreateClientGrant(ctx, g) })
}

func (s failingSQL) UpdateClientGrant(ctx context.Context, client storage.ClientID, audience storage.Audience, edit func(*storage.ClientGrant) error) error {
	return s.f.call("UpdateClientGrant", func() error { return s.Durable.UpdateClientGrant(ctx, client, audience, edit) })
}

func (s failingSQL) RemoveClientGrant(ctx context.Context, client storage.ClientID, audience storage.Audience) error {
	return s.f.call("RemoveClientGrant", func() error { return s.Durable.RemoveClientGrant(ctx, client, audience) })
}

func (s failingSQL) Profile(ctx context.Context, id storage.UserID) (storage.Profile, error) {
	return result(s.f, "Profile", func() (storage.Profile, error) { return s.Durable.Profile(ctx, id) })
}

func (s failingSQL) Profiles(ctx context.Context, skip, limit int) (people []storage.Profile, total int, err error) {
	err = s.f.call("Profiles", func() (err error) {
		people, total, err = s.Durable.Profiles(ctx, skip, limit)
		return err
	})
	return people, total, err
}

func (s failingSQL) AddProfile(ctx context.Context, p storage.Profile) error {
	return s.f.call("AddProfile", func() error { return s.Durable.AddProfile(ctx, p) })
}

func (s failingSQL) EditProfile(ctx context.Context, id storage.UserID, now time.Time, edit func(*storage.Profile) error) (storage.Profile, error) {
	return result(s.f, "EditProfile", func() (storage.Profile, error) { return s.Durable.EditProfile(ctx, id, now, edit) })
}

func (s failingSQL) RemoveUser(ctx context.Context, id storage.UserID, now time.Time) error {
	return s.f.call("RemoveUser", func() error { return s.Durable.RemoveUser(ctx, id, now) })
}

func (s failingSQL) Changes(ctx context.Context, after int64) ([]storage.Change, error) {
	return result(s.f, "Changes", func() ([]storage.Change, error) { return s.Durable.Changes(ctx, after) })
}

func (s failingRedis) Challenge(ctx context.Context, id storage.ChallengeID) (storage.Challenge, error) {
	return result(s.f, "Challenge", func() (storage.Challenge, error) { return s.Ephemeral.Challenge(ctx, id) })
}
