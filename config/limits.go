package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
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

// DefaultLimits returns every limit there is, with its default.
func DefaultLimits() Limits {
	return Limits{
		"send_number":    {Burst: 5, Every: 3 * time.Hour},
		"send_address":   {Burst: 10, Every: time.Minute},
		"guess_number":   {Burst: 10, Every: 144 * time.Minute},
		"verify_address": {Burst: 60, Every: 10 * time.Second},
	}
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
		limit, ok := known[name]
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
			limit = Limit{Off: true}
		default:
			d.decode(at, v, &limit)
		}
		(*l)[name] = limit
	}
}

func (l Limits) check(r *report) {
	for _, name := range l.names() {
		limit := l[name]
		path := join("limits", name)
		switch {
		case limit.Off:
			r.warn(path, "off; nothing holds back who would use it up")
		case limit.Burst < 1 || limit.Burst > maxBurst:
			r.problem(join(path, "burst"), fmt.Sprintf("want 1 to %d, or off in place of the limit", maxBurst))
		case limit.Every < time.Second:
			r.problem(join(path, "every"), "want at least 1s")
		}
	}
}

// maxBurst keeps the arithmetic of a limit far from overflow.
const maxBurst = 1_000_000

var errNotDuration = errors.New(`want a duration such as 10m, 3h or 168h`)
