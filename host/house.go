package host

import "time"

// housekeep is the period of what is done for all pools now and then.
const housekeep = 15 * time.Second

// ticker calls a function now and then until it is closed.
type ticker struct{ stop, stopped chan struct{} }

func newTicker(f func()) *ticker {
	t := &ticker{stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(t.stopped)
		tick := time.NewTicker(housekeep)
		defer tick.Stop()
		for {
			select {
			case <-t.stop:
				return
			case <-tick.C:
				f()
			}
		}
	}()
	return t
}

func (t *ticker) close() {
	close(t.stop)
	<-t.stopped
}
