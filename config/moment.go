package config

import "time"

// Moment is a point in time, which a file may give as a day.
type Moment struct{ at time.Time }

// At returns a Moment.
func At(t time.Time) Moment { return Moment{t} }

// Time returns the moment; zero when none is set.
func (m Moment) Time() time.Time { return m.at }

// MarshalText returns the moment as RFC 3339, empty when none is set.
func (m Moment) MarshalText() ([]byte, error) {
	if m.at.IsZero() {
		return nil, nil
	}
	return []byte(m.at.Format(time.RFC3339)), nil
}

// decode takes a day, which ends at midnight UTC, or a time with its zone. YAML
// reads both as times when they are not in quotes.
func (m *Moment) decode(d *decoder, path string, in any) {
	switch v := in.(type) {
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			v = v.Add(24 * time.Hour)
		}
		m.at = v.UTC()
		return
	case string:
		if v == "" {
			return
		}
		if day, err := time.Parse(time.DateOnly, v); err == nil {
			m.at = day.Add(24 * time.Hour)
			return
		}
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			m.at = at.UTC()
			return
		}
	}
	d.problem(path, "want a day such as 2026-12-31, or a time such as 2026-12-31T12:00:00Z")
}
