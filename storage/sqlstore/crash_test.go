package sqlstore

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// crashEnv makes the test binary the process that is going to be killed.
const crashEnv = "SQLSTORE_TEST_CRASH"

func TestMain(m *testing.M) {
	if file := os.Getenv(crashEnv); file != "" {
		fmt.Fprintln(os.Stderr, logInForEver(file))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func crashVault() (*vault.Vault, error) { return vault.Parse(strings.Repeat("5a", 32)) }

// logInForEver opens sessions in parallel and acknowledges each on a line of its
// own: number, challenge and session MAC.
func logInForEver(file string) error {
	v, err := crashVault()
	if err != nil {
		return err
	}
	s, err := Open(context.Background(), Config{URL: "sqlite:" + file, Vault: v})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for worker := range 8 {
		go func() {
			for i := 0; ; i++ {
				n, err := phone.FromStored(fmt.Sprintf("+8190%d%07d", worker, i))
				if err != nil {
					failed <- err
					return
				}
				l := newLogin(v, n, testTime)
				if _, err := s.OpenSession(context.Background(), l, testTime); err != nil {
					failed <- err
					return
				}
				fmt.Printf("%s %s %x\n", n.E164(), l.Challenge, l.SessionMAC)
			}
		}()
	}
	return <-failed
}

func TestNothingAcknowledgedIsLostByKill9(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "handset.db")
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), crashEnv+"="+file)
	server.Stderr = t.Output()
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		acknowledged = append(acknowledged, lines.Text())
		if len(acknowledged) == 300 {
			if err := server.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = server.Wait() // killed
	if len(acknowledged) < 300 {
		t.Fatalf("%d logins before the kill", len(acknowledged))
	}

	v, err := crashVault()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{URL: "sqlite:" + file, Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, line := range acknowledged {
		fields := strings.Fields(line)
		if len(fields) != 3 || len(fields[2]) != 72 {
			continue // the line that the kill cut off
		}
		checkSurvivor(t, s, v, fields[0], storage.ChallengeID(fields[1]), fields[2])
	}
}

func checkSurvivor(t *testing.T, s *Store, v *vault.Vault, e164 string, challenge storage.ChallengeID, macHex string) {
	t.Helper()
	n := number(t, e164)
	if _, err := s.UserByNumber(t.Context(), n); err != nil {
		t.Errorf("an acknowledged person is lost: %v", err)
	}
	mac, err := hex.DecodeString(macHex)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.SessionByMAC(t.Context(), [][]byte{mac}, testTime, 0); err != nil {
		t.Errorf("an acknowledged session is lost: %v", err)
	}
	again := newLogin(v, n, testTime)
	again.Challenge = challenge
	if _, err := s.OpenSession(t.Context(), again, testTime); !errors.Is(err, storage.ErrConsumed) {
		t.Errorf("a used challenge opens a session again: %v", err)
	}
}
