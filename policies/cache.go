package policies

import (
	"hash/maphash"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Bounds of what one policy remembers.
const (
	cacheShards  = 16
	cacheEntries = 16 << 10
	cacheBytes   = 16 << 20
	// maxEntry is the largest key with its decision that is kept. It keeps one
	// client with large bodies from pushing everybody else out.
	maxEntry = 16 << 10
	// entryCost is what an entry takes beside its texts.
	entryCost = 256
)

// outcome is what an evaluation came to, in the form that is applied to
// exchanges. Many exchanges may share one: it is never changed.
type outcome struct {
	decision
	undefined bool
	result    ast.Value // for the decision log; nil if undefined
	// size is roughly what the texts of it take.
	size int
}

// cache remembers outcomes by the exact input values that led to them. It is
// sharded, and each shard forgets what was not used for longest. It belongs to
// one revision of the policy and its data, and dies with it.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu      sync.Mutex
	entries map[string]*cacheEntry
	bytes   int
	// root closes the ring of entries: next is the newest, prev the oldest.
	root cacheEntry
	_    [64]byte // shards are not on one cache line
}

type cacheEntry struct {
	key        string
	out        *outcome
	next, prev *cacheEntry
}

func newCache() *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.entries = map[string]*cacheEntry{}
		s.root.next, s.root.prev = &s.root, &s.root
	}
	return c
}

func (c *cache) shard(key []byte) *cacheShard {
	return &c.shards[maphash.Bytes(c.seed, key)%cacheShards]
}

// get returns the outcome for a key, nil if there is none.
func (c *cache) get(key []byte) *outcome {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[string(key)]
	if e == nil {
		return nil
	}
	if s.root.next != e {
		e.unlink()
		s.front(e)
	}
	return e.out
}

// put remembers the outcome for a key, which is copied.
func (c *cache) put(key []byte, out *outcome) {
	if len(key)+out.size > maxEntry {
		return
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[string(key)] != nil {
		return // another exchange was faster, with the same outcome
	}
	e := &cacheEntry{key: string(key), out: out}
	s.entries[e.key] = e
	s.front(e)
	s.bytes += e.cost()
	for s.bytes > cacheBytes/cacheShards || len(s.entries) > cacheEntries/cacheShards {
		old := s.root.prev
		old.unlink()
		delete(s.entries, old.key)
		s.bytes -= old.cost()
	}
}

func (s *cacheShard) front(e *cacheEntry) {
	e.prev, e.next = &s.root, s.root.next
	e.prev.next, e.next.prev = e, e
}

func (e *cacheEntry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (e *cacheEntry) cost() int { return entryCost + len(e.key) + e.out.size }

// sizeOf is roughly the memory of a value, for the bound of the cache.
func sizeOf(v ast.Value) int {
	n := 0
	ast.WalkTerms(ast.NewTerm(v), func(t *ast.Term) bool {
		n += 48
		switch v := t.Value.(type) {
		case ast.String:
			n += len(v)
		case ast.Number:
			n += len(v)
		}
		return false
	})
	return n
}
