package golden

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Cost is what one exchange of a file takes, on average.
type Cost struct {
	Exchange string  `json:"exchange"` // its first line
	Runs     int     `json:"runs"`
	Nanos    float64 `json:"ns"`
	// Fuel is about the number of instructions.
	Fuel float64 `json:"fuel"`
	// Memory is that of the instance afterwards, in bytes.
	Memory int64 `json:"memory"`
}

// minRuns are made even if they take longer than asked for.
const minRuns = 10

// Bench plays each exchange of a file for about as long as given. The state and
// the instance stay from one run to the next.
func (p *Player) Bench(ctx context.Context, f *File, span time.Duration) (costs []Cost, err error) {
	w := p.newWorld(f.started())
	w.discard = true
	p.now.Store(w)
	for _, e := range f.state {
		w.Set(e.namespace, e.key, []byte(e.value), 0)
	}
	filter, err := p.filter(ctx, f)
	if err != nil {
		return nil, err
	}
	if len(f.exchanges) == 0 {
		return nil, errors.New("the file has no request")
	}
	name := fmt.Sprintf("plugin-%d", p.played)
	for i, s := range f.exchanges {
		w.clock.Store(&s.clock)
		c := Cost{Exchange: s.request.start}
		_, before := p.used(name)
		start := time.Now()
		for c.Runs < minRuns || time.Since(start) < span {
			w.begin(s, f)
			r := run{filter: filter, scene: s, buffer: f.buffer(), x: newExchange(ctx, i+1, s.clock)}
			r.play()
			filter.Done(r.x)
			r.x.Forget()
			c.Runs++
		}
		c.Nanos = float64(time.Since(start)) / float64(c.Runs)
		memory, fuel := p.used(name)
		c.Fuel, c.Memory = float64(fuel-before)/float64(c.Runs), memory
		costs = append(costs, c)
	}
	return costs, nil
}

// used returns the memory and the fuel of a plugin.
func (p *Player) used(name string) (memory, fuel int64) {
	for _, s := range p.host.Stats() {
		if s.Name == name {
			return s.Memory, s.Fuel
		}
	}
	return 0, 0
}
