package vault

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

var (
	one = bytes.Repeat([]byte{1}, 32)
	two = bytes.Repeat([]byte{2}, 32)
)

func open(t *testing.T, secrets ...[]byte) *Vault {
	t.Helper()
	v, err := New(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A library that takes any key protects nothing from the day on which somebody
// forgets to set it: all zeros, too short, or one key where two are believed.
func TestAttackSecretKeysThatAreNone(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("ab", 32)
	for name, secrets := range map[string][][]byte{
		"none": nil, "all zeros": {make([]byte, 32)}, "all zeros behind a good one": {one, make([]byte, 32)},
		"empty": {{}}, "31 bytes": {one[:31]}, "33 bytes": {append(slices.Clone(one), 1)}, "twice": {one, two, one},
	} {
		if _, err := New(secrets...); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "comments alone": "# " + hex + "\n\n", "zeros": strings.Repeat("0", 64), "63 digits": hex[1:], "65 digits": hex + "a",
		"no hex": strings.Repeat("xy", 32), "base64": "q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80=", "twice": hex + "\n" + strings.ToUpper(hex), "two on a line": hex + " " + hex,
	} {
		_, err := Parse(text)
		if err == nil {
			t.Errorf("a file with %s: taken", name)
			continue
		}
		if len(text) > 20 && strings.Contains(err.Error(), text[2:20]) {
			t.Errorf("a file with %s: the error quotes it: %v", name, err)
		}
	}
	if _, err := Parse("# active\n" + hex + "\n\n  " + strings.Repeat("cd", 32) + "  \n"); err != nil {
		t.Errorf("two good keys: %v", err)
	}
	if _, err := Parse(Generate()); err != nil {
		t.Errorf("a generated key: %v", err)
	}
}

// Parts that are joined without their lengths would let one record pass for
// another: ("ab", "c") for ("a", "bc").
func TestAttackMoveWhatPartsSay(t *testing.T) {
	t.Parallel()
	v := open(t, one)
	seen := map[string][]string{}
	for _, parts := range [][]string{
		{}, {""}, {"", ""}, {"ab", "c"}, {"a", "bc"}, {"abc"}, {"abc", ""}, {"", "abc"}, {"a", "b", "c"},
		{"a\x00b", "c"}, {"a", "\x00b", "c"}, {"\x00\x00\x00\x01a"}, {"a\x00\x00\x00\x01b"},
	} {
		mac := string(v.MAC(AuthCode, parts...))
		if before, same := seen[mac]; same {
			t.Errorf("%q and %q have one MAC", before, parts)
		}
		seen[mac] = parts
	}
	if bytes.Equal(v.MAC(AuthCode, "x"), v.MAC(AccessToken, "x")) {
		t.Error("two uses have one MAC")
	}
	if v.Verify(v.MAC(AuthCode, "x"), AccessToken, "x") {
		t.Error("an authorization code passes for an access token")
	}
}

// Who can write to a store moves sealed values between records, or changes them.
func TestAttackMoveSealedValues(t *testing.T) {
	t.Parallel()
	v := open(t, one)
	sealed := v.Seal(Number, "users/1", []byte("+819012345678"))
	if plain, err := v.Open(Number, "users/1", sealed); err != nil || string(plain) != "+819012345678" {
		t.Fatalf("opened %q, %v", plain, err)
	}
	if bytes.Contains(sealed, []byte("8190")) {
		t.Error("the number is to be read in the sealed value")
	}
	if bytes.Equal(sealed, v.Seal(Number, "users/1", []byte("+819012345678"))) {
		t.Error("one number is sealed twice alike")
	}
	refused := func(what string, use Use, where string, sealed []byte) {
		t.Helper()
		if _, err := v.Open(use, where, sealed); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v, want ErrSealed", what, err)
		}
	}
	refused("another person's", Number, "users/2", sealed)
	refused("another use's", Options, "users/1", sealed)
	for i := range sealed {
		changed := slices.Clone(sealed)
		changed[i] ^= 1
		refused("a changed byte", Number, "users/1", changed)
	}
	for n := range sealed {
		refused("cut off", Number, "users/1", sealed[:n])
	}
	refused("longer", Number, "users/1", append(slices.Clone(sealed), 0))
}

// A key is replaced while servers run: the new one writes, both read, and what the
// old one wrote is worthless when it has left the file.
func TestKeysAreReplacedByTheirNames(t *testing.T) {
	t.Parallel()
	before, during, after := open(t, one), open(t, two, one), open(t, two)
	oldMAC, oldSeal := before.MAC(AuthCode, "x"), before.Seal(Number, "1", []byte("n"))
	newMAC, newSeal := during.MAC(AuthCode, "x"), during.Seal(Number, "1", []byte("n"))
	if bytes.Equal(oldMAC[:nameSize], newMAC[:nameSize]) {
		t.Fatal("both keys have one name")
	}
	if !during.Verify(oldMAC, AuthCode, "x") || !during.Verify(newMAC, AuthCode, "x") {
		t.Error("with both keys, not both MACs verify")
	}
	for _, sealed := range [][]byte{oldSeal, newSeal} {
		if _, err := during.Open(Number, "1", sealed); err != nil {
			t.Errorf("with both keys: %v", err)
		}
	}
	if !after.Verify(newMAC, AuthCode, "x") {
		t.Error("the new key's MAC does not verify with it alone")
	}
	if after.Verify(oldMAC, AuthCode, "x") || before.Verify(newMAC, AuthCode, "x") {
		t.Error("a MAC verifies without its key")
	}
	if _, err := after.Open(Number, "1", oldSeal); !errors.Is(err, ErrSealed) {
		t.Errorf("a sealed value whose key has left: %v", err)
	}
	// A MAC under the name of another key is none.
	forged := append(slices.Clone(newMAC[:nameSize]), oldMAC[nameSize:]...)
	if during.Verify(forged, AuthCode, "x") {
		t.Error("a MAC verifies under another key's name")
	}
	if got := during.MACs(AuthCode, "x"); len(got) != 2 || !bytes.Equal(got[0], newMAC) || !bytes.Equal(got[1], oldMAC) {
		t.Errorf("MACs to look a record up by: %x", got)
	}
	for _, none := range [][]byte{nil, {}, oldMAC[:nameSize], oldMAC[:nameSize-1], oldMAC[:len(oldMAC)-1]} {
		if during.Verify(none, AuthCode, "x") {
			t.Errorf("%x verifies", none)
		}
	}
}
