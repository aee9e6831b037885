package native

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/headgate/headgate/runtime/exchange"
)

const (
	maxToken   = 64 << 10
	maxKeys    = 256 << 10 // bytes of a key set
	maxKeySets = 64        // of one plugin, parsed
	maxModulus = 1 << 10   // bytes of an RSA key
	// maxTries bounds how many keys may fit a token.
	maxTries = 16
	// jwsTime is what a signature takes, in nanoseconds, and more.
	jwsTime = 1_000_000
)

// KeySets keeps the key sets that guests of one plugin name, so that they are
// parsed once. Its zero value is ready.
type KeySets struct {
	mu     sync.Mutex
	parsed map[string]jwk.Set
}

// get returns the keys of a JWK set, a JWK or PEM blocks, or nil.
func (k *KeySets) get(text []byte) jwk.Set {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.parsed[string(text)]; s != nil {
		return s
	}
	if len(text) > maxKeys || !shallow(text) {
		return nil
	}
	s, err := jwk.Parse(text, jwk.WithPEM(bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----"))))
	if err != nil || s.Len() == 0 || !moderate(s) {
		return nil
	}
	if k.parsed == nil || len(k.parsed) >= maxKeySets {
		k.parsed = map[string]jwk.Set{} // whoever makes so many has no use for the old ones
	}
	k.parsed[string(text)] = s
	return s
}

// moderate reports whether no key takes long to use.
func moderate(s jwk.Set) bool {
	for i := range s.Len() {
		key, _ := s.Key(i)
		rsa, ok := key.(interface{ N() ([]byte, bool) })
		if !ok {
			continue
		}
		if n, _ := rsa.N(); len(n) > maxModulus {
			return false
		}
	}
	return true
}

// tokenHeader is what matters of the header of a token (RFC 7515 section 4.1).
type tokenHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Critical  json.RawMessage `json:"crit"`
}

// jwsVerify implements headgate_v1's jws_verify: the payload of a token in compact
// form whose signature is that of one of the keys, by one of the algorithms.
func jwsVerify(g *Guest, stack []uint64) {
	const name = "jws_verify"
	keys := g.bytes(name, "keys", uint32(stack[0]), uint32(stack[1]))
	token := g.bytes(name, "token", uint32(stack[2]), uint32(stack[3]))
	algorithms := exchange.String(g.bytes(name, "algorithms", uint32(stack[4]), uint32(stack[5])))
	set := g.env.Keys.get(keys)
	if set == nil || len(algorithms) > maxPath {
		stack[0] = result(invalid)
		return
	}
	g.Spend(jwsTime)
	payload, ok := verify(set, bytes.Clone(token), algorithms)
	if !ok {
		stack[0] = result(absent)
		return
	}
	stack[0] = g.put(name, "buf", uint32(stack[6]), uint32(stack[7]), payload)
}

func verify(set jwk.Set, token []byte, algorithms string) ([]byte, bool) {
	head, _, _ := bytes.Cut(token, []byte("."))
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(head))
	if err != nil || len(token) > maxToken || bytes.Count(token, []byte(".")) != 2 {
		return nil, false
	}
	var h tokenHeader
	if !shallow(raw) || json.Unmarshal(raw, &h) != nil || h.Critical != nil || !permitted(h.Algorithm, algorithms) {
		return nil, false
	}
	alg, known := jwa.LookupSignatureAlgorithm(h.Algorithm)
	if !known {
		return nil, false
	}
	tries := 0
	for i := range set.Len() {
		key, _ := set.Key(i)
		if !fits(key, h) {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if payload, err := jws.Verify(token, jws.WithKey(alg, key)); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// permitted reports whether a plugin takes an algorithm. Without a list these are
// the ones with a public key: a list that has both kinds would let whoever knows
// the public key sign with it.
func permitted(alg, algorithms string) bool {
	if alg == "" || strings.EqualFold(alg, "none") {
		return false
	}
	if algorithms == "" {
		return !strings.HasPrefix(alg, "HS")
	}
	for a := range strings.SplitSeq(algorithms, ",") {
		if strings.TrimSpace(a) == alg {
			return true
		}
	}
	return false
}

// fits reports whether a key may have signed a token with this header.
func fits(key jwk.Key, h tokenHeader) bool {
	if id, ok := key.KeyID(); ok && id != "" && h.KeyID != "" && id != h.KeyID {
		return false
	}
	if use, ok := key.KeyUsage(); ok && use != "" && use != "sig" {
		return false
	}
	a, ok := key.Algorithm()
	if ok && a.String() != "" && a.String() != h.Algorithm {
		return false
	}
	if e, ok := key.(interface {
		Crv() (jwa.EllipticCurveAlgorithm, bool)
	}); ok && strings.HasPrefix(h.Algorithm, "ES") {
		curve, _ := e.Crv() // RFC 7518 section 3.4: one for each algorithm
		return curveOf(h.Algorithm) == curve.String()
	}
	return (key.KeyType() == jwa.OctetSeq()) == strings.HasPrefix(h.Algorithm, "HS")
}

func curveOf(algorithm string) string {
	switch algorithm {
	case "ES256":
		return "P-256"
	case "ES384":
		return "P-384"
	case "ES512":
		return "P-521"
	}
	return ""
}

// jwsSign implements headgate_v1's jws_sign: a token in compact form.
func jwsSign(g *Guest, stack []uint64) {
	const name = "jws_sign"
	set := g.env.Keys.get(g.bytes(name, "key", uint32(stack[0]), uint32(stack[1])))
	alg, known := jwa.LookupSignatureAlgorithm(g.text(name, "algorithm", uint32(stack[2]), uint32(stack[3])))
	payload := bytes.Clone(g.bytes(name, "payload", uint32(stack[4]), uint32(stack[5])))
	if set == nil || set.Len() != 1 || !known || alg == jwa.NoSignature() || len(payload) > maxToken {
		stack[0] = result(invalid)
		return
	}
	g.Spend(jwsTime)
	key, _ := set.Key(0)
	if !fits(key, tokenHeader{Algorithm: alg.String()}) {
		stack[0] = result(invalid)
		return
	}
	token, err := jws.Sign(payload, jws.WithKey(alg, key))
	if err != nil {
		stack[0] = result(invalid)
		return
	}
	stack[0] = g.put(name, "buf", uint32(stack[6]), uint32(stack[7]), token)
}
