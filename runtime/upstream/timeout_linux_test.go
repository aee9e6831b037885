package upstream

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// full listens and never accepts: once its queue is full, nobody answers those
// who connect.
func full(t *testing.T) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for range 8 {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the queue of connections does not get full")
	return ""
}

func TestConnectTimeout(t *testing.T) {
	_, e := endpoint(t, registry(t), Config{ConnectTimeout: 150 * time.Millisecond}, full(t))
	start := time.Now()
	_, _, err := e.Acquire(t.Context(), false)
	d := time.Since(start)
	if !errors.Is(err, os.ErrDeadlineExceeded) && !isTimeout(err) || d < 100*time.Millisecond || d > 3*time.Second {
		t.Errorf("%v after %v", err, d)
	}
	if i := e.info(); i.Errors.Connect != 1 || i.Active != 0 {
		t.Errorf("%+v", i)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
