package source

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
)

// Key verifies signatures of images.
type Key struct{ public crypto.PublicKey }

// ParseKey reads the PEM of a public key, as "cosign generate-key-pair" writes
// it: ECDSA, RSA or Ed25519 (RFC 5280 section 4.1.2.7).
func ParseKey(text []byte) (*Key, error) {
	b, rest := pem.Decode(text)
	if b == nil || b.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New(`it is not one PEM block "PUBLIC KEY"`)
	}
	public, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		return nil, errors.New("it holds no key that can be read")
	}
	switch public.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey:
		return &Key{public}, nil
	}
	return nil, errors.New("keys are of ECDSA, RSA or Ed25519")
}

// signature is a statement about an image and who stands by it.
type signature struct {
	Payload   []byte `json:"payload"`
	Signature []byte `json:"signature"`
}

// statement is the part of a payload that matters ("simple signing" of
// containers/image, as cosign uses it).
type statement struct {
	Critical struct {
		Type  string `json:"type"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
	} `json:"critical"`
}

// verifies reports whether one of the signatures is the key's for the image
// with one of the digests.
func (k *Key) verifies(list []signature, digests ...string) bool {
	for _, s := range list {
		var about statement
		if !k.signed(s) || json.Unmarshal(s.Payload, &about) != nil || about.Critical.Type != "cosign container image signature" {
			continue
		}
		for _, d := range digests {
			if d != "" && about.Critical.Image.Digest == d {
				return true
			}
		}
	}
	return false
}

func (k *Key) signed(s signature) bool {
	sum := sha256.Sum256(s.Payload)
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(p, sum[:], s.Signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, sum[:], s.Signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(p, s.Payload, s.Signature)
	}
	return false
}
