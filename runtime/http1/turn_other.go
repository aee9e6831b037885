//go:build !unix

package http1

// turn has nothing to gain where sockets can't be read and written directly.
type turn struct{ held bool }

func (t *turn) begin(*Client) {}

func (t *turn) hold([]byte, bool) bool { return false }

func (t *turn) take([]byte) (int, error) { return 0, nil }
