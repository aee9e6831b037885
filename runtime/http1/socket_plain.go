//go:build unix && (!linux || race)

package http1

import (
	"io"
	"syscall"
)

// receive reads into p; errAgain if nothing is there.
func receive(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case err == nil && n == 0 && len(p) > 0:
			return 0, io.EOF
		case err == syscall.EAGAIN:
			return 0, errAgain
		case err != syscall.EINTR:
			return max(n, 0), err
		}
	}
}

// transmit writes the first of p, q and r that is not empty, or the first part
// of it, and returns how much; errAgain if the socket takes nothing.
func transmit(fd uintptr, p, q, r []byte) (int, error) {
	if len(p) == 0 {
		if p = q; len(p) == 0 {
			p = r
		}
	}
	for {
		n, err := syscall.Write(int(fd), p)
		switch err {
		case nil:
			return n, nil
		case syscall.EAGAIN:
			return 0, errAgain
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}
