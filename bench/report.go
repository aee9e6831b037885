//go:build linux

package main

import (
	"errors"
	"slices"
	"time"
)

// report is what the side that makes the load tells.
type report struct {
	requests int64
	rate     float64 // per second
	p50, p99 time.Duration
}

// newReport sums up the times that requests took within one duration.
func newReport(times []time.Duration, duration time.Duration) (report, error) {
	if len(times) == 0 {
		return report{}, errors.New("no answer at all")
	}
	slices.Sort(times)
	return report{
		requests: int64(len(times)), rate: float64(len(times)) / duration.Seconds(),
		p50: times[len(times)/2], p99: times[len(times)*99/100],
	}, nil
}
