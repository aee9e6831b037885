package upstream

import (
	"fmt"
	"slices"
	"strings"
)

// UnknownError means that there is no upstream or endpoint of that name.
type UnknownError struct {
	What, Name string   // what was looked for: "upstream" or "endpoint"
	Known      []string // those that exist, sorted
}

func (e *UnknownError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("There is no %s %q, nor any other.", e.What, e.Name)
	}
	return fmt.Sprintf("There is no %s %q. There is: %s.", e.What, e.Name, strings.Join(e.Known, ", "))
}

// Drain takes an endpoint out: it gets no new requests, and those at it end
// undisturbed. With on false it comes back. It is out as long as its address
// stays in the upstream, whatever is reloaded. The error is an *UnknownError.
func (r *Registry) Drain(upstream, address string, on bool) error {
	r.mu.Lock()
	s := r.standings[standingKey{upstream, address}]
	if s == nil {
		err := r.unknown(upstream, address)
		r.mu.Unlock()
		return err
	}
	r.mu.Unlock()
	why := "asked for by the admin API"
	if r.bar(s, barredDrained, on, why) {
		r.report(s, barredDrained, on, why)
	}
	return nil
}

// unknown says what there is instead. r.mu is held.
func (r *Registry) unknown(upstream, address string) error {
	var upstreams, addresses []string
	for name := range r.watches {
		upstreams = append(upstreams, name)
	}
	for k := range r.standings {
		if k.upstream == upstream {
			addresses = append(addresses, k.address)
		}
	}
	slices.Sort(upstreams)
	slices.Sort(addresses)
	if _, ok := r.watches[upstream]; !ok {
		return &UnknownError{What: "upstream", Name: upstream, Known: upstreams}
	}
	return &UnknownError{What: "endpoint", Name: address, Known: addresses}
}
