//go:build linux && !race

package http1

import (
	"io"
	"syscall"
	"unsafe"
)

// Reads and writes of sockets that don't wait. They go around the scheduler's
// bookkeeping for system calls, which costs as much as a short call itself: a
// socket that does not block can't keep a thread. The race detector needs that
// bookkeeping, so that under it socket_unix.go takes their place.

// receive reads into p; errAgain if nothing is there.
func receive(fd uintptr, p []byte) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		switch {
		case e == 0 && n == 0 && len(p) > 0:
			return 0, io.EOF
		case e == 0:
			return int(n), nil
		case e == syscall.EAGAIN:
			return 0, errAgain
		case e != syscall.EINTR:
			return 0, e
		}
	}
}

// transmit writes the concatenation of p, q and r, or the first part of it, and
// returns how much; errAgain if the socket takes nothing.
func transmit(fd uintptr, p, q, r []byte) (int, error) {
	for {
		var n uintptr
		var e syscall.Errno
		if len(q)+len(r) == 0 {
			n, _, e = syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
		} else {
			vec := [3]syscall.Iovec{{Base: unsafe.SliceData(p)}, {Base: unsafe.SliceData(q)}, {Base: unsafe.SliceData(r)}}
			vec[0].SetLen(len(p))
			vec[1].SetLen(len(q))
			vec[2].SetLen(len(r))
			n, _, e = syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vec)), 3)
		}
		switch e {
		case 0:
			return int(n), nil
		case syscall.EAGAIN:
			return 0, errAgain
		case syscall.EINTR:
		default:
			return 0, e
		}
	}
}
