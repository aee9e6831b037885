package headgate

import (
	"errors"
	"strings"

	"github.com/headgate/headgate/sdk/go/internal/host"
)

// Crypto is cryptography that the gateway does, which is much faster than what a
// WebAssembly module can do.
type Crypto struct{ host host.Host }

// Crypto returns the gateway's cryptography.
func (x *Exchange) Crypto() Crypto { return Crypto{x.host} }

// HashAlgorithm is a hash function.
type HashAlgorithm uint32

// The hash functions. SHA1 and MD5 are for protocols that still name them.
const (
	SHA256 HashAlgorithm = iota
	SHA384
	SHA512
	SHA1
	MD5
)

// The errors of Crypto.
var (
	ErrCryptoInvalid = errors.New("not an algorithm, or not a key of the right kind or size")
	ErrNotAuthentic  = errors.New("not authentic: the signature or the key is another")
)

func cryptoError(n int32) error {
	switch n {
	case -1:
		return ErrNotAuthentic
	case -4:
		return ErrCryptoInvalid
	}
	return nil
}

// Hash returns the hash of data.
func (c Crypto) Hash(a HashAlgorithm, data []byte) ([]byte, error) {
	p, n := c.host.Hash(uint32(a), data)
	return p, cryptoError(n)
}

// HMAC returns the authentication code of data (RFC 2104).
func (c Crypto) HMAC(a HashAlgorithm, key, data []byte) ([]byte, error) {
	p, n := c.host.HMAC(uint32(a), key, data)
	return p, cryptoError(n)
}

// Equal compares secrets in a time that does not tell where they differ.
func (c Crypto) Equal(a, b []byte) bool { return c.host.Equal(a, b) }

// Random returns n bytes that nobody can guess.
func (c Crypto) Random(n int) []byte {
	p := make([]byte, n)
	c.host.Random(p)
	return p
}

// Seal encrypts data by AES-GCM with a key of 16, 24 or 32 bytes and a random
// nonce, which comes first in the result. extra is authenticated too.
func (c Crypto) Seal(key, data, extra []byte) ([]byte, error) {
	p, n := c.host.Seal(key, data, extra)
	return p, cryptoError(n)
}

// Open decrypts what Seal made. The error is ErrNotAuthentic if it did not, with
// this key and extra.
func (c Crypto) Open(key, data, extra []byte) ([]byte, error) {
	p, n := c.host.Open(key, data, extra)
	return p, cryptoError(n)
}

// VerifyJWS returns the payload of a token in compact form (RFC 7515). keys is a
// JWK set, a JWK, or keys in PEM; the gateway remembers what it parsed. Without
// algorithms all with a public key are taken, HS256 and the like only by name. The
// error is ErrNotAuthentic if no key fits. Claims such as exp are not looked at.
func (c Crypto) VerifyJWS(keys []byte, token string, algorithms ...string) ([]byte, error) {
	p, n := c.host.VerifyJWS(keys, []byte(token), strings.Join(algorithms, ","))
	return p, cryptoError(n)
}

// SignJWS makes a token in compact form with a private key, as a JWK or in PEM.
func (c Crypto) SignJWS(key []byte, algorithm string, payload []byte) (string, error) {
	p, n := c.host.SignJWS(key, algorithm, payload)
	return string(p), cryptoError(n)
}
