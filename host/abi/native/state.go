package native

import (
	"encoding/binary"
	"time"
)

// State keeps what plugins share with each other and with their later exchanges,
// by namespace and key.
type State interface {
	Get(namespace, key string) (value []byte, ok bool)
	// Set and Swap take value over. allowed is false if it, or the key, is too large.
	Set(namespace, key string, value []byte, ttl time.Duration) (allowed bool)
	Delete(namespace, key string) (had bool)
	Swap(namespace, key string, old []byte, absent bool, value []byte, ttl time.Duration) (done, allowed bool)
	// Take counts an event. ok is false if there is no such limit.
	Take(namespace, key string, r Rate) (t Taken, ok bool)
}

// Rate is a limit and what an event costs of it. Algorithm is 0 for GCRA, 1 for
// fixed and 2 for sliding windows.
type Rate struct {
	Algorithm           int
	Events, Burst, Cost int64
	Window              time.Duration
}

// Taken is what became of an event.
type Taken struct {
	Allowed     bool
	Remaining   int64
	Wait, Reset time.Duration
}

// What functions of state return when they can't do what they are asked.
const (
	stateAbsent  = -1 // there is no value
	stateDenied  = -2 // allow.state does not name the namespace
	stateLarge   = -3
	stateInvalid = -4
	// stateNone as the length of an old value stands for its absence.
	stateNone = 1<<32 - 1
)

// names reads a namespace and a key. ok is false if the namespace is not granted.
func (g *Guest) names(function string, stack []uint64) (namespace, key string, ok bool) {
	ns := g.bytes(function, "namespace", uint32(stack[0]), uint32(stack[1]))
	if g.env.State == nil || !g.env.Namespaces[string(ns)] {
		g.env.Denials.Add()
		return "", "", false
	}
	return string(ns), g.text(function, "key", uint32(stack[2]), uint32(stack[3])), true
}

func milliseconds(n uint64) time.Duration { return time.Duration(uint32(n)) * time.Millisecond }

// stateGet implements headgate_v1's state_get.
func stateGet(g *Guest, stack []uint64) {
	const name = "state_get"
	ns, key, ok := g.names(name, stack)
	if !ok {
		stack[0] = result(stateDenied)
		return
	}
	v, ok := g.env.State.Get(ns, key)
	if !ok {
		stack[0] = result(stateAbsent)
		return
	}
	stack[0] = g.put(name, "buf", uint32(stack[4]), uint32(stack[5]), v)
}

// stateSet implements headgate_v1's state_set.
func stateSet(g *Guest, stack []uint64) {
	const name = "state_set"
	ns, key, ok := g.names(name, stack)
	if !ok {
		stack[0] = result(stateDenied)
		return
	}
	value := []byte(g.text(name, "value", uint32(stack[4]), uint32(stack[5])))
	if !g.env.State.Set(ns, key, value, milliseconds(stack[6])) {
		stack[0] = result(stateLarge)
		return
	}
	stack[0] = 0
}

// stateDelete implements headgate_v1's state_delete.
func stateDelete(g *Guest, stack []uint64) {
	ns, key, ok := g.names("state_delete", stack)
	if !ok {
		stack[0] = result(stateDenied)
		return
	}
	stack[0] = 0
	if g.env.State.Delete(ns, key) {
		stack[0] = 1
	}
}

// stateSwap implements headgate_v1's state_swap.
func stateSwap(g *Guest, stack []uint64) {
	const name = "state_swap"
	ns, key, ok := g.names(name, stack)
	if !ok {
		stack[0] = result(stateDenied)
		return
	}
	absent := uint32(stack[5]) == stateNone
	var old []byte
	if !absent {
		old = g.bytes(name, "old", uint32(stack[4]), uint32(stack[5]))
	}
	value := []byte(g.text(name, "value", uint32(stack[6]), uint32(stack[7])))
	done, allowed := g.env.State.Swap(ns, key, old, absent, value, milliseconds(stack[8]))
	switch {
	case !allowed:
		stack[0] = result(stateLarge)
	case done:
		stack[0] = 1
	default:
		stack[0] = 0
	}
}

// stateTake implements headgate_v1's state_take. It writes three numbers of 32
// bits, little-endian: what remains, and the milliseconds to wait and until there
// is nothing left to remember, rounded up.
func stateTake(g *Guest, stack []uint64) {
	const name = "state_take"
	ns, key, ok := g.names(name, stack)
	if !ok {
		stack[0] = result(stateDenied)
		return
	}
	out := g.bytes(name, "out", uint32(stack[9]), 12)
	t, ok := g.env.State.Take(ns, key, Rate{
		Algorithm: int(uint32(stack[4])), Events: int64(uint32(stack[5])), Window: milliseconds(stack[6]),
		Burst: int64(uint32(stack[7])), Cost: int64(uint32(stack[8])),
	})
	if !ok {
		stack[0] = result(stateInvalid)
		return
	}
	for i, n := range []int64{t.Remaining, ceilMS(t.Wait), ceilMS(t.Reset)} {
		binary.LittleEndian.PutUint32(out[4*i:], uint32(min(max(n, 0), 1<<32-1)))
	}
	stack[0] = 0
	if t.Allowed {
		stack[0] = 1
	}
}

func ceilMS(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
