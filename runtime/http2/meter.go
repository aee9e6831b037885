package http2

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"time"

	"golang.org/x/net/http2"

	"github.com/headgate/headgate/runtime/http1"
)

// meter looks at the frames of a client as they come. The library bounds what
// each may cost; meter bounds how many may come that carry nothing: cancelled
// requests (CVE-2023-44487), settings, pings, priorities and empty parts.
//
// It also bounds the time that the fields of a request may take, for which the
// library has no timeout.
type meter struct {
	net.Conn
	header time.Duration

	skip int // of the preface or of a payload
	head [frameHead]byte
	n    int // of head
	left allowance
	out  resets

	block   bool // fields began, and their end did not come
	since   time.Time
	bounded bool
}

const frameHead = 9

var errFlood = errors.New("the client floods the connection with frames that carry nothing")

func newMeter(nc net.Conn, to *http1.Timeouts) net.Conn {
	header := to.Header
	if header <= 0 {
		header = 10 * time.Second
	}
	m := &meter{Conn: nc, header: header, skip: len(http2.ClientPreface), left: newAllowance()}
	if s, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return secureMeter{m, s}
	}
	return m
}

// secureMeter lets the library see the parameters of TLS.
type secureMeter struct {
	*meter
	state interface{ ConnectionState() tls.ConnectionState }
}

// ConnectionState returns the parameters of TLS.
func (s secureMeter) ConnectionState() tls.ConnectionState { return s.state.ConnectionState() }

// Read implements net.Conn.
func (m *meter) Read(p []byte) (int, error) {
	switch {
	case m.block:
		m.bounded = true
		_ = m.SetReadDeadline(m.since.Add(m.header))
	case m.bounded:
		m.bounded = false
		_ = m.SetReadDeadline(time.Time{})
	}
	n, err := m.Conn.Read(p)
	if n > 0 && !m.scan(p[:n]) {
		m.goAway()
		return 0, errFlood
	}
	return n, err
}

// scan takes note of the frames in p. It returns false if there are too many.
func (m *meter) scan(p []byte) bool {
	for len(p) > 0 {
		if m.skip > 0 {
			n := min(m.skip, len(p))
			m.skip -= n
			p = p[n:]
			continue
		}
		n := copy(m.head[m.n:], p)
		p = p[n:]
		if m.n += n; m.n < frameHead {
			break
		}
		m.n = 0
		if !m.frame() {
			return false
		}
	}
	return true
}

// frame takes note of the frame whose head is complete.
func (m *meter) frame() bool {
	length := int(binary.BigEndian.Uint32(m.head[:4]) >> 8)
	kind, flags := http2.FrameType(m.head[3]), http2.Flags(m.head[4])
	m.skip = length
	if kind == http2.FrameHeaders || kind == http2.FrameContinuation {
		m.fields(flags)
	}
	return m.left.spend(frameCost(kind, flags, length) + m.out.take())
}

// Write implements net.Conn.
func (m *meter) Write(p []byte) (int, error) {
	m.out.scan(p)
	return m.Conn.Write(p)
}

// frameCost is what a frame takes of the allowance of a client. Only those that
// ask for something or bring something give: frames that are not known and
// padding would pay for a flood.
func frameCost(kind http2.FrameType, flags http2.Flags, length int) float64 {
	switch kind {
	case http2.FrameHeaders:
		return -worthContent
	case http2.FrameData:
		most := 0 // of a frame in which nothing need be
		if flags.Has(http2.FlagDataPadded) {
			most = 1 + 255 // the length of the padding, and it
		}
		if length <= most && !flags.Has(http2.FlagDataEndStream) {
			return 1
		}
		return -worthContent
	case http2.FrameWindowUpdate:
		return 0
	}
	return 1
}

func (m *meter) fields(flags http2.Flags) {
	if !m.block {
		m.since = time.Now()
	}
	m.block = !flags.Has(http2.FlagHeadersEndHeaders)
}

// goAway says why, as far as the client still listens: the library does not know.
func (m *meter) goAway() {
	frame := [frameHead + 8]byte{2: 8, 3: byte(http2.FrameGoAway)}
	binary.BigEndian.PutUint32(frame[frameHead+4:], uint32(http2.ErrCodeEnhanceYourCalm))
	_ = m.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = m.Conn.Write(frame[:])
}
