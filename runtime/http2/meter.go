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

	skip   int // of the preface or of a payload
	head   [frameHead]byte
	n      int // of head
	credit float64
	filled time.Time

	block   bool // fields began, and their end did not come
	since   time.Time
	bounded bool
}

const (
	frameHead = 9
	// meterBurst is how many frames without content may come at once.
	meterBurst = 2000
	// meterRate more of them may come per second, and one for every two frames
	// that have content: half the requests of a busy client may be cancelled.
	meterRate    = 200
	meterContent = 0.5
)

var errFlood = errors.New("the client floods the connection with frames that carry nothing")

func newMeter(nc net.Conn, to *http1.Timeouts) net.Conn {
	header := to.Header
	if header <= 0 {
		header = 10 * time.Second
	}
	m := &meter{Conn: nc, header: header, skip: len(http2.ClientPreface), credit: meterBurst, filled: time.Now()}
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
	const priorityUpdate = 0x10
	cost := -meterContent
	switch kind {
	case http2.FrameHeaders:
		m.fields(flags)
	case http2.FrameContinuation:
		m.fields(flags)
		cost = 1
	case http2.FrameData:
		if length == 0 && !flags.Has(http2.FlagDataEndStream) {
			cost = 1
		}
	case http2.FrameWindowUpdate:
		cost = 0
	case http2.FrameRSTStream, http2.FrameSettings, http2.FramePing, http2.FramePriority, priorityUpdate:
		cost = 1
	}
	m.credit = min(m.credit-cost, meterBurst)
	if m.credit >= 0 {
		return true
	}
	now := time.Now()
	m.credit += now.Sub(m.filled).Seconds() * meterRate
	m.filled = now
	return m.credit >= 0
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
	_, _ = m.Write(frame[:])
}
