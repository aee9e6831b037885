package headgate

import (
	"errors"
	"time"
)

// State is a namespace of what plugins keep in the gateway, for their later
// exchanges and for other plugins. The plugin's allow.state has to name it.
type State struct {
	x         *Exchange
	namespace string
}

// Namespace returns the state of a namespace.
func (x *Exchange) Namespace(name string) State { return State{x, name} }

// The errors of State.
var (
	ErrStateDenied   = errors.New("allow.state does not name the namespace")
	ErrStateTooLarge = errors.New("the key or the value is too large")
	ErrStateInvalid  = errors.New("not a limit that can be kept")
)

func stateError(n int32) error {
	switch n {
	case -2:
		return ErrStateDenied
	case -3:
		return ErrStateTooLarge
	case -4:
		return ErrStateInvalid
	}
	return nil
}

// Get returns the value of a key; ok is false if there is none.
func (s State) Get(key string) (value []byte, ok bool, err error) {
	v, n := s.x.host.StateGet(s.namespace, key)
	if n == -1 {
		return nil, false, nil
	}
	return v, n >= 0, stateError(n)
}

// Set gives a key a value for ttl, to the millisecond; 0: as long as there is room.
func (s State) Set(key string, value []byte, ttl time.Duration) error {
	return stateError(s.x.host.StateSet(s.namespace, key, value, uint32(ttl.Milliseconds())))
}

// Delete forgets a key.
func (s State) Delete(key string) error {
	return stateError(s.x.host.StateDelete(s.namespace, key))
}

// Create is Set for a key without a value. It reports whether it had none, which
// of many that ask at once is true for one.
func (s State) Create(key string, value []byte, ttl time.Duration) (done bool, err error) {
	n := s.x.host.StateSwap(s.namespace, key, nil, true, value, uint32(ttl.Milliseconds()))
	return n == 1, stateError(n)
}

// Swap is Set for a key that has the value old, and reports whether it had.
func (s State) Swap(key string, old, value []byte, ttl time.Duration) (done bool, err error) {
	n := s.x.host.StateSwap(s.namespace, key, old, false, value, uint32(ttl.Milliseconds()))
	return n == 1, stateError(n)
}

// Algorithm is how a Limit counts.
type Algorithm uint32

// The algorithms.
const (
	GCRA          Algorithm = iota // spaces events evenly and lets Burst of them come at once
	FixedWindow                    // windows that begin at multiples of Window
	SlidingWindow                  // the window before counts in part
)

// Limit is a number of events in a span of time.
type Limit struct {
	Algorithm Algorithm
	Events    uint32
	Window    time.Duration // to the millisecond, up to a week
	Burst     uint32        // for GCRA; 0: Events
}

// Taken is what became of an event.
type Taken struct {
	Allowed   bool
	Remaining uint32
	// Wait is when the event would be allowed, Reset when the key is forgotten.
	Wait, Reset time.Duration
}

// Take counts an event of a cost for a key, if the limit allows it.
func (s State) Take(key string, l Limit, cost uint32) (Taken, error) {
	n, remaining, wait, reset := s.x.host.StateTake(s.namespace, key, uint32(l.Algorithm), l.Events, uint32(l.Window.Milliseconds()), l.Burst, cost)
	if err := stateError(n); err != nil {
		return Taken{}, err
	}
	return Taken{n == 1, remaining, time.Duration(wait) * time.Millisecond, time.Duration(reset) * time.Millisecond}, nil
}
