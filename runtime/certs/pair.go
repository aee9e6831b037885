package certs

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

const pemCertificate = "CERTIFICATE"

// ReadPair reads a chain in PEM, the certificate of the server first, and its
// private key. certErr tells what is wrong with the first file, keyErr what is
// wrong with the second or that it does not go with the first; neither names the
// file, nor holds anything of the key.
func ReadPair(certFile, keyFile string) (pair tls.Certificate, certErr, keyErr error) {
	chain, certErr := readChain(certFile)
	key, keyErr := readKey(keyFile)
	if certErr != nil || keyErr != nil {
		return tls.Certificate{}, certErr, keyErr
	}
	pair = tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	for i, c := range chain {
		switch {
		case !belongs(key, c):
		case i > 0:
			return tls.Certificate{}, fmt.Errorf("the private key is that of certificate %d in the file: the certificate of the server comes first, then those that lead to its authority", i+1), nil
		default:
			return pair, nil, nil
		}
	}
	return tls.Certificate{}, nil, errOtherKey
}

var errOtherKey = errors.New("the private key is that of another certificate")

// belongs reports whether key is that of c.
func belongs(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

func readChain(path string) ([]*x509.Certificate, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		if b.Type != pemCertificate {
			continue // some keep the key in the same file
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the file: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errNoCertificate(text)
	}
	return chain, nil
}

// minRSA is the least size of an RSA key that clients still take (RFC 9325
// section 4.5).
const minRSA = 2048

func readKey(path string) (crypto.Signer, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var other string
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the private key is encrypted, and there is nobody to ask for its passphrase; openssl pkey -in OLD -out NEW decrypts it")
		case b.Type == "PRIVATE KEY" || strings.HasSuffix(b.Type, " PRIVATE KEY"):
			return parseKey(b.Bytes)
		case other == "":
			other = b.Type
		}
	}
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New("the file is empty")
	case other != "":
		return nil, fmt.Errorf("there is no private key in it, but a PEM block %q", other)
	}
	return nil, errors.New("there is no PEM block in it: the file should begin with -----BEGIN PRIVATE KEY-----")
}

// parseKey takes PKCS #8, PKCS #1 and SEC 1. The errors of the standard library
// are left out: they would tell three times what the file is not.
func parseKey(der []byte) (crypto.Signer, error) {
	var key any
	var err error
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(b []byte) (any, error) { return x509.ParsePKCS1PrivateKey(b) },
		func(b []byte) (any, error) { return x509.ParseECPrivateKey(b) },
	} {
		if key, err = parse(der); err == nil {
			break
		}
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("the private key can't be read: RSA, ECDSA and Ed25519 keys in PKCS #8, PKCS #1 or SEC 1 can")
	}
	if r, ok := key.(*rsa.PrivateKey); ok && r.N.BitLen() < minRSA {
		return nil, fmt.Errorf("the RSA key has %d bits; clients take %d and more", r.N.BitLen(), minRSA)
	}
	return signer, nil
}

// maxFile bounds a file of certificates.
const maxFile = 4 << 20

// readFile reads a file that the configuration names. The error leaves the path
// out: who shows it says which file it is.
func readFile(path string) ([]byte, error) {
	st, err := os.Stat(path) // to open a named pipe would wait for its other end
	switch {
	case err != nil:
		return nil, unreadable(err)
	case !st.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case st.Size() > maxFile:
		return nil, fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(err)
	}
	return text, nil
}

func unreadable(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("it can't be read: %w", err)
}
