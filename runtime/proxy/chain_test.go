package proxy

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

// TestChainEndsOnce closes chains under traffic: no exchange is inside once
// onClose ran, and it runs exactly once.
func TestChainEndsOnce(t *testing.T) {
	for range 200 {
		c := NewChain(nil)
		var inside, ended atomic.Int64
		var wg sync.WaitGroup
		for shard := range uint32(4) {
			wg.Go(func() {
				for c.acquire(shard) {
					inside.Add(1)
					if ended.Load() != 0 {
						t.Error("an exchange is inside an ended chain")
					}
					inside.Add(-1)
					c.release(shard)
				}
			})
		}
		c.Close(func() {
			if n := inside.Load(); n != 0 {
				t.Errorf("ended with %d exchanges inside", n)
			}
			ended.Add(1)
		})
		wg.Wait()
		if n := ended.Load(); n != 1 {
			t.Fatalf("ended %d times", n)
		}
	}
}

func TestChainWaitsForTheLastExchange(t *testing.T) {
	c := NewChain(nil)
	if !c.acquire(3) || !c.acquire(12) {
		t.Fatal("an open chain refuses")
	}
	ended := false
	c.Close(func() { ended = true })
	c.release(3)
	if ended {
		t.Fatal("ended with an exchange inside")
	}
	if c.acquire(1) {
		t.Fatal("a closed chain lets an exchange in")
	}
	c.release(12)
	if !ended {
		t.Error("the last exchange left and nothing happened")
	}
}

func BenchmarkChain(b *testing.B) {
	c := NewChain([]Step{{Filter: nothing{}}})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.acquire(1)
			c.release(1)
		}
	})
}

type nothing struct{}

func (nothing) Needs() exchange.Needs                        { return exchange.Needs{} }
func (nothing) Request(*exchange.Exchange) exchange.Verdict  { return exchange.Continue }
func (nothing) Response(*exchange.Exchange) exchange.Verdict { return exchange.Continue }
func (nothing) Done(*exchange.Exchange)                      {}
