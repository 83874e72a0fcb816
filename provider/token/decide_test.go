package token

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/provider/oauth"
	"github.com/handset-oidc/handset/storage"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Blocking a person revokes their grants too; the decisions do not count on it.
func TestABlockedPersonGetsNothing(t *testing.T) {
	t.Parallel()
	blocked := storage.User{Blocked: true}
	grant := storage.Grant{NewGrant: storage.NewGrant{CodeExpires: noon.Add(time.Minute)}}
	x := &exchange{caller: &storage.Client{}, grant: &grant, person: &blocked}
	if e := checkCode(x, noon); e == nil || e.Code != oauth.InvalidGrant || e.Reason != "person blocked" {
		t.Errorf("checkCode = %v", e)
	}
	x.person = &storage.User{}
	if e := checkCode(x, noon); e != nil {
		t.Errorf("checkCode of another person = %v", e)
	}
	p := &presented{family: storage.RefreshFamily{IdleExpires: noon.Add(1), AbsoluteExpires: noon.Add(1)}, person: blocked}
	if e := checkRefreshToken(p, noon); e == nil || e.Code != oauth.InvalidGrant || e.Reason != "person blocked" {
		t.Errorf("checkRefreshToken = %v", e)
	}
}

func TestRotatedAway(t *testing.T) {
	t.Parallel()
	const grace = 30 * time.Second
	for _, tt := range []struct {
		name             string
		current, counter int64
		ago              time.Duration
		want             bool
	}{
		{"the current one", 5, 5, time.Hour, false},
		{"one that does not exist yet", 5, 6, time.Hour, false},
		{"the last one, now", 5, 4, 0, false},
		{"the last one, at the end of the grace", 5, 4, grace, false},
		{"the last one, after the grace", 5, 4, grace + time.Second, true},
		{"one before the last", 5, 3, 0, true},
		{"the first", 5, 1, time.Hour, true},
	} {
		p := &presented{family: storage.RefreshFamily{Counter: tt.current, RotatedAt: noon.Add(-tt.ago)}, counter: tt.counter}
		if got := rotatedAway(p, noon, grace); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func FuzzNarrow(f *testing.F) {
	f.Add("openid phone", "phone")
	f.Add("openid", "openid openid")
	f.Add("", " ")
	f.Add("openid", "openid\tphone")
	f.Fuzz(func(t *testing.T, granted, asked string) {
		all := strings.Fields(granted)
		got, err := narrow(all, asked)
		if err != nil && got != nil {
			t.Errorf("scopes %q and an error", got)
		}
		for _, s := range got {
			if !slices.Contains(all, s) {
				t.Errorf("narrow(%q, %q) grants %q", granted, asked, s)
			}
		}
	})
}
