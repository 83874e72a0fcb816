package provider

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/provider/api"
	"github.com/handset-oidc/handset/provider/authorize"
	"github.com/handset-oidc/handset/provider/client"
	"github.com/handset-oidc/handset/provider/discovery"
	"github.com/handset-oidc/handset/provider/introspect"
	"github.com/handset-oidc/handset/provider/login"
	"github.com/handset-oidc/handset/provider/logout"
	"github.com/handset-oidc/handset/provider/management"
	"github.com/handset-oidc/handset/provider/mint"
	"github.com/handset-oidc/handset/provider/passwordless"
	"github.com/handset-oidc/handset/provider/posted"
	"github.com/handset-oidc/handset/provider/receipts"
	"github.com/handset-oidc/handset/provider/registration"
	"github.com/handset-oidc/handset/provider/revoke"
	"github.com/handset-oidc/handset/provider/session"
	"github.com/handset-oidc/handset/provider/token"
	"github.com/handset-oidc/handset/provider/userinfo"
	"github.com/handset-oidc/handset/provider/verification"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/views"
)

// Times that no configuration changes (security.md §2).
const (
	// sendWait is the default of Config.SendWait.
	sendWait        = 3 * time.Second
	transactionLife = 30 * time.Minute
	codeLife        = time.Minute
	refreshGrace    = 30 * time.Second
)

// handlers are the endpoints, for the route table.
type handlers struct {
	authorize  *authorize.Handler
	login      *login.Handler
	logout     *logout.Handler
	token      *token.Handler
	userinfo   *userinfo.Handler
	introspect *introspect.Handler
	revoke     *revoke.Handler
	receipts   *receipts.Handler
	discovery  *discovery.Handler
	durable    *verification.Durable
	verify     *verification.API
	doors      *passwordless.Doors
	management *management.Handler
}

// endpoints builds every endpoint: those of people's browsers, those of
// clients, and the documents.
func (p *Provider) endpoints() (h handlers, err error) {
	minter, err := mint.New(mint.Config{
		Issuer: p.c.Issuer, Keys: p.c.Keys, Vault: p.c.Vault, IDTokenLife: p.c.Lifetimes.ID, Now: p.c.Now,
	})
	if err != nil {
		return h, err
	}
	h.doors = p.passwordlessDoors(minter)
	p.browserEndpoints(&h, minter)
	if err := p.clientEndpoints(&h, minter); err != nil {
		return h, err
	}
	if err := p.verificationEndpoints(&h, minter); err != nil {
		return h, err
	}
	if err := p.managementEndpoints(&h, minter); err != nil {
		return h, err
	}
	h.receipts = p.receipts
	h.discovery, err = discovery.New(discovery.Config{
		Issuer: p.c.Issuer, AssertionAlgorithms: client.SigningAlgorithms(),
		IDTokenAlgorithms: registration.IDTokenAlgorithms(), UILocales: []language.Tag{language.English},
	})
	return h, err
}

// passwordlessDoors builds the doors of Auth0's passwordless API. The token endpoint
// needs them, and they need it.
func (p *Provider) passwordlessDoors(minter *mint.Minter) *passwordless.Doors {
	return &passwordless.Doors{Handler: passwordless.New(passwordless.Config{
		Issuer: p.c.Issuer, HTTPS: p.url.Scheme == "https", Codes: p.engine, Challenges: p.c.Redis, Store: p.c.SQL, Tickets: p.c.Redis,
		Clients: p.clients, APIs: p.apis, Mint: minter, Vault: p.c.Vault, Rules: p.c.Rules, Connection: p.connectionFor, Now: p.c.Now,
	})}
}

// verificationEndpoints builds those that verify numbers outside any login.
func (p *Provider) verificationEndpoints(h *handlers, minter *mint.Minter) (err error) {
	v := verification.New(verification.Config{
		Issuer: strings.TrimRight(p.c.Issuer, "/"), Store: p.c.SQL, Codes: p.engine, Challenges: p.c.Redis, Connection: p.connection.Load,
		Clients: p.clients, Vault: p.c.Vault, Rules: p.c.Rules, Logger: p.c.Logger, Now: p.c.Now,
	})
	allowPrivate := p.c.AllowPrivateCallbacks
	h.verify = verification.NewAPI(v, verification.APIConfig{
		Audience: verification.BuiltIn(p.c.Issuer).Identifier, Tokens: p.apiTokens(minter), Results: minter, Used: p.c.SQL,
		AllowPrivate: allowPrivate,
	})
	p.verifications = h.verify
	p.callbacks = &verification.Callbacks{
		Store: p.c.SQL, Clients: p.clients, Vault: p.c.Vault, Logger: p.c.Logger, Now: p.c.Now,
		HTTP: sms.NewHTTPClient(sms.ClientConfig{AllowPrivate: allowPrivate}),
	}
	h.durable, err = verification.NewDurable(v)
	return err
}

// managementEndpoints builds those of operators' programs.
func (p *Provider) managementEndpoints(h *handlers, minter *mint.Minter) (err error) {
	inUse := storage.DefaultConnection
	if p.c.Connection != nil {
		inUse = ""
	}
	h.management, err = management.New(management.Config{
		Issuer: p.c.Issuer, Store: p.c.SQL, Tokens: p.apiTokens(minter), Vault: p.c.Vault, InUse: inUse,
		Limits: p.c.Redis, Limit: p.engine.ManageLimit,
		CheckConnection: func(c storage.Connection) error {
			_, err := p.parse(c, nil)
			return err
		},
		FileConnections: p.c.ShownConnections, FileClients: p.c.Clients, FileAPIs: p.fixedAPIs(), FileGrants: p.c.Grants,
		Rules: p.c.Rules, Schema: p.c.Schema, Now: p.c.Now,
		// A caller that hangs up must not leave this server behind the others.
		Changed: func(ctx context.Context) { p.follow(context.WithoutCancel(ctx)) },
	})
	return err
}

