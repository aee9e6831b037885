package http2

//lint:file-ignore SA1019 the framer has no successor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/headgate/headgate/runtime/http1"
)

const (
	// streamWindow is how many bytes of a response may wait for their client.
	streamWindow = 256 << 10
	// connWindow is credited when bytes arrive, not when they are taken: a client
	// that reads slowly holds its own stream up, and no other.
	connWindow = 16 << 20
	// firstWindow is what a connection starts with (RFC 9113 section 6.9.2).
	firstWindow = 65535
	// streamsUntilTold is assumed before the peer's SETTINGS.
	streamsUntilTold = 100
	// stuckAfter ends a connection whose peer takes no bytes.
	stuckAfter = 30 * time.Second
	// maxControl bounds the answers to the peer's control frames, in bytes.
	maxControl = 64 << 10
)

var (
	errRefused  = errors.New("the upstream did not take the request")
	errConnOver = errors.New("the connection to the upstream is over")
	errReset    = errors.New("the upstream reset the stream")
	errGivenUp  = errors.New("the request was given up")
	errMessage  = errors.New("the upstream's response is malformed")
)

// ClientConn is a connection to an upstream that many requests share. It is safe
// for concurrent use.
type ClientConn struct {
	nc     net.Conn
	scheme string
	lim    http1.Limits
	framer *http2.Framer // reads in the loop, writes under writing
	source *headSource   // of the loop that reads

	writing sync.Mutex
	out     *bufio.Writer
	block   bytes.Buffer
	enc     *hpack.Encoder

	// Frames that answer the peer's. The loop that reads must not wait for a
	// socket that is full, so whoever writes next sends them.
	controlling sync.Mutex
	control     bytes.Buffer
	answers     *http2.Framer

	mu       sync.Mutex
	streams  map[uint32]*ClientStream
	open     int // streams, and those that got no number yet
	next     uint32
	window   int64 // for DATA of all streams
	initial  int64 // window of a stream
	maxFrame int
	maxOpen  int
	table    uint32 // the peer's limit for enc
	owed     int    // of connWindow
	heard    time.Time
	used     time.Time
	leaving  bool // takes no new streams
	err      error

	left  allowance    // of the loop that reads
	asked atomic.Int64 // frames with a request, which left has not been given for
}

// NewClientConn speaks HTTP/2 over nc, which it then owns. The scheme is that of
// all requests.
func NewClientConn(nc net.Conn, scheme string, lim http1.Limits) *ClientConn {
	if lim.MaxHeaderBytes <= 0 {
		lim.MaxHeaderBytes = 64 << 10
	}
	if lim.MaxHeaders <= 0 {
		lim.MaxHeaders = 128
	}
	c := &ClientConn{
		nc: nc, scheme: scheme, lim: lim, out: bufio.NewWriterSize(nc, 16<<10), streams: map[uint32]*ClientStream{}, next: 1,
		window: firstWindow, initial: firstWindow, maxFrame: 16 << 10, maxOpen: streamsUntilTold, table: 4096,
		heard: time.Now(), used: time.Now(), left: newAllowance(),
	}
	c.enc = hpack.NewEncoder(&c.block)
	c.answers = http2.NewFramer(&c.control, nil)
	c.source = &headSource{Reader: nc}
	c.framer = http2.NewFramer(c.out, bufio.NewReaderSize(c.source, 16<<10))
	c.framer.SetMaxReadFrameSize(16 << 10)
	c.framer.SetReuseFrames()
	c.framer.MaxHeaderListSize = uint32(lim.MaxHeaderBytes)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	// These leave with the first request; errors show then.
	_, _ = c.out.WriteString(http2.ClientPreface)
	_ = c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(lim.MaxHeaderBytes)},
	)
	_ = c.framer.WriteWindowUpdate(0, connWindow-firstWindow)
	go c.read()
	return c
}

// Open returns a stream for one request, nil if the connection takes no more.
func (c *ClientConn) Open() *ClientStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.leaving || c.open >= c.maxOpen || c.next > 1<<30 {
		return nil
	}
	c.open++
	return &ClientStream{c: c, arrived: make(chan struct{}, 1), room: make(chan struct{}, 1), credit: streamWindow}
}

