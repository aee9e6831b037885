//go:build !unix

package http1

import (
	"errors"
	"syscall"
)

// Without a way to look at a socket, peers are found to be gone when they are
// read or written.
func peek(uintptr) look { return lookQuiet }

type sender struct{ raw syscall.RawConn }

func (s *sender) send(p, q, r []byte) (int, error) { return 0, nil }

type waiter struct{ inner bool }

func (c *serverConn) wait() (err error, ok bool) { return nil, false }

func receive(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
