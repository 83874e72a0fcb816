package sqlstore

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// bench runs do one at a time and 16 at a time, and reports the CPU time of the
// whole process per operation beside the time that passed.
func bench(b *testing.B, setup func(b *testing.B, s *Store, n int) func(i int) error) {
	for _, at := range []int{1, 16} {
		b.Run(fmt.Sprintf("at=%d", at), func(b *testing.B) {
			s := openFile(b)
			do := setup(b, s, b.N)
			var next atomic.Int64
			b.SetParallelism(max(1, at/2))
			before := cpu(b)
			b.ResetTimer()
			if at == 1 {
				for i := range b.N {
					if err := do(i); err != nil {
						b.Fatal(err)
					}
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := do(int(next.Add(1)) - 1); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			b.StopTimer()
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpu is the user and system time that this process has used.
func cpu(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// logins opens n sessions of different people.
func logins(b testing.TB, s *Store, n int) []storage.Login {
	all := make([]storage.Login, n)
	for i := range all {
		all[i] = newLogin(s.vault, number(b, fmt.Sprintf("+81%08d", i)), testTime)
	}
	return all
}

func opened(b testing.TB, s *Store, n int) []storage.Login {
	all := logins(b, s, n)
	for _, l := range all {
		// Fast, for the setting up does not count.
		err := s.db.write(b.Context(), fast, func(c *conn) error {
			_, err := s.openSession(c, l, testTime)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return all
}

func family(l storage.Login) *storage.RefreshFamily {
	return &storage.RefreshFamily{
		ID: storage.FamilyID(rand.Text()), GrantID: l.Grant.ID, Counter: 1, CreatedAt: testTime,
		IdleExpires: testTime.Add(time.Hour), AbsoluteExpires: testTime.Add(time.Hour),
	}
}

func BenchmarkOpenSessionOfNewPeople(b *testing.B) {
	bench(b, func(b *testing.B, s *Store, n int) func(int) error {
		all := logins(b, s, n)
		return func(i int) error {
			_, err := s.OpenSession(b.Context(), all[i], testTime)
			return err
		}
	})
}

func BenchmarkOpenSessionOfKnownPeople(b *testing.B) {
	bench(b, func(b *testing.B, s *Store, n int) func(int) error {
		opened(b, s, n)
		all := logins(b, s, n)
		return func(i int) error {
			_, err := s.OpenSession(b.Context(), all[i], testTime)
			return err
		}
	})
}

func BenchmarkRedeemGrant(b *testing.B) {
	bench(b, func(b *testing.B, s *Store, n int) func(int) error {
		all := opened(b, s, n)
		return func(i int) error {
			return s.RedeemGrant(b.Context(), storage.Redemption{Grant: all[i].Grant.ID, Now: testTime})
		}
	})
}

func BenchmarkRedeemGrantWithRefreshToken(b *testing.B) {
	bench(b, func(b *testing.B, s *Store, n int) func(int) error {
		all := opened(b, s, n)
		return func(i int) error {
			return s.RedeemGrant(b.Context(), storage.Redemption{Grant: all[i].Grant.ID, Now: testTime, Refresh: family(all[i])})
		}
	})
}

func BenchmarkRotateRefreshToken(b *testing.B) {
	bench(b, func(b *testing.B, s *Store, n int) func(int) error {
		all := opened(b, s, n)
		families := make([]storage.FamilyID, n)
		for i, l := range all {
			f := family(l)
			families[i] = f.ID
			if err := s.db.write(b.Context(), fast, func(c *conn) error { return s.addFamily(c, l.Grant.ID, *f) }); err != nil {
				b.Fatal(err)
			}
		}
		return func(i int) error {
			_, err := s.RotateRefreshToken(b.Context(), storage.Rotation{
				Family: families[i], Presented: 1, Now: testTime, IdleExpires: testTime.Add(time.Hour),
			})
			return err
		}
	})
}

func BenchmarkSessionByMAC(b *testing.B) {
	bench(b, func(b *testing.B, s *Store, n int) func(int) error {
		all := opened(b, s, n)
		return func(i int) error {
			_, _, err := s.SessionByMAC(b.Context(), [][]byte{all[i].SessionMAC}, testTime, time.Hour)
			return err
		}
	})
}

// A login: the session with its grant, the grant by its code, the redemption.
func BenchmarkLogin(b *testing.B) {
	bench(b, func(b *testing.B, s *Store, n int) func(int) error {
		opened(b, s, n)
		all := logins(b, s, n)
		return func(i int) error {
			if _, err := s.OpenSession(b.Context(), all[i], testTime); err != nil {
				return err
			}
			g, _, err := s.GrantByCode(b.Context(), [][]byte{all[i].Grant.CodeMAC})
			if err != nil {
				return err
			}
			return s.RedeemGrant(b.Context(), storage.Redemption{Grant: g.ID, Now: testTime})
		}
	})
}
