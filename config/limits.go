package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/handset-oidc/handset/passcode/limit"
)

// Limit is one limit: Burst at once, one more Every.
type Limit struct {
	// How many at once.
	Burst int `yaml:"burst"`
	// How long until one more is allowed.
	Every time.Duration `yaml:"every"`
	// Off says that the configuration says "off".
	Off bool `yaml:"-"`
}

// Limits are limits by name. A configuration that was loaded has all names.
type Limits map[string]Limit

// DefaultLimits returns every limit that can be configured, with its default.
func DefaultLimits() Limits {
	limits := Limits{}
	for _, name := range limit.Names() {
		l, _ := limit.Default(name)
		limits[name] = Limit{Burst: l.Burst, Every: l.Every}
	}
	return limits
}

func (l Limits) names() []string { return slices.Sorted(maps.Keys(l)) }

// decode takes "off" or a map whose missing keys keep their default.
func (l *Limits) decode(d *decoder, path string, in any) {
	m, ok := in.(map[string]any)
	if !ok {
		d.problem(path, "want the names of limits, each with {burst: 5, every: 3h} or off")
		return
	}
	known := DefaultLimits()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := join(path, name)
		one, ok := known[name]
		if !ok {
			d.problem(at, "unknown limit; the limits are "+list(known.names()))
			continue
		}
		switch v := m[name].(type) {
		case string:
			if v != "off" {
				d.problem(at, `want {burst: 5, every: 3h} or off`)
				continue
			}
			one = Limit{Off: true}
		case nil:
		case map[string]any:
			d.decode(at, v, &one)
		default:
			d.problem(at, `want {burst: 5, every: 3h} or off`)
			continue
		}
		(*l)[name] = one
	}
}

func (l Limits) check(r *report) {
	for _, name := range l.names() {
		path, least := join("limits", name), time.Second
		if name == limit.ManageClient { // programs call, not people
			least = time.Millisecond
		}
		switch one := l[name]; {
		case one.Off:
			r.warn(path, "off; nothing holds back who would use it up")
		case one.Burst < 1 || one.Burst > maxBurst:
			r.problem(join(path, "burst"), fmt.Sprintf("want 1 to %d, or off in place of the limit", maxBurst))
		case one.Every < least:
			r.problem(join(path, "every"), "want at least "+FormatDuration(least))
		case one.Every%time.Millisecond != 0:
			r.problem(join(path, "every"), "want whole milliseconds")
		case one.Every > maxRefill/time.Duration(one.Burst):
			r.problem(join(path, "every"), "want less: burst times every is at most "+FormatDuration(maxRefill))
		}
	}
}

// These keep the arithmetic of a limit far from overflow.
const (
	maxBurst  = 1_000_000
	maxRefill = 365 * 24 * time.Hour // until an empty limit is full again
)

var errNotDuration = errors.New(`want a duration such as 10m, 3h or 168h`)
