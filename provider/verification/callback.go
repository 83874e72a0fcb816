package verification

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// CallbackStore is the queue of callbacks.
type CallbackStore interface {
	// ExpireVerifications must end what is over by time, so that its client is told.
	ExpireVerifications(ctx context.Context, now time.Time, limit int) (int, error)
	// ClaimCallbacks must hand a callback to one server alone until then.
	// It must hand out up to each of one client.
	ClaimCallbacks(ctx context.Context, now, until time.Time, limit, each int) ([]storage.Callback, error)
	// FinishCallback must change nothing when the callback was claimed again.
	FinishCallback(ctx context.Context, b storage.Callback) error
	Verification(ctx context.Context, id storage.VerificationID, client storage.ClientID, now time.Time) (storage.Verification, error)
}

// Callbacks tells clients of ends, at the addresses that they gave.
type Callbacks struct {
	Store CallbackStore
	// Clients says who is still one.
	Clients Clients
	Vault   *vault.Vault
	// HTTP opens no connection to addresses that are not allowed.
	HTTP   *http.Client
	Logger *slog.Logger
	Now    func() time.Time

	mu sync.Mutex
	// under counts the attempts under way, in all and of each client.
	under   int
	underOf map[storage.ClientID]int
	work    sync.WaitGroup
}

const (
	// claimFor is longer than an attempt can take.
	claimFor      = time.Minute
	attemptWithin = 15 * time.Second
	// atOnce is how many attempts a server makes at a time, and atOnceOfOne how many of
	// them for one client, whose receivers may hang.
	atOnce, atOnceOfOne = 64, 16
	// perTurn is how many verifications are expired in one transaction.
	perTurn = 500
	// giveUpAfter is how long after the end a client is still told of it.
	giveUpAfter = 24 * time.Hour
)

// backoff is the wait after the first, second, … attempt.
var backoff = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
}

// Turn ends what is over by time, and begins the attempts that are due; it waits for
// none. Any server may be the one that makes them.
func (c *Callbacks) Turn(ctx context.Context) error {
	now := c.Now().UTC()
	return errors.Join(c.expire(ctx, now), c.begin(ctx, now))
}

func (c *Callbacks) expire(ctx context.Context, now time.Time) error {
	for ctx.Err() == nil {
		n, err := c.Store.ExpireVerifications(ctx, now, perTurn)
		if err != nil || n < perTurn {
			return err
		}
	}
	return nil
}

func (c *Callbacks) begin(ctx context.Context, now time.Time) error {
	c.mu.Lock()
	free := atOnce - c.under
	c.mu.Unlock()
	if free <= 0 {
		return nil
	}
	due, err := c.Store.ClaimCallbacks(ctx, now, now.Add(claimFor), free, atOnceOfOne/4)
	for _, b := range due {
		if !c.enter(b.ClientID) {
			continue // its claim runs out, and by then its receivers may answer
		}
		c.work.Go(func() {
			defer c.leave(b.ClientID)
			if err := c.attempt(ctx, b); err != nil {
				c.Logger.ErrorContext(ctx, "verification callback", slog.String("verification", string(b.Verification)), slog.Any("err", err))
			}
		})
	}
	return err
}

// enter takes a place among the attempts under way.
func (c *Callbacks) enter(client storage.ClientID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.underOf == nil {
		c.underOf = map[storage.ClientID]int{}
	}
	if c.underOf[client] >= atOnceOfOne {
		return false
	}
	c.under++
	c.underOf[client]++
	return true
}

func (c *Callbacks) leave(client storage.ClientID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.under--
	if c.underOf[client]--; c.underOf[client] == 0 {
		delete(c.underOf, client)
	}
}

// Wait returns when no attempt is under way any more. No turn may begin meanwhile.
func (c *Callbacks) Wait() { c.work.Wait() }

