package http2

//lint:file-ignore SA1019 the framer has no successor

import (
	"fmt"
	"time"

	"golang.org/x/net/http2"
)

const protocolError = http2.ConnectionError(http2.ErrCodeProtocol)

// frame takes one frame. An error ends the connection.
func (c *ClientConn) frame(f http2.Frame) error {
	c.mu.Lock()
	c.heard = time.Now()
	c.mu.Unlock()
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.headers(f)
	case *http2.DataFrame:
		return c.data(f)
	case *http2.RSTStreamFrame:
		c.reset(f)
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			data := f.Data
			return c.answer(func(fr *http2.Framer) error { return fr.WritePing(true, data) })
		}
	case *http2.GoAwayFrame:
		c.goAway(f)
	case *http2.PushPromiseFrame: // which was turned off
		return protocolError
	}
	return nil
}

// stream returns the stream of a frame, nil if it is over. Streams that never
// were are an error.
func (c *ClientConn) stream(id uint32) (*ClientStream, error) {
	if id%2 == 0 || id >= c.next {
		return nil, protocolError
	}
	return c.streams[id], nil
}

func (c *ClientConn) headers(f *http2.MetaHeadersFrame) error {
	c.mu.Lock()
	s, err := c.stream(f.StreamID)
	if s == nil {
		c.mu.Unlock()
		return err
	}
	code := s.once(s.headers(f))
	c.mu.Unlock()
	return c.refuse(f.StreamID, code)
}

// once returns code the first time that there is one: an upstream that goes on
// gets no reset for each of its frames.
func (s *ClientStream) once(code http2.ErrCode) http2.ErrCode {
	if s.told {
		return http2.ErrCodeNo
	}
	s.told = code != http2.ErrCodeNo
	return code
}

// refuse resets a stream for what the upstream did, if code is one.
func (c *ClientConn) refuse(id uint32, code http2.ErrCode) error {
	if code == http2.ErrCodeNo {
		return nil
	}
	return c.answer(func(fr *http2.Framer) error { return fr.WriteRSTStream(id, code) })
}

func (c *ClientConn) data(f *http2.DataFrame) error {
	size := int(f.Length)
	c.mu.Lock()
	s, err := c.stream(f.StreamID)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	credit := uint32(0)
	if c.owed += size; c.owed >= connWindow/2 {
		credit, c.owed = uint32(c.owed), 0
	}
	code := http2.ErrCodeNo
	if s != nil {
		code = s.once(s.data(f.Data(), size, f.StreamEnded()))
	}
	c.mu.Unlock()
	if credit > 0 {
		if err := c.answer(func(fr *http2.Framer) error { return fr.WriteWindowUpdate(0, credit) }); err != nil {
			return err
		}
	}
	return c.refuse(f.StreamID, code)
}

func (c *ClientConn) reset(f *http2.RSTStreamFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[f.StreamID]
	if s == nil {
		return
	}
	s.wasReset = true
	if f.ErrCode == http2.ErrCodeRefusedStream {
		s.refused = true
		s.fail(errRefused)
		return
	}
	s.fail(fmt.Errorf("%w: %v", errReset, f.ErrCode))
}

func (c *ClientConn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	err := f.ForeachSetting(c.setting)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.answer(func(fr *http2.Framer) error { return fr.WriteSettingsAck() })
}

// setting applies one of the peer's settings. c.mu is held.
func (c *ClientConn) setting(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	switch s.ID {
	case http2.SettingMaxFrameSize:
		c.maxFrame = int(min(s.Val, 64<<10))
	case http2.SettingMaxConcurrentStreams:
		c.maxOpen = int(min(s.Val, 1<<20))
	case http2.SettingHeaderTableSize:
		c.table = min(s.Val, 4096)
	case http2.SettingInitialWindowSize: // RFC 9113 section 6.9.2
		change := int64(s.Val) - c.initial
		c.initial = int64(s.Val)
		for _, st := range c.streams {
			if st.window += change; st.window > 1<<31-1 {
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
			signal(st.room)
		}
	}
	return nil
}

func (c *ClientConn) windowUpdate(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > 1<<31-1 {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		for _, s := range c.streams {
			signal(s.room)
		}
		return nil
	}
	s, err := c.stream(f.StreamID)
	if s == nil {
		return err
	}
	if s.window += int64(f.Increment); s.window > 1<<31-1 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	signal(s.room)
	return nil
}

// goAway ends the streams that the peer did not look at; they may be repeated
// (RFC 9113 section 6.8).
func (c *ClientConn) goAway(f *http2.GoAwayFrame) {
	c.mu.Lock()
	c.leaving = true
	for id, s := range c.streams {
		if id > f.LastStreamID {
			s.refused, s.wasReset = true, true
			s.fail(errRefused)
		}
	}
	unused := c.open == 0
	c.mu.Unlock()
	if unused {
		c.fail(errConnOver)
	}
}

// signal wakes whoever waits, or will.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
