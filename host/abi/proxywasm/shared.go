package proxywasm

import (
	"slices"
	"sync"
)

// Shared is what all guests of one plugin have in common, across instances and
// reloads: data, queues and metrics. It is safe for concurrent use.
type Shared struct {
	mu     sync.Mutex
	data   map[string]datum
	queues []*queue
	size   int // of names and values, in bytes

	metrics []*Metric
}

// NewShared returns an empty one.
func NewShared() *Shared { return &Shared{data: map[string]datum{}} }

const (
	// maxShared bounds names and values of data and queues together, in bytes;
	// entryCost is what each takes besides.
	maxShared = 32 << 20
	entryCost = 128
	// maxQueues and maxMetrics bound their numbers.
	maxQueues  = 256
	maxMetrics = 2048
)

type datum struct {
	value []byte
	cas   uint32 // changes with every value; never 0
}

// queue is a shared queue; its token is its place in Shared.queues, from 1.
type queue struct {
	name   string
	items  [][]byte
	owners []owner
	// news are items that nobody was told of; telling is set while a goroutine does.
	news    int
	telling bool
}

// owner is a root context that is told of items.
type owner struct {
	g *Guest
	r *root
}

func (s *Shared) room(delta int) bool {
	if s.size+delta > maxShared {
		return false
	}
	s.size += delta
	return true
}

func getSharedData(g *Guest, a []uint64) status {
	key, in := g.read(a[0], a[1])
	if !in {
		return invalidMemoryAccess
	}
	sh := g.env.Shared
	sh.mu.Lock()
	d, found := sh.data[string(key)]
	sh.mu.Unlock()
	if !found {
		return notFound
	}
	if s := g.give(a[2], a[3], d.value); s != ok {
		return s
	}
	return g.put(a[4], d.cas)
}

func setSharedData(g *Guest, a []uint64) status {
	key, in := g.read(a[0], a[1])
	value, in2 := g.read(a[2], a[3])
	if !in || !in2 {
		return invalidMemoryAccess
	}
	sh := g.env.Shared
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d, found := sh.data[string(key)]
	if cas := uint32(a[4]); cas != 0 && cas != d.cas {
		return casMismatch
	}
	delta := len(value) - len(d.value)
	if !found {
		delta += len(key) + entryCost
	}
	if !sh.room(delta) {
		return internalFailure
	}
	if d.cas++; d.cas == 0 {
		d.cas = 1
	}
	d.value = slices.Clone(value)
	sh.data[string(key)] = d
	return ok
}

func registerQueue(g *Guest, a []uint64) status {
	name, in := g.read(a[0], a[1])
	if !in {
		return invalidMemoryAccess
	}
	if g.root == nil {
		return badArgument
	}
	sh := g.env.Shared
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := sh.find(string(name))
	if i < 0 {
		if len(sh.queues) == maxQueues || !sh.room(len(name)+entryCost) {
			return internalFailure
		}
		i = len(sh.queues)
		sh.queues = append(sh.queues, &queue{name: string(name)})
	}
	q := sh.queues[i]
	if o := (owner{g, g.root}); !slices.Contains(q.owners, o) {
		q.owners = append(q.owners, o)
	}
	return g.put(a[2], uint32(i+1))
}

func (s *Shared) find(name string) int {
	return slices.IndexFunc(s.queues, func(q *queue) bool { return q.name == name })
}

func resolveQueue(g *Guest, a []uint64) status {
	name, in := g.read(a[2], a[3])
	if _, in2 := g.read(a[0], a[1]); !in || !in2 {
		return invalidMemoryAccess
	}
	sh := g.env.Shared
	sh.mu.Lock()
	i := sh.find(string(name))
	sh.mu.Unlock()
	if i < 0 {
		return notFound
	}
	return g.put(a[4], uint32(i+1))
}

func (s *Shared) queue(token uint64) *queue {
	if i := uint64(uint32(token)); i >= 1 && i <= uint64(len(s.queues)) {
		return s.queues[i-1]
	}
	return nil
}

func enqueue(g *Guest, a []uint64) status {
	p, in := g.read(a[1], a[2])
	if !in {
		return invalidMemoryAccess
	}
	sh := g.env.Shared
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := sh.queue(a[0])
	if q == nil {
		return notFound
	}
	if !sh.room(len(p) + entryCost) {
		return internalFailure
	}
	q.items = append(q.items, slices.Clone(p))
	if q.news++; !q.telling {
		q.telling = true
		go sh.tell(q, uint32(a[0]))
	}
	return ok
}

// tell calls an owner of a queue once for each item: as in Envoy, the one that
// registered last.
func (s *Shared) tell(q *queue, token uint32) {
	for {
		s.mu.Lock()
		n := len(q.owners)
		if q.news == 0 || n == 0 {
			q.news, q.telling = 0, false
			s.mu.Unlock()
			return
		}
		q.news--
		o := q.owners[n-1]
		s.mu.Unlock()
		o.g.ready(o.r, token)
	}
}

func dequeue(g *Guest, a []uint64) status {
	sh := g.env.Shared
	sh.mu.Lock()
	q := sh.queue(a[0])
	if q == nil || len(q.items) == 0 {
		sh.mu.Unlock()
		if q == nil {
			return notFound
		}
		return empty
	}
	p := q.items[0]
	q.items = slices.Delete(q.items, 0, 1)
	sh.size -= len(p) + entryCost
	sh.mu.Unlock()
	return g.give(a[1], a[2], p)
}

// ready tells a root context of an item in its queue.
func (g *Guest) ready(r *root, token uint32) {
	if !g.enter() {
		return
	}
	g.about(r, nil, stageNone)
	_, err := g.call(g.on.queueReady, uint64(r.id), uint64(token))
	_ = g.entry.Leave(err) // logged and counted
}

// leave forgets a guest that is gone.
func (s *Shared) leave(g *Guest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		q.owners = slices.DeleteFunc(q.owners, func(o owner) bool { return o.g == g })
	}
}
