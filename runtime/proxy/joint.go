package proxy

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// joint is the state that the two directions of a tunnel share.
type joint struct{ moved atomic.Int64 }

// copy moves bytes from src to dst, in the kernel where both are sockets, until
// src ends, either breaks, or neither direction moved for idle. It returns the
// bytes moved.
func (j *joint) copy(dst, src net.Conn, idle time.Duration) int64 {
	var total int64
	for {
		before := j.moved.Load()
		if src.SetReadDeadline(time.Now().Add(idle)) != nil {
			return total
		}
		n, err := io.Copy(dst, src)
		total += n
		j.moved.Add(n)
		switch {
		case err == nil:
			halfClose(dst)
			return total
		case isTimeout(err) && j.moved.Load() != before:
			continue
		}
		// Broken or idle: wake the other direction too.
		dst.Close()
		src.Close()
		return total
	}
}
