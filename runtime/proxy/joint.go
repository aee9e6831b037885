package proxy

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// joint is the state that the two directions of a tunnel share.
type joint struct {
	moved atomic.Int64 // when a byte was last seen to move, Unix nanoseconds
}

// copy moves bytes from src to dst, in the kernel where both are sockets, until
// src ends, either breaks, or neither direction moved for idle. It returns the
// bytes moved.
func (j *joint) copy(dst, src net.Conn, idle time.Duration) int64 {
	// A direction tells at the end of a turn that it moved. So the other one has
	// to look back by a turn more than idle.
	turn := idle / 4
	j.moved.Store(time.Now().UnixNano())
	var total int64
	for {
		if src.SetReadDeadline(time.Now().Add(turn)) != nil {
			return total
		}
		n, err := io.Copy(dst, src)
		total += n
		now := time.Now().UnixNano()
		if n > 0 {
			j.moved.Store(now)
		}
		switch {
		case err == nil:
			halfClose(dst)
			return total
		case isTimeout(err) && now-j.moved.Load() < int64(idle+turn):
			continue
		}
		// Broken or idle: wake the other direction too.
		dst.Close()
		src.Close()
		return total
	}
}

// first writes what was read of a tunnel before it was one.
func first(dst net.Conn, p []byte, idle time.Duration) error {
	if len(p) == 0 {
		return nil
	}
	if err := dst.SetWriteDeadline(time.Now().Add(idle)); err != nil {
		return err
	}
	if _, err := dst.Write(p); err != nil {
		return err
	}
	return dst.SetWriteDeadline(time.Time{})
}