// Over reports whether the connection takes no request any more.
func (c *ClientConn) Over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil || c.leaving || c.next > 1<<30
}

// Idle returns since when no request uses the connection; ok is false if one
// does.
func (c *ClientConn) Idle() (since time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used, c.open == 0
}

// Leave closes the connection when its last request ends.
func (c *ClientConn) Leave() {
	c.mu.Lock()
	c.leaving = true
	unused := c.open == 0
	c.mu.Unlock()
	if unused {
		c.fail(errConnOver)
	}
}

// begin gives s its number. writing is held, so that numbers go up on the wire.
func (c *ClientConn) begin(s *ClientStream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case c.err != nil:
		return c.err
	case c.leaving:
		return errConnOver
	}
	c.asked.Add(1)
	s.id, s.window, s.began = c.next, c.initial, time.Now()
	c.next += 2
	c.streams[s.id] = s
	c.enc.SetMaxDynamicTableSizeLimit(c.table)
	return nil
}

// done forgets s, which is closed. c.mu is held.
func (c *ClientConn) done(s *ClientStream) (last bool) {
	delete(c.streams, s.id)
	c.open--
	c.used = time.Now()
	return c.leaving && c.open == 0
}

// fail ends the connection and every stream.
func (c *ClientConn) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	for _, s := range c.streams {
		s.fail(c.err)
	}
	c.mu.Unlock()
	c.nc.Close()
}

// flush sends what was written, and what is to be answered. writing is held, and
// released.
func (c *ClientConn) flush(err error) error {
	for {
		c.controlling.Lock()
		_, _ = c.control.WriteTo(c.out)
		c.controlling.Unlock()
		if err == nil {
			_ = c.nc.SetWriteDeadline(time.Now().Add(stuckAfter))
			err = c.out.Flush()
		}
		c.writing.Unlock()
		if err != nil {
			err = fmt.Errorf("%w: %w", errConnOver, err)
			c.fail(err)
			return err
		}
		// What came in between, and found the lock held.
		if !c.answering() || !c.writing.TryLock() {
			return nil
		}
	}
}

func (c *ClientConn) answering() bool {
	c.controlling.Lock()
	defer c.controlling.Unlock()
	return c.control.Len() > 0
}

// answer queues a control frame, and sends it if nobody writes.
func (c *ClientConn) answer(write func(*http2.Framer) error) error {
	c.controlling.Lock()
	err := write(c.answers)
	if c.control.Len() > maxControl {
		err = errors.New("the upstream sends control frames and reads no answers")
	}
	c.controlling.Unlock()
	if err == nil && c.writing.TryLock() {
		err = c.flush(nil)
	}
	return err
}

// headSource bounds what is read for one frame, or for one head with all its
// CONTINUATION frames, which may be empty and without end.
type headSource struct {
	io.Reader
	left int
}

// Read implements io.Reader.
func (r *headSource) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	n, err := r.Reader.Read(p)
	r.left -= n
	return n, err
}

// read takes frames until the connection ends.
func (c *ClientConn) read() {
	for {
		c.source.left = 2*c.lim.MaxHeaderBytes + 64<<10
		f, err := c.framer.ReadFrame()
		var stream http2.StreamError
		if errors.As(err, &stream) {
			c.mu.Lock()
			if s := c.streams[stream.StreamID]; s != nil {
				s.wasReset = true
				s.fail(fmt.Errorf("%w: %w", errMessage, err))
			}
			c.mu.Unlock()
			err = c.answer(func(fr *http2.Framer) error { return fr.WriteRSTStream(stream.StreamID, stream.Code) })
		} else if err == nil {
			err = c.frame(f)
		}
		if err == nil && !c.afford(f) {
			err = http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
		}
		if err == nil {
			continue
		}
		var code http2.ConnectionError
		if errors.As(err, &code) {
			_ = c.answer(func(fr *http2.Framer) error { return fr.WriteGoAway(0, http2.ErrCode(code), nil) })
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		c.fail(fmt.Errorf("%w: %w", errConnOver, err))
		return
	}
}
