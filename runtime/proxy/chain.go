package proxy

import (
	"sync/atomic"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/telemetry"
)

// MaxSteps bounds the filters of one chain.
const MaxSteps = 64

// Step is one filter in a chain, with what the configuration says around it.
type Step struct {
	Name   string
	Filter exchange.Filter
	// When skips both sides of the filter if it is false; nil is always.
	When exchange.Expr
	// Shadow runs the filter on a copy and records what it would have done.
	Shadow bool
	// AllowOnError skips the filter when it fails; otherwise the exchange is
	// answered with 500.
	AllowOnError bool
	Metrics      *telemetry.Filter
	needs        exchange.Needs
}

// Chain is an immutable list of steps that counts the exchanges inside it, so
// that a generation's plugins and policies are let go exactly when the last of
// its exchanges ended.
type Chain struct {
	steps []Step
	needs exchange.Needs

	refs    [shards]shard
	closed  atomic.Bool
	ended   atomic.Bool
	onClose func()
}

// shards spreads the count over cache lines; connections are dealt to them.
const shards = 8

type shard struct {
	n atomic.Int64
	_ [56]byte
}

// NewChain makes a chain of at most MaxSteps steps.
func NewChain(steps []Step) *Chain {
	c := &Chain{steps: steps}
	for i := range c.steps {
		s := &c.steps[i]
		s.needs = s.Filter.Needs()
		c.needs.Request = max(c.needs.Request, s.needs.Request)
		c.needs.Response = max(c.needs.Response, s.needs.Response)
	}
	return c
}

// Steps returns the steps of the chain; they must not be changed.
func (c *Chain) Steps() []Step { return c.steps }

// Close lets no further exchange in and calls onClose, which may be nil, once
// the last one left: at once, or from the goroutine of that exchange.
func (c *Chain) Close(onClose func()) {
	c.onClose = onClose
	c.closed.Store(true)
	c.end()
}

// acquire counts an exchange in. It reports false if the chain is closed; the
// caller then looks its route up in the current table.
func (c *Chain) acquire(shard uint32) bool {
	n := &c.refs[shard%shards].n
	n.Add(1)
	if !c.closed.Load() {
		return true
	}
	n.Add(-1)
	c.end()
	return false
}

func (c *Chain) release(shard uint32) {
	c.refs[shard%shards].n.Add(-1)
	if c.closed.Load() {
		c.end()
	}
}

// end runs onClose if nobody is left. After closed is set, a shard that was
// seen at zero holds no exchange and can gain none: what acquire adds there it
// takes back before it returns.
func (c *Chain) end() {
	for i := range c.refs {
		if c.refs[i].n.Load() != 0 {
			return
		}
	}
	if c.ended.CompareAndSwap(false, true) && c.onClose != nil {
		c.onClose()
	}
}