// attempt makes one attempt and writes how it ended.
func (c *Callbacks) attempt(ctx context.Context, b storage.Callback) error {
	record, err := c.Store.Verification(ctx, b.Verification, "", c.Now())
	if errors.Is(err, storage.ErrNotFound) { // erased meanwhile, and the callback with it
		return nil
	}
	taken, final := false, false
	if err == nil {
		taken, final, b.Outcome, err = c.tell(ctx, record)
	}
	if err != nil { // such as a secret key that is gone: it counts as an attempt, so that it has an end
		b.Outcome = "not made"
	}
	now := c.Now().UTC()
	b.DueAt = now.Add(backoff[min(b.Attempts, len(backoff))-1])
	switch {
	case taken:
		b.State, b.DueAt = storage.CallbackDelivered, now
	case final || b.DueAt.After(b.CreatedAt.Add(giveUpAfter)):
		b.State, b.DueAt = storage.CallbackGivenUp, now
	}
	c.Logger.InfoContext(ctx, "verification callback", slog.String("verification", string(b.Verification)),
		slog.String("client_id", string(b.ClientID)), slog.String("state", string(b.State)), slog.String("outcome", b.Outcome))
	return errors.Join(err, c.Store.FinishCallback(context.WithoutCancel(ctx), b))
}

// event is the body of a callback.
type event struct {
	Type string `json:"type"`
	Time moment `json:"timestamp"`
	Data view   `json:"data"`
}

// tell posts to whoever is still a client: one that was removed is told nothing.
func (c *Callbacks) tell(ctx context.Context, v storage.Verification) (taken, final bool, outcome string, err error) {
	_, err = c.Clients.Get(ctx, v.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return false, true, "client was removed", nil
	}
	if err != nil {
		return false, false, "", err
	}
	taken, final, outcome = c.post(ctx, v)
	return taken, final, outcome, nil
}

// post tells a client. Only 2xx is success; 410 says that nobody listens there any
// more (Standard Webhooks). outcome holds nothing of what was answered.
func (c *Callbacks) post(ctx context.Context, v storage.Verification) (taken, final bool, outcome string) {
	ctx, cancel := context.WithTimeout(ctx, attemptWithin)
	defer cancel()
	body, err := json.Marshal(event{"verification." + string(v.Status), moment{v.EndedAt}, viewOf(v)})
	if err != nil {
		return false, true, "internal"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.Details.CallbackURL, bytes.NewReader(body))
	if err != nil {
		return false, true, "not a URL"
	}
	if err := c.sign(req.Header, v, body); err != nil {
		return false, true, "internal"
	}
	res, err := c.HTTP.Do(req)
	switch {
	case errors.Is(err, sms.ErrForbidden):
		return false, true, "address not allowed"
	case errors.Is(err, context.DeadlineExceeded):
		return false, false, "timeout"
	case err != nil:
		return false, false, "unreachable"
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 16<<10) // the status decides; this keeps the connection
	return res.StatusCode/100 == 2, res.StatusCode == http.StatusGone, "status " + strconv.Itoa(res.StatusCode)
}

// sign signs with every live secret key, so that a receiver which holds the secret
// of any of them goes on while keys are replaced.
func (c *Callbacks) sign(h http.Header, v storage.Verification, body []byte) error {
	id, now := "msg_"+string(v.ID), c.Now()
	var signatures []string
	for _, secret := range WebhookSecrets(c.Vault, v.ClientID) {
		w, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return fmt.Errorf("webhook secret: %w", err)
		}
		signature, err := w.Sign(id, now, body)
		if err != nil {
			return fmt.Errorf("sign callback: %w", err)
		}
		signatures = append(signatures, signature)
	}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Handset")
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// keyName is how many bytes of a MAC name its key.
const keyName = 4

// WebhookSecrets are what a client's callbacks are signed with, one for each secret
// key, the active one's first. They are made again whenever they are needed.
func WebhookSecrets(v *vault.Vault, client storage.ClientID) []string {
	var out []string
	for _, mac := range v.MACs(vault.Webhook, string(client)) {
		out = append(out, "whsec_"+base64.StdEncoding.EncodeToString(mac[keyName:]))
	}
	return out
}
