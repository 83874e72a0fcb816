package people

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
	"github.com/handset-oidc/handset/storage/sqlstore"
)

// BenchmarkBesideAnImport measures how long a login waits to be written, 100 of them a
// second, while 100,000 people are imported into the same file from elsewhere, as by
// handset user import (docs/integration/people.md has the figures):
//
//	go test ./internal/people -run '^$' -bench BesideAnImport -benchtime 1x
func BenchmarkBesideAnImport(b *testing.B) {
	list := peopleList(rows)
	for name, atomic := range map[string]bool{"each": false, "atomic": true} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				besideAnImport(b, list, atomic)
			}
		})
	}
}

const rows = 100_000

func besideAnImport(b *testing.B, list string, atomic bool) {
	v, err := vault.Parse(vault.Generate())
	if err != nil {
		b.Fatal(err)
	}
	c := sqlstore.Config{URL: "sqlite:" + filepath.Join(b.TempDir(), "handset.db"), Vault: v, Unique: testSchema(b).Unique()}
	open := func() *sqlstore.Store {
		s, err := sqlstore.Open(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	server, command := open(), open()
	defer server.Close()
	defer command.Close()
	d := newDesk(b)
	d.Store, d.Atomic = command, atomic
	done := make(chan error, 1)
	began := time.Now()
	go func() {
		s, err := d.Import(b.Context(), strings.NewReader(list))
		if err == nil && s.Added != rows {
			err = fmt.Errorf("imported: %+v", s)
		}
		done <- err
	}()
	var waits []time.Duration
	refused := 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case err := <-done:
			if err != nil {
				b.Fatal(err)
			}
			slices.Sort(waits)
			b.ReportMetric(time.Since(began).Seconds(), "import-s")
			b.ReportMetric(float64(len(waits)), "logins")
			b.ReportMetric(float64(refused), "refused")
			b.ReportMetric(waits[len(waits)/2].Seconds()*1e3, "median-ms")
			b.ReportMetric(waits[len(waits)*99/100].Seconds()*1e3, "p99-ms")
			b.ReportMetric(waits[len(waits)-1].Seconds()*1e3, "longest-ms")
			return
		case <-tick.C:
		}
		number, err := phone.FromStored(fmt.Sprintf("+4479111%05d", i%100000))
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		u := storage.User{ID: storage.UserID(fmt.Sprintf("beside|%d", i)), Number: number, CreatedAt: testTime, UpdatedAt: testTime}
		if err := server.AddUser(b.Context(), u); err != nil {
			refused++
		}
		waits = append(waits, time.Since(start))
	}
}
