package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// storage keeps what one certificate needs over a restart: the account at a
// directory, which certificates share, and the pair. What is written is there as
// a whole or not at all.
type storage struct {
	dir  string // of the ACME directory
	pair string // a file: the key and then the chain, so that they can't differ
}

func newStorage(a *ACME) storage {
	host := "unnamed"
	if u, err := url.Parse(a.Directory); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	domains := slices.Sorted(slices.Values(a.Domains))
	dir := filepath.Join(a.Storage, distinct(host, a.Directory))
	return storage{dir: dir, pair: filepath.Join(dir, distinct(domains[0], strings.Join(domains, " "))+".pem")}
}

// distinct is a name for people with what tells it from others.
func distinct(label, of string) string {
	sum := sha256.Sum256([]byte(of))
	return label + "-" + hex.EncodeToString(sum[:6])
}

// account returns the key of the account, which it makes if there is none.
func (s storage) account() (crypto.Signer, error) {
	path := filepath.Join(s.dir, "account.key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = newKeyText(); err != nil {
			return nil, err
		}
		// Link fails if another process was faster; its account is ours then.
		if err = s.write(path, text, os.Link); errors.Is(err, fs.ErrExist) {
			text, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the key of the account: %w", err)
	}
	key, err := parseKeyText(text)
	if err != nil {
		return nil, fmt.Errorf("the key of the account: %s: %w", path, err)
	}
	return key, nil
}

func newKeyText() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return keyText(key)
}

func keyText(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseKeyText(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("there is no PEM block in it")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T can't sign", key)
	}
	return signer, nil
}

// load returns the pair; an error that is fs.ErrNotExist if there is none.
func (s storage) load() (tls.Certificate, error) {
	text, err := os.ReadFile(s.pair)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", s.pair, err)
	}
	return pair, nil
}

// save keeps a pair in place of the one before.
func (s storage) save(key crypto.Signer, chain [][]byte) error {
	text, err := keyText(key)
	if err != nil {
		return err
	}
	for _, der := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return s.write(s.pair, text, os.Rename)
}

// write puts text at path by way of a temporary file, which place moves or links.
// The directory is synced too: a machine that stops must not forget a
// certificate, because the next order counts towards the server's limits.
func (s storage) write(path string, text []byte, place func(from, to string) error) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// errBusy is returned while another process obtains the same certificate.
var errBusy = errors.New("another process is about to obtain the certificate")

// lock makes this process the only one that obtains the certificate, until
// unlock or its end. It doesn't wait.
func (s storage) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.pair+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
