package passcode

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/handset-oidc/handset/passcode/limit"
	"github.com/handset-oidc/handset/passcode/sms"
	"github.com/handset-oidc/handset/storage"
)

// asDoor is a request of a door that says itself what its codes are.
func asDoor(r *SendRequest) {
	r.Purpose, r.Address = Verification, netip.Addr{}
	r.Length, r.Tries, r.Life = 4, 2, 90*time.Second
}

func fromDoor(r *CheckRequest) { r.Purpose, r.Address = Verification, netip.Addr{} }

func TestADoorSaysLengthTriesAndLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sent := r.mustSend("v:1", asDoor)
	if sent.Length != 4 || len(r.code()) != 4 || !sent.ExpiresAt.Equal(r.clock.Now().Add(90*time.Second)) {
		t.Errorf("sent %+v, code of %d digits", sent, len(r.code()))
	}
	if left := r.wantReason(r.check("v:1", wrong(r.code(), 0), fromDoor), Wrong).TriesLeft; left != 1 {
		t.Errorf("%d tries left of 2", left)
	}
	r.wantReason(r.check("v:1", wrong(r.code(), 1), fromDoor), Wrong)
	r.wantReason(r.check("v:1", r.code(), fromDoor), Dead)
	r.mustSend("v:2", asDoor)
	r.clock.pass(90 * time.Second)
	r.wantReason(r.check("v:2", r.code(), fromDoor), Expired)
}

// An API's code is worthless on the login page, and the reverse (security.md row 9).
func TestACodeOfOneDoorProvesNothingAtAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustSend("v:1", asDoor)
	r.wantReason(r.check("v:1", r.code()), Wrong)
	if err := r.check("v:1", r.code(), fromDoor); err != nil {
		t.Errorf("at its own: %v", err)
	}
}

// Whoever asks again must not get tries again.
func TestAskingAgainBringsNoTries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	again := func(s *SendRequest) { asDoor(s); s.Again = true }
	r.mustSend("v:1", asDoor)
	code := r.code()
	r.wantReason(r.check("v:1", wrong(code, 0), fromDoor), Wrong)
	r.clock.pass(40 * time.Second)
	if sent := r.mustSend("v:1", again); !sent.Repeated || r.code() != code {
		t.Errorf("%+v: another code", sent)
	}
	r.wantReason(r.check("v:1", wrong(code, 0), fromDoor), Wrong)
	r.clock.pass(70 * time.Second)
	r.mustSend("v:1", again) // a race lost against the last try
	r.wantReason(r.check("v:1", r.code(), fromDoor), Dead)
	r.mustSend("v:lost", again)
	r.wantReason(r.check("v:lost", r.code(), fromDoor), Dead)
}

func TestClientsAreLimitedAsSuch(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Limits = map[string]storage.Limit{
			limit.SendNumber: {Off: true}, limit.SendClient: {Burst: 2, Every: time.Second}, limit.SendClientDay: {Burst: 3, Every: time.Hour},
		}
	})
	r.mustSend("v:1", asDoor)
	r.mustSend("v:2", asDoor)
	r.wantLimited(second(r.send("v:3", asDoor)), limit.SendClient)
	r.mustSend("v:4", asDoor, func(s *SendRequest) { s.Client = "other" })
	r.clock.pass(time.Second)
	r.mustSend("v:5", asDoor)
	r.clock.pass(2 * time.Second)
	r.wantLimited(second(r.send("v:6", asDoor)), limit.SendClientDay)
	r.mustSend("login:1") // of an address
}

func second(_ Sent, err error) error { return err }

// The number's own limits hold over all doors together.
func TestANumbersLimitHoldsOverAllDoors(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Limits = map[string]storage.Limit{limit.SendNumber: {Burst: 2, Every: time.Hour}}
	})
	r.mustSend("login:1")
	r.mustSend("v:1", asDoor)
	r.wantLimited(second(r.send("v:2", asDoor)), limit.SendNumber)
	r.wantLimited(second(r.send("login:2")), limit.SendNumber)
}

func TestADoorIsToldHowItsTextFared(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	told := make(chan error, 1)
	listening := func(s *SendRequest) {
		asDoor(s)
		s.Wait, s.Done = 0, func(_ context.Context, err error) { told <- err }
	}
	r.mustSend("v:1", listening)
	if err := <-told; err != nil {
		t.Errorf("handed over, and told %v", err)
	}
	r.conn.Routes = via(senderFunc(func(context.Context, sms.Message) error {
		return &sms.Error{Kind: sms.KindStatus, Status: 500}
	}))
	r.mustSend("v:2", listening)
	if err := <-told; !errors.Is(err, ErrNotSent) {
		t.Errorf("not handed over, and told %v", err)
	}
	r.conn.Routes = via(r.inbox)
	r.mustSend("v:3", asDoor, func(s *SendRequest) {
		s.Done = func(context.Context, error) { panic("in a door") }
	})
}
