package sms

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority is a certificate authority of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.key = newKey(t)
	der := a.sign(template, template, a.key)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.pem = cert, toPEM("CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (a *authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// server returns key and certificate for a name or address, as the SMSC takes them.
func (a *authority) server(host string, notAfter time.Time) map[string]string {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: notAfter.Add(-2 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return map[string]string{"key": toPEM("PRIVATE KEY", der), "cert": toPEM("CERTIFICATE", a.sign(template, a.cert, key))}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func TestSMPPOverTLS(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	later := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		tls   map[string]string
		roots *x509.CertPool
		want  string
	}{
		"our authority":     {ca.server("127.0.0.1", later), ca.pool(), ""},
		"another authority": {ca.server("127.0.0.1", later), other.pool(), "EPROTO"},
		"the system's":      {ca.server("127.0.0.1", later), nil, "EPROTO"},
		"another name":      {ca.server("smsc.example", later), ca.pool(), "EPROTO"},
		"expired":           {ca.server("127.0.0.1", time.Now().Add(-time.Minute)), ca.pool(), "EPROTO"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newSMSC(t, c.tls, nil)
			sender, _ := server.client(t, func(s *SMPPConfig) {
				s.InsecurePlain, s.RootCAs, s.Backoff = false, c.roots, time.Hour
			})
			if c.want != "" {
				checkFailure(t, try(t.Context(), t, sender), Error{Kind: KindUnreachable, Code: c.want})
				checkFailure(t, sender.Reach(t.Context()), Error{Kind: KindUnreachable, Code: c.want})
				if n := len(server.got("bind_transceiver")); n != 0 {
					t.Error("it told its password")
				}
				return
			}
			if err := sender.Reach(t.Context()); err != nil {
				t.Error(err)
			}
			if err := try(t.Context(), t, sender); err != nil {
				t.Error(err)
			}
			if n := len(server.got("bind_transceiver")); n != 1 {
				t.Errorf("bound %d times", n)
			}
		})
	}
}

// An SMSC without TLS gets no word of ours in clear.
func TestSMPPOverTLSToAPlainServer(t *testing.T) {
	t.Parallel()
	server := newSMSC(t, nil, nil)
	sender, _ := server.client(t, func(s *SMPPConfig) { s.InsecurePlain = false })
	if err := AsError(try(t.Context(), t, sender)); err.Kind != KindUnreachable {
		t.Errorf("Send: %v", err)
	}
	if n := len(server.got("bind_transceiver")); n != 0 {
		t.Error("it told its password")
	}
}

// A server of TLS that is spoken to in clear hangs up, or says nothing.
func TestSMPPInClearToATLSServer(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	server := newSMSC(t, ca.server("127.0.0.1", time.Now().Add(time.Hour)), nil)
	sender, _ := server.client(t, nil)
	if err := AsError(try(t.Context(), t, sender)); err.Kind != KindUnreachable {
		t.Errorf("Send: %v", err)
	}
}
