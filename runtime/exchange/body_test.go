package exchange_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

// parts is a body that yields its parts one by one from one buffer, as a
// connection does.
type parts struct {
	list []string
	buf  [64]byte
	late bool // io.EOF comes in a call of its own
	err  error
}

func (p *parts) Ready() bool { return true }

func (p *parts) Next() ([]byte, error) {
	if len(p.list) == 0 {
		if p.err != nil {
			return nil, p.err
		}
		return nil, io.EOF
	}
	n := copy(p.buf[:], p.list[0])
	p.list = p.list[1:]
	if len(p.list) == 0 && !p.late && p.err == nil {
		return p.buf[:n], io.EOF
	}
	return p.buf[:n], nil
}

func drain(t *testing.T, b exchange.Body) string {
	t.Helper()
	var s strings.Builder
	for b != nil {
		p, err := b.Next()
		s.Write(p)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s.String()
}

func TestReadAhead(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name     string
		body     *parts
		limit    int64
		buffered string
		whole    bool
		err      error
		rest     string
	}{
		{"one read", &parts{list: []string{"hello"}}, 10, "hello", true, nil, "hello"},
		{"several reads", &parts{list: []string{"he", "l", "lo"}}, 10, "hello", true, nil, "hello"},
		{"late end", &parts{list: []string{"he", "llo"}, late: true}, 10, "hello", true, nil, "hello"},
		{"exactly the limit", &parts{list: []string{"he", "llo"}, late: true}, 5, "hello", true, nil, "hello"},
		{"one over the limit", &parts{list: []string{"he", "llo"}}, 4, "hell", false, nil, "hello"},
		{"far over the limit", &parts{list: []string{"he", "llo", " wo", "rld"}}, 4, "hell", false, nil, "hello world"},
		{"whole but over the limit", &parts{list: []string{"hello"}}, 4, "hell", false, nil, "hello"},
		{"empty", &parts{}, 4, "", true, nil, ""},
		{"broken", &parts{list: []string{"he"}, err: broken}, 4, "", false, broken, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var x exchange.Exchange
			x.Request.Body = c.body
			if err := x.ReadAhead(&x.Request.Message, c.limit); !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if c.err != nil {
				return
			}
			got, whole := x.Request.Content()
			if string(got) != c.buffered || whole != c.whole {
				t.Errorf("buffered %q whole %v, want %q %v", got, whole, c.buffered, c.whole)
			}
			if got := drain(t, x.Request.Body); got != c.rest {
				t.Errorf("the body yields %q, want %q", got, c.rest)
			}
		})
	}
}

func TestReadAheadAgain(t *testing.T) {
	var x exchange.Exchange
	x.Request.Body = &parts{list: []string{"he", "llo", " wo", "rld"}}
	for _, limit := range []int64{3, 3, 7, 100} {
		if err := x.ReadAhead(&x.Request.Message, limit); err != nil {
			t.Fatal(err)
		}
	}
	if p, whole := x.Request.Content(); string(p) != "hello world" || !whole {
		t.Errorf("got %q, whole %v", p, whole)
	}
	if got := drain(t, x.Request.Body); got != "hello world" {
		t.Errorf("the body yields %q", got)
	}
}

// pausing is a body whose second read fails once, as under a deadline.
type pausing struct {
	parts
	calls int
}

func (p *pausing) Next() ([]byte, error) {
	if p.calls++; p.calls == 2 {
		return nil, os.ErrDeadlineExceeded
	}
	return p.parts.Next()
}

func TestReadAheadGoesOnAfterADeadline(t *testing.T) {
	var x exchange.Exchange
	x.Response.Body = &pausing{parts: parts{list: []string{"abc", "def"}}}
	if err := x.ReadAhead(&x.Response.Message, 100); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	if err := x.ReadAhead(&x.Response.Message, 100); err != nil {
		t.Fatal(err)
	}
	if p, whole := x.Response.Content(); string(p) != "abcdef" || !whole {
		t.Errorf("got %q, whole %v", p, whole)
	}
}

func TestReadAheadSharesACeiling(t *testing.T) {
	budget := exchange.NewBudget(8)
	var a, b exchange.Exchange
	a.Memory, b.Memory = budget, budget
	a.Request.Body = &parts{list: []string{"12", "345"}, late: true}
	b.Request.Body = &parts{list: []string{"12", "345"}, late: true}
	if err := a.ReadAhead(&a.Request.Message, 100); err != nil {
		t.Fatal(err)
	}
	if err := b.ReadAhead(&b.Request.Message, 100); !errors.Is(err, exchange.ErrMemory) {
		t.Fatalf("error %v, want ErrMemory", err)
	}
	a.Forget()
	b.Forget()
	if n := budget.Used(); n != 0 {
		t.Errorf("%d bytes are still taken after both exchanges ended", n)
	}
}

func TestSetBytes(t *testing.T) {
	var x exchange.Exchange
	x.Response.Head.Add("content-length", "99")
	x.Response.SetBytes([]byte("abc"))
	if _, ok := x.Response.Head.Get("content-length"); ok || x.Response.Length != 3 {
		t.Errorf("content-length survives; length %d", x.Response.Length)
	}
	if p, whole := x.Response.Content(); string(p) != "abc" || !whole {
		t.Errorf("content %q, whole %v", p, whole)
	}
	x.Response.SetBytes(nil)
	if x.Response.Body != nil || x.Response.Length != 0 {
		t.Error("an empty body is a body")
	}
}

func TestArena(t *testing.T) {
	var a exchange.Arena
	var all [][]byte
	for i := range 300 {
		p := a.Alloc(i)
		for j := range p {
			p[j] = byte(i)
		}
		all = append(all, p)
	}
	for i, p := range all {
		for _, c := range p {
			if c != byte(i) {
				t.Fatalf("allocation %d was overwritten", i)
			}
		}
		_ = append(p, 0xff) // must not reach the next one
	}
	if len(all[5]) != 5 || all[6][0] != 6 {
		t.Error("an append to one allocation wrote into the next")
	}
}
