//go:build race

package http1_test

// Under the race detector memory and time say nothing.
const race = true
