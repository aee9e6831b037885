package state

import (
	"bytes"
	"hash/maphash"
	"sync"
	"time"
)

// Bounds of what Keys keeps.
const (
	keyShards = 64
	// keyBytes bounds keys and values, each counting keyCost more.
	keyBytes = 64 << 20
	keyCost  = 128
	// MaxKey and MaxValue bound one of them.
	MaxKey   = 1 << 10
	MaxValue = 256 << 10
)

// Keys keeps values by namespace and key in this process. It is bounded: when it
// is full, those that expire soonest go. It is safe for concurrent use.
type Keys struct {
	seed   maphash.Seed
	shards [keyShards]keyShard
}

type keyShard struct {
	mu    sync.Mutex
	kept  map[nameKey]kept
	bytes int
}

type nameKey struct{ namespace, key string }

type kept struct {
	value   []byte
	expires int64 // 0: never
}

func (k nameKey) cost(value []byte) int { return len(k.namespace) + len(k.key) + len(value) + keyCost }

// NewKeys returns a store that keeps nothing yet.
func NewKeys() *Keys {
	k := &Keys{seed: maphash.MakeSeed()}
	for i := range k.shards {
		k.shards[i].kept = map[nameKey]kept{}
	}
	return k
}

func (k *Keys) shard(n nameKey) *keyShard {
	return &k.shards[maphash.Comparable(k.seed, n)%keyShards]
}

// Get returns the value of a key, which must not be changed.
func (k *Keys) Get(namespace, key string, now time.Time) (value []byte, ok bool) {
	n := nameKey{namespace, key}
	s := k.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.get(n, now.UnixNano())
	return v.value, ok
}

// Set gives a key a value, which then belongs to the store, for ttl; 0: until it
// has to make room. It reports whether that is allowed: MaxKey and MaxValue bound
// it.
func (k *Keys) Set(namespace, key string, value []byte, ttl time.Duration, now time.Time) bool {
	if len(key) > MaxKey || len(value) > MaxValue {
		return false
	}
	n := nameKey{namespace, key}
	s := k.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(n, value, ttl, now.UnixNano())
	return true
}

// Delete forgets a key, and reports whether it had a value.
func (k *Keys) Delete(namespace, key string, now time.Time) bool {
	n := nameKey{namespace, key}
	s := k.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.get(n, now.UnixNano())
	s.drop(n)
	return ok
}

// Swap is Set if the value is old, or if there is none and absent is set. done
// reports whether it was.
func (k *Keys) Swap(namespace, key string, old []byte, absent bool, value []byte, ttl time.Duration, now time.Time) (done, allowed bool) {
	if len(key) > MaxKey || len(value) > MaxValue {
		return false, false
	}
	n := nameKey{namespace, key}
	s := k.shard(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.get(n, now.UnixNano())
	if ok == absent || ok && !bytes.Equal(v.value, old) {
		return false, true
	}
	s.set(n, value, ttl, now.UnixNano())
	return true, true
}

// get returns what is kept and has not expired. s.mu is held.
func (s *keyShard) get(n nameKey, now int64) (kept, bool) {
	v, ok := s.kept[n]
	if ok && v.expires != 0 && v.expires <= now {
		s.drop(n)
		return kept{}, false
	}
	return v, ok
}

func (s *keyShard) drop(n nameKey) {
	if v, ok := s.kept[n]; ok {
		s.bytes -= n.cost(v.value)
		delete(s.kept, n)
	}
}

func (s *keyShard) set(n nameKey, value []byte, ttl time.Duration, now int64) {
	s.drop(n)
	v := kept{value: value}
	if ttl > 0 {
		v.expires = now + int64(ttl)
	}
	s.bytes += n.cost(value)
	for s.bytes > keyBytes/keyShards && len(s.kept) > 0 {
		s.evict(now)
	}
	s.kept[n] = v
}

// evict makes room: what has expired among a few keys, which a map yields in
// random order, or else the one that expires first; one that never does is last.
func (s *keyShard) evict(now int64) {
	var first nameKey
	soonest, seen, freed := int64(0), 0, false
	for n, v := range s.kept {
		switch {
		case v.expires != 0 && v.expires <= now:
			s.drop(n)
			freed = true
		case seen == 0, v.expires != 0 && (soonest == 0 || v.expires < soonest):
			first, soonest = n, v.expires
		}
		if seen++; seen == evictAmong {
			break
		}
	}
	if !freed {
		s.drop(first)
	}
}
