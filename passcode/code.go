package passcode

import "crypto/rand"

// newCode returns n random digits, each as likely as any other. Leading zeros
// stay, and no code is thought too pretty: every filter makes guessing easier.
func newCode(n int) string {
	code := make([]byte, 0, n)
	var buf [16]byte
	for {
		rand.Read(buf[:]) // never fails (crypto/rand)
		for _, b := range buf {
			// 250 is the largest multiple of 10 in a byte; beyond it, 0 to 5 would be likelier.
			if b >= 250 {
				continue
			}
			if code = append(code, '0'+b%10); len(code) == n {
				return string(code)
			}
		}
	}
}
