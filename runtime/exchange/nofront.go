package exchange

import "net"

// NoFront is the Front of an exchange without a client: what is sent to it goes
// nowhere.
type NoFront struct{}

// Inform implements Front.
func (NoFront) Inform(int, *Head) error { return nil }

// WriteHead implements Front.
func (NoFront) WriteHead() error { return nil }

// Write implements Front.
func (NoFront) Write([]byte, bool) error { return nil }

// Flush implements Front.
func (NoFront) Flush() error { return nil }

// End implements Front.
func (NoFront) End(*Head) error { return nil }

// Reset implements Front.
func (NoFront) Reset(ResetCode) {}

// StopBody implements Front.
func (NoFront) StopBody() {}

// Gone implements Front.
func (NoFront) Gone() bool { return false }

// Tunnel implements Front.
func (NoFront) Tunnel() (net.Conn, []byte, bool) { return nil, nil, false }
