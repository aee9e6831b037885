//go:build wasip1

package host

import "unsafe"

//go:wasmimport headgate_v1 hash
func hash(algorithm uint32, data unsafe.Pointer, size uint32, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 hmac
func hmac(algorithm uint32, key unsafe.Pointer, keySize uint32, data unsafe.Pointer, size uint32, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 equal
func equal(a unsafe.Pointer, aSize uint32, b unsafe.Pointer, bSize uint32) uint32

//go:wasmimport headgate_v1 random
func random(buf unsafe.Pointer, size uint32)

//go:wasmimport headgate_v1 seal
func seal(key unsafe.Pointer, keySize uint32, data unsafe.Pointer, size uint32, extra unsafe.Pointer, extraSize uint32, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 open
func open(key unsafe.Pointer, keySize uint32, data unsafe.Pointer, size uint32, extra unsafe.Pointer, extraSize uint32, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 jws_verify
func jwsVerify(keys unsafe.Pointer, keysSize uint32, token unsafe.Pointer, size uint32, algorithms string, buf unsafe.Pointer, limit uint32) int32

//go:wasmimport headgate_v1 jws_sign
func jwsSign(key unsafe.Pointer, keySize uint32, algorithm string, payload unsafe.Pointer, size uint32, buf unsafe.Pointer, limit uint32) int32

func at(p []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p))
}

// Hash implements Host.
func (Wasm) Hash(algorithm uint32, data []byte) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		p, n := at(data)
		return hash(algorithm, p, n, buf, limit)
	})
}

// HMAC implements Host.
func (Wasm) HMAC(algorithm uint32, key, data []byte) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		k, kn := at(key)
		p, n := at(data)
		return hmac(algorithm, k, kn, p, n, buf, limit)
	})
}

// Equal implements Host.
func (Wasm) Equal(a, b []byte) bool {
	p, n := at(a)
	q, m := at(b)
	return equal(p, n, q, m) != 0
}

// Random implements Host.
func (Wasm) Random(p []byte) { random(at(p)) }

// Seal implements Host.
func (Wasm) Seal(key, data, extra []byte) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		k, kn := at(key)
		p, n := at(data)
		e, en := at(extra)
		return seal(k, kn, p, n, e, en, buf, limit)
	})
}

// Open implements Host.
func (Wasm) Open(key, data, extra []byte) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		k, kn := at(key)
		p, n := at(data)
		e, en := at(extra)
		return open(k, kn, p, n, e, en, buf, limit)
	})
}

// VerifyJWS implements Host.
func (Wasm) VerifyJWS(keys, token []byte, algorithms string) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		k, kn := at(keys)
		p, n := at(token)
		return jwsVerify(k, kn, p, n, algorithms, buf, limit)
	})
}

// SignJWS implements Host.
func (Wasm) SignJWS(key []byte, algorithm string, payload []byte) ([]byte, int32) {
	return optional(func(buf unsafe.Pointer, limit uint32) int32 {
		k, kn := at(key)
		p, n := at(payload)
		return jwsSign(k, kn, algorithm, p, n, buf, limit)
	})
}
