package http1

import (
	"net"
	"syscall"
)

// Beneath is the connection that TLS runs over, best made of the plain socket.
// TLS over it is served as a plain connection is: whole requests within one wait,
// and without reads for nothing. Over any other connection it works too, slower.
type Beneath struct {
	net.Conn
	raw  syscall.RawConn // nil if Conn is not a socket
	out  output
	fd   uintptr // valid while a read must not wait
	fast bool    // reads must not wait

	// The framing of what was read (RFC 8446 section 5.1): TLS may hold whole
	// records that it read together with others, and only counting them tells.
	head    [5]byte
	have    int // bytes of head
	left    int // bytes of the current record to come
	records int // that ended since the last look at it
}

// NewBeneath wraps nc.
func NewBeneath(nc net.Conn) *Beneath {
	b := &Beneath{Conn: nc, raw: rawConn(nc)}
	b.out.begin(nc)
	return b
}

// NetConn returns the connection under this one.
func (b *Beneath) NetConn() net.Conn { return b.Conn }

// Read implements net.Conn.
func (b *Beneath) Read(p []byte) (n int, err error) {
	if b.fast {
		n, err = receive(b.fd, p)
	} else {
		n, err = b.Conn.Read(p)
	}
	if b.raw != nil {
		b.count(p[:n])
	}
	return n, err
}

// Write implements net.Conn.
func (b *Beneath) Write(p []byte) (int, error) {
	n, err := b.out.write(p, nil, nil)
	return int(n), err
}

// CloseWrite ends the sending side of the socket.
func (b *Beneath) CloseWrite() error {
	if c, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return b.Close()
}

// count follows the records through p.
func (b *Beneath) count(p []byte) {
	for len(p) > 0 {
		if b.have < len(b.head) {
			n := copy(b.head[b.have:], p)
			b.have += n
			p = p[n:]
			if b.have < len(b.head) {
				return
			}
			b.left = int(b.head[3])<<8 | int(b.head[4])
		}
		n := min(b.left, len(p))
		b.left -= n
		p = p[n:]
		if b.left == 0 {
			b.have = 0
			b.records++
		}
	}
}

// whole reports whether everything that was read is one record, whole: TLS then
// holds nothing back once it gave that record out.
func (b *Beneath) whole() bool { return b.have == 0 && b.records == 1 }
