package proxywasm

import (
	"bytes"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

func TestPairs(t *testing.T) {
	var w pairs
	w.add([]byte(":path"), []byte("/"))
	w.add([]byte("x-a"), nil)
	p := make([]byte, w.size())
	w.write(p)
	var got []byte
	if !pairsOf(p, func(name, value []byte) bool {
		got = append(append(append(append(got, name...), '='), value...), '\n')
		return true
	}) || string(got) != ":path=/\nx-a=\n" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"\x01", "\x01\x00\x00\x00", "\xff\xff\xff\xff\x00\x00\x00\x00", "\x01\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xffa\x00"} {
		if pairsOf([]byte(bad), func(_, _ []byte) bool { return true }) {
			t.Errorf("%q is a map", bad)
		}
	}
}

// FuzzPairs: what is read of a map is what a map with it says.
func FuzzPairs(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00a\x00b\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		var w pairs
		if !pairsOf(p, func(name, value []byte) bool { w.add(name, value); return true }) || len(p) == 0 {
			return
		}
		q := make([]byte, w.size())
		w.write(q)
		if !bytes.HasPrefix(p, q) {
			t.Errorf("%q became %q", p, q)
		}
	})
}

func TestGRPCResult(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  int
		trailer string
		head    string
		body    string
		code    uint32
		message string
	}{
		{"a message", 200, "0", "", "\x00\x00\x00\x00\x02ok", 0, "ok"},
		{"an error", 200, "5", "", "", 5, ""},
		{"an error without trailers", 200, "", "5", "", 5, ""},
		{"compressed", 200, "0", "", "\x01\x00\x00\x00\x02ok", grpcInternal, ""},
		{"cut short", 200, "0", "", "\x00\x00\x00\x00\x03ok", grpcInternal, ""},
		{"no message", 200, "0", "", "", grpcInternal, ""},
		{"no status", 200, "", "", "", grpcUnknown, ""},
		{"no number", 200, "x", "", "", grpcUnknown, ""},
		{"an answer of HTTP", 503, "", "", "", grpcUnavailable, ""},
	} {
		q := &exchange.Fetch{Status: c.status, Content: []byte(c.body)}
		if c.trailer != "" {
			q.Trailer.Add("grpc-status", c.trailer)
		}
		if c.head != "" {
			q.Answer.Add("grpc-status", c.head)
		}
		if code, message, _ := grpcResult(q, nil); code != c.code || string(message) != c.message {
			t.Errorf("%s: %d %q", c.name, code, message)
		}
	}
	if code, _, _ := grpcResult(&exchange.Fetch{}, exchange.ErrFetchTimeout); code != grpcDeadline {
		t.Errorf("a timeout is %d", code)
	}
}

func TestPercent(t *testing.T) {
	if got := percent([]byte("100% ä\n")); got != "100%25 %C3%A4%0A" {
		t.Errorf("%q", got)
	}
}
