package sms

import (
	"bytes"
	"testing"
)

func TestSecretsBase64(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"-_8B", "+/8B", " +/8B\n"} {
		if got, err := decodeBase64(s); err != nil || !bytes.Equal(got, []byte{0xfb, 0xff, 0x01}) {
			t.Errorf("decodeBase64(%q) = %x, %v", s, got, err)
		}
	}
	for _, s := range []string{"-w", "-w==", "+w==", "+w"} {
		if got, err := decodeBase64(s); err != nil || !bytes.Equal(got, []byte{0xfb}) {
			t.Errorf("decodeBase64(%q) = %x, %v", s, got, err)
		}
	}
	for _, s := range []string{"not base64!", "a"} {
		if _, err := decodeBase64(s); err == nil {
			t.Errorf("decodeBase64(%q) succeeds", s)
		}
	}
}
