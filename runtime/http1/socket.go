package http1

import (
	"net"
	"syscall"
)

// below returns the socket under a TLS connection, and nc itself otherwise.
func below(nc net.Conn) net.Conn {
	for {
		t, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = t.NetConn()
	}
}

// rawConn returns access to the descriptor of nc, nil if nc is not a socket.
// Only the plain types count: a wrapper that embeds one may hold bytes back.
func rawConn(nc net.Conn) syscall.RawConn {
	var sc syscall.Conn
	switch t := nc.(type) {
	case *net.TCPConn:
		sc = t
	case *net.UnixConn:
		sc = t
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// look is what a glance at a socket shows.
type look uint8

const (
	lookQuiet look = iota // open, and nothing to read
	lookBytes             // bytes to read
	lookEnded             // closed or reset by the peer
)

// peeker looks at a socket without waiting and without taking bytes. It works
// beside a read and under any deadline.
type peeker struct {
	raw  syscall.RawConn
	fn   func(fd uintptr) // made once: a closure per look would be garbage
	seen look
}

func (p *peeker) begin(raw syscall.RawConn) {
	p.raw = raw
	if p.fn == nil {
		p.fn = func(fd uintptr) { p.seen = peek(fd) }
	}
}

func (p *peeker) look() look {
	if p.raw == nil {
		return lookQuiet
	}
	p.seen = lookQuiet
	if p.raw.Control(p.fn) != nil {
		return lookEnded
	}
	return p.seen
}
