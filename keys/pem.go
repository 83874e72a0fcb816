package keys

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	minBits = 2048
	// maxBits bounds what one signature may cost: an RSA-8192 one takes some 50
	// times as long as an RSA-2048 one.
	maxBits    = 8192
	maxPEMFile = 64 << 10
)

// file is a private key of the configured folder.
type file struct {
	name    string
	changed time.Time
	mode    os.FileMode
	key     crypto.Signer
}

// signs reports whether one of the files has a key for the algorithm.
func signs(files []file, alg Algorithm) bool {
	return slices.ContainsFunc(files, func(f file) bool { return algorithmOf(f.key.Public()) == alg })
}

// readDir returns the keys of the folder's *.pem files, the newest first; of
// files of one age, as a mounted secret has them, the last name comes first.
// Its errors name the file and never quote it.
func readDir(dir string) ([]file, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("keys folder: %w", err)
	}
	var files []file
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || filepath.Ext(e.Name()) != ".pem" {
			continue
		}
		f, err := readFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(b.changed.Compare(a.changed), cmp.Compare(b.name, a.name))
	})
	return files, nil
}

func readFile(name string) (file, error) {
	f, err := os.Open(name)
	if err != nil {
		return file{}, fmt.Errorf("keys folder: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file{}, fmt.Errorf("keys folder: %w", err)
	}
	if !info.Mode().IsRegular() {
		return file{}, fmt.Errorf("%s: is not a regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPEMFile+1))
	if err != nil {
		return file{}, fmt.Errorf("keys folder: %w", err)
	}
	key, err := parsePEM(text)
	if err != nil {
		return file{}, fmt.Errorf("%s: %w", name, err)
	}
	return file{name: name, changed: info.ModTime(), mode: info.Mode(), key: key}, nil
}

// parsePEM reads one private key: RSA as PKCS#1 or PKCS#8, P-256 as SEC 1 or
// PKCS#8. Its errors say what the text is instead and never quote it: x509's own
// errors are left out, too.
func parsePEM(text []byte) (crypto.Signer, error) {
	if len(text) > maxPEMFile {
		return nil, fmt.Errorf("is longer than %d bytes, which no private key is", maxPEMFile)
	}
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam writes it first
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("holds no PEM block; make a key with: openssl genrsa -out key.pem 2048")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("holds more than one PEM block; put each private key into a file of its own")
	}
	key, err := parseBlock(block)
	if err != nil {
		return nil, err
	}
	return key, checkKey(key)
}

func parseBlock(block *pem.Block) (crypto.Signer, error) {
	// The header is all that RFC 1421 encryption leaves to see.
	if bytes.Contains([]byte(block.Headers["Proc-Type"]), []byte("ENCRYPTED")) || block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, errors.New("is encrypted with a passphrase; decrypt it with: openssl pkey -in FILE -out key.pem")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is not a sound PKCS#1 RSA private key")
		}
		return key, nil
	case "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is not a sound SEC 1 private key")
		}
		return key, nil
	case "PRIVATE KEY":
		return parsePKCS8(block.Bytes)
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return nil, fmt.Errorf("holds a %s, and signing needs the private key", strings.ToLower(block.Type))
	}
	return nil, errors.New(`is not an RSA or P-256 private key ("RSA PRIVATE KEY", "EC PRIVATE KEY" or "PRIVATE KEY")`)
}

func parsePKCS8(der []byte) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("is not a sound PKCS#8 private key")
	}
	switch key := parsed.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	}
	return nil, errors.New("is neither an RSA nor a P-256 key; tokens are signed with RS256 or ES256")
}

func checkKey(key crypto.Signer) error {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		switch bits := key.N.BitLen(); {
		case bits < minBits:
			return fmt.Errorf("is an RSA key of %d bits; at least %d are needed", bits, minBits)
		case bits > maxBits:
			return fmt.Errorf("is an RSA key of %d bits; at most %d are sensible", bits, maxBits)
		}
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return fmt.Errorf("is a key on the curve %s; ES256 needs P-256", key.Curve.Params().Name)
		}
	}
	return nil
}
