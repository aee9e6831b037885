package headgatetest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strings"
)

func algorithm(n uint32) func() hash.Hash {
	list := []func() hash.Hash{sha256.New, sha512.New384, sha512.New, sha1.New, md5.New}
	if n >= uint32(len(list)) {
		return nil
	}
	return list[n]
}

func sum(h hash.Hash, data []byte) ([]byte, int32) {
	h.Write(data)
	p := h.Sum(nil)
	return p, int32(len(p))
}

// Hash implements host.Host.
func (f *fake) Hash(a uint32, data []byte) ([]byte, int32) {
	if algorithm(a) == nil {
		return nil, -4
	}
	return sum(algorithm(a)(), data)
}

// HMAC implements host.Host.
func (f *fake) HMAC(a uint32, key, data []byte) ([]byte, int32) {
	if algorithm(a) == nil {
		return nil, -4
	}
	return sum(hmac.New(algorithm(a), key), data)
}

// Equal implements host.Host.
func (f *fake) Equal(a, b []byte) bool { return hmac.Equal(a, b) }

// Random implements host.Host.
func (f *fake) Random(p []byte) { _, _ = rand.Read(p) } // it never fails

func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil
	}
	return gcm
}

// Seal implements host.Host.
func (f *fake) Seal(key, data, extra []byte) ([]byte, int32) {
	gcm := aead(key)
	if gcm == nil {
		return nil, -4
	}
	p := gcm.Seal(nil, nil, data, extra)
	return p, int32(len(p))
}

// Open implements host.Host.
func (f *fake) Open(key, data, extra []byte) ([]byte, int32) {
	gcm := aead(key)
	if gcm == nil {
		return nil, -4
	}
	p, err := gcm.Open(nil, nil, data, extra)
	if err != nil {
		return nil, -1
	}
	return p, int32(len(p))
}

// Token makes a token that VerifyJWS takes in tests, with any keys. Others are not
// authentic.
func Token(algorithm string, payload []byte) string {
	e := base64.RawURLEncoding
	return e.EncodeToString([]byte(`{"alg":"`+algorithm+`"}`)) + "." + e.EncodeToString(payload) + ".dGVzdA"
}

// VerifyJWS implements host.Host.
func (f *fake) VerifyJWS(_, token []byte, algorithms string) ([]byte, int32) {
	parts := bytes.Split(token, []byte("."))
	if len(parts) != 3 || string(parts[2]) != "dGVzdA" {
		return nil, -1
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil {
		return nil, -1
	}
	for a := range strings.SplitSeq(algorithms, ",") {
		if a == "" || Token(a, payload) == string(token) {
			return payload, int32(len(payload))
		}
	}
	return nil, -1
}

// SignJWS implements host.Host.
func (f *fake) SignJWS(_ []byte, algorithm string, payload []byte) ([]byte, int32) {
	p := []byte(Token(algorithm, payload))
	return p, int32(len(p))
}
