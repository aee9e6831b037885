package native

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
)

// hashTime is what hashing and encrypting take, in nanoseconds for each byte.
const hashTime = 3

// algorithm returns a hash function by its number. SHA-1 and MD5 are there for
// protocols that still name them, as WebSocket handshakes and Content-MD5 do.
func algorithm(n uint32) func() hash.Hash {
	switch n {
	case 0:
		return sha256.New
	case 1:
		return sha512.New384
	case 2:
		return sha512.New
	case 3:
		return sha1.New
	case 4:
		return md5.New
	}
	return nil
}

// digest implements headgate_v1's hash.
func digest(g *Guest, stack []uint64) {
	const name = "hash"
	data := g.bytes(name, "data", uint32(stack[1]), uint32(stack[2]))
	g.Spend(hashTime * int64(len(data)))
	if uint32(stack[0]) == 0 {
		sum := sha256.Sum256(data) // the one that is used most, without allocation
		stack[0] = g.put(name, "buf", uint32(stack[3]), uint32(stack[4]), sum[:])
		return
	}
	a := algorithm(uint32(stack[0]))
	if a == nil {
		stack[0] = result(invalid)
		return
	}
	h := a()
	h.Write(data)
	stack[0] = g.put(name, "buf", uint32(stack[3]), uint32(stack[4]), h.Sum(g.scratch[:0]))
}

// authenticate implements headgate_v1's hmac.
func authenticate(g *Guest, stack []uint64) {
	const name = "hmac"
	a := algorithm(uint32(stack[0]))
	key := g.bytes(name, "key", uint32(stack[1]), uint32(stack[2]))
	data := g.bytes(name, "data", uint32(stack[3]), uint32(stack[4]))
	g.Spend(hashTime * int64(len(key)+len(data)))
	if a == nil {
		stack[0] = result(invalid)
		return
	}
	h := hmac.New(a, key)
	h.Write(data)
	stack[0] = g.put(name, "buf", uint32(stack[5]), uint32(stack[6]), h.Sum(g.scratch[:0]))
}

// equal implements headgate_v1's equal, whose time does not depend on where the
// two differ.
func equal(g *Guest, stack []uint64) {
	a := g.bytes("equal", "a", uint32(stack[0]), uint32(stack[1]))
	b := g.bytes("equal", "b", uint32(stack[2]), uint32(stack[3]))
	stack[0] = uint64(subtle.ConstantTimeCompare(a, b))
}

// random implements headgate_v1's random.
func random(g *Guest, stack []uint64) {
	p := g.bytes("random", "buf", uint32(stack[0]), uint32(stack[1]))
	g.Spend(hashTime * int64(len(p)))
	_, _ = rand.Read(p) // it never fails
}

// aead makes AES-GCM of a key of 16, 24 or 32 bytes.
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

// seal implements headgate_v1's seal: AES-GCM with a random nonce, which comes
// first in the result.
func seal(g *Guest, stack []uint64) {
	const name = "seal"
	gcm := aead(g.bytes(name, "key", uint32(stack[0]), uint32(stack[1])))
	data := g.bytes(name, "data", uint32(stack[2]), uint32(stack[3]))
	extra := g.bytes(name, "extra", uint32(stack[4]), uint32(stack[5]))
	g.Spend(hashTime * int64(len(data)+len(extra)))
	if gcm == nil {
		stack[0] = result(invalid)
		return
	}
	size := uint64(len(data) + gcm.Overhead())
	if size > uint64(uint32(stack[7])) {
		stack[0] = size // no nonce is spent on what nobody sees
		return
	}
	// The result may overlap what it is made of, which the cipher does not allow.
	stack[0] = g.put(name, "buf", uint32(stack[6]), uint32(stack[7]), gcm.Seal(nil, nil, data, extra))
}

// unseal implements headgate_v1's open.
func unseal(g *Guest, stack []uint64) {
	const name = "open"
	gcm := aead(g.bytes(name, "key", uint32(stack[0]), uint32(stack[1])))
	data := g.bytes(name, "data", uint32(stack[2]), uint32(stack[3]))
	extra := g.bytes(name, "extra", uint32(stack[4]), uint32(stack[5]))
	g.Spend(hashTime * int64(len(data)+len(extra)))
	if gcm == nil {
		stack[0] = result(invalid)
		return
	}
	p, err := gcm.Open(nil, nil, data, extra)
	if err != nil {
		stack[0] = result(absent)
		return
	}
	stack[0] = g.put(name, "buf", uint32(stack[6]), uint32(stack[7]), p)
}