// browserEndpoints builds those that share cookies: the dispatcher, the steps
// of a login, and its end.
func (p *Provider) browserEndpoints(h *handlers, minter *mint.Minter) {
	https := p.url.Scheme == "https"
	browser := authorize.NewBrowser(p.c.Vault, https, transactionLife)
	sessions := session.New(session.Config{
		Store: p.c.SQL, Vault: p.c.Vault, HTTPS: https,
		Absolute: p.c.Lifetimes.SessionAbsolute, Idle: p.c.Lifetimes.SessionIdle, Now: p.c.Now,
	})
	forms := &posted.Forms{Base: p.base, Store: p.c.Redis, Limit: p.engine.PendingLimit, Now: p.c.Now}
	h.authorize = authorize.New(authorize.Config{
		Posted: forms, Pending: p.engine.PendingLimit,
		Issuer: p.c.Issuer, Base: p.base, Clients: p.clients, Transactions: p.c.Redis, Grants: p.c.SQL, Hints: minter,
		Connection: p.connectionOf,
		APIs:       p.apis, Subjects: p.subjects, Mint: minter, Sessions: sessions, Browser: browser, Tickets: h.doors, Pages: p.pages, Now: p.c.Now,
		TransactionLife: transactionLife, CodeLife: codeLife,
	})
	h.login = login.New(login.Config{
		Base: p.base, Host: sms.OriginHost(p.c.Issuer), Store: p.c.Redis, Connection: p.named, People: p.c.SQL,
		Clients: p.clients, Codes: p.engine, Dispatcher: h.authorize, Browser: browser, Pages: p.pages,
		Rules: p.c.Rules, Regions: regions(p.c.Rules), Home: home(p.c.Rules), Now: p.c.Now,
		SendWait: cmp.Or(p.c.SendWait, sendWait),
	})
	h.logout = logout.New(logout.Config{
		Clients: p.clients, Hints: minter, Subjects: p.subjects, Posted: forms, Sessions: sessions, Pages: p.pages, Vault: p.c.Vault, Ended: p.revokedHere,
	})
}

func (p *Provider) apiTokens(minter *mint.Minter) *api.Tokens {
	return &api.Tokens{Registry: p.apis, Minter: minter, Clients: p.clients, Revocations: p.revocations, Now: p.c.Now}
}

// clientEndpoints builds those that applications call with tokens.
func (p *Provider) clientEndpoints(h *handlers, minter *mint.Minter) (err error) {
	apiTokens := p.apiTokens(minter)
	h.token, err = token.New(token.Config{
		SignIns: h.doors,
		APIs:    p.apis, Subjects: p.subjects, Userinfo: p.userinfo(), Clients: p.clients, Grants: p.c.SQL, AccessTokens: p.c.Redis, Minter: minter, Revocations: p.revocations,
		AccessLife: p.c.Lifetimes.Access, RefreshIdle: p.c.Lifetimes.RefreshIdle, RefreshAbsolute: p.c.Lifetimes.RefreshAbsolute,
		RefreshGrace: refreshGrace, IDTokenOnRefresh: p.c.Lifetimes.IDTokenOnRefresh, Now: p.c.Now,
	})
	if err != nil {
		return err
	}
	h.doors.Tokens = h.token
	h.userinfo, err = userinfo.New(userinfo.Config{
		Minter: minter, AccessTokens: p.tokensInForce(), APITokens: apiTokens, Subjects: p.subjects, People: p.c.SQL, Revocations: p.revocations, Now: p.c.Now,
	})
	if err != nil {
		return err
	}
	h.introspect, err = introspect.New(introspect.Config{
		Issuer: p.c.Issuer, Clients: p.clients, Minter: minter, Records: p.c.SQL, AccessTokens: p.tokensInForce(),
		APITokens: apiTokens, Subjects: p.subjects, Revocations: p.revocations, Now: p.c.Now,
	})
	if err != nil {
		return err
	}
	h.revoke, err = revoke.New(revoke.Config{
		Clients: p.clients, Minter: minter, Grants: p.c.SQL, AccessTokens: p.c.Redis, APITokens: apiTokens,
		Revocations: p.revocations, Now: p.c.Now,
	})
	return err
}

// revokedHere lets this server know at once what it has just revoked in SQL;
// the others learn it from the changes.
func (p *Provider) revokedHere(ctx context.Context) {
	if err := p.revocations.Refresh(ctx); err != nil {
		p.c.Logger.ErrorContext(ctx, "read revoked grants", slog.String("error", err.Error()))
	}
}

// home is the country that the number page proposes: the first one listed.
func home(rules phone.Rules) string {
	if len(rules.Countries) == 0 || slices.Contains(rules.Countries, phone.AllRegions) {
		return ""
	}
	return rules.Countries[0]
}

// regions are the choices of the number page.
func regions(rules phone.Rules) []views.Country {
	var out []views.Country
	for _, region := range rules.Regions() {
		out = append(out, views.Country{
			Region: region, Calling: strconv.Itoa(phone.CallingCode(region)),
			National: phone.Example(region), International: phone.InternationalExample(region),
		})
	}
	return out
}
