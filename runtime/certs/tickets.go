package certs

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"sync"
	"time"
)

// A new key for session tickets is made this often, and so many are kept: a
// session can be resumed for a day, and who steals the memory of the process
// reads no TLS 1.2 session that is older.
const (
	ticketPeriod = 4 * time.Hour
	ticketKeys   = 6
)

// ring is the secrets behind the session tickets of all listeners, the newest
// first. Listeners don't share keys: each derives its own, see tickets.
type ring struct {
	mu      sync.Mutex
	secrets [][32]byte
	made    time.Time // when the newest was
}

// turn makes a new secret if it is time to, and tells whether it did.
func (r *ring) turn(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.secrets) > 0 && now.Sub(r.made) < ticketPeriod {
		return false
	}
	var s [32]byte
	_, _ = rand.Read(s[:]) // never fails
	r.secrets = append([][32]byte{s}, r.secrets[:min(len(r.secrets), ticketKeys-1)]...)
	r.made = now
	return true
}

// tickets makes the keys of one listener.
type tickets struct {
	ring     *ring
	listener string
}

// keys returns the keys, the one to seal with first. A session carries what the
// client proved, so it is good for the same listener only, and the same demands
// on clients.
func (t *tickets) keys(auth tls.ClientAuthType, authorities [sha256.Size]byte) [][32]byte {
	t.ring.mu.Lock()
	defer t.ring.mu.Unlock()
	out := make([][32]byte, len(t.ring.secrets))
	for i := range out {
		h := hmac.New(sha256.New, t.ring.secrets[i][:])
		_, _ = h.Write([]byte{byte(auth)})
		_, _ = h.Write(authorities[:])
		_, _ = h.Write([]byte(t.listener))
		h.Sum(out[i][:0])
	}
	return out
}
