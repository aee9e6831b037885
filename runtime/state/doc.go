// Package state is what outlives a request and a configuration: counters that
// limit rates. It is kept in this process.
package state
