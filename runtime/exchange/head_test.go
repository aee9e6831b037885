package exchange_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

// wire makes a head over raw bytes as a parser would.
func wire(lines ...string) *exchange.Head {
	raw := []byte(strings.Join(lines, "\r\n") + "\r\n")
	h := &exchange.Head{}
	h.Reset(raw)
	at := 0
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.AddSpan(exchange.Classify(name), at, len(name), at+len(name)+2, len(value))
		at += len(l) + 2
	}
	return h
}

func text(h *exchange.Head) string {
	var b strings.Builder
	for i := range h.Len() {
		_, n, v := h.At(i)
		b.WriteString(string(n) + ": " + string(v) + "\n")
	}
	return b.String()
}

func TestHeadEdits(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(h *exchange.Head)
		want string
	}{
		{"untouched", func(h *exchange.Head) {}, "Host: a\nX-A: 1\nx-b: 2\nx-a: 3\n"},
		{"set replaces in place and drops the rest", func(h *exchange.Head) { h.Set("x-A", "9") }, "Host: a\nx-A: 9\nx-b: 2\n"},
		{"set appends", func(h *exchange.Head) { h.Set("X-C", "9") }, "Host: a\nX-A: 1\nx-b: 2\nx-a: 3\nX-C: 9\n"},
		{"add", func(h *exchange.Head) { h.Add("x-a", "4") }, "Host: a\nX-A: 1\nx-b: 2\nx-a: 3\nx-a: 4\n"},
		{"del folds case", func(h *exchange.Head) { h.Del("X-a") }, "Host: a\nx-b: 2\n"},
		{"set twice", func(h *exchange.Head) { h.Set("x-b", "one"); h.Set("x-b", "two") }, "Host: a\nX-A: 1\nx-b: two\nx-a: 3\n"},
		{"set at keeps the name", func(h *exchange.Head) { h.SetAt(1, "7") }, "Host: a\nX-A: 7\nx-b: 2\nx-a: 3\n"},
		{"a value read from the head may be set", func(h *exchange.Head) {
			v, _ := h.Get("x-b")
			for range 100 { // the side buffer grows under the alias
				h.Set("x-b", exchange.String(v))
				v, _ = h.Get("x-b")
			}
		}, "Host: a\nX-A: 1\nx-b: 2\nx-a: 3\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := wire("Host: a", "X-A: 1", "x-b: 2", "x-a: 3")
			c.edit(h)
			if got := text(h); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestHeadLookup(t *testing.T) {
	h := wire("HOST: a", "X-A: 1", "x-a: 2", "Content-Type: text/plain")
	if v, ok := h.Known(exchange.NameHost); !ok || string(v) != "a" {
		t.Errorf("Known(host) = %q, %v", v, ok)
	}
	if v, ok := h.Get("x-a"); !ok || string(v) != "1" {
		t.Errorf("the first value wins: got %q, %v", v, ok)
	}
	if _, ok := h.Get("x"); ok {
		t.Error("a prefix of a name is not the name")
	}
	if got := h.Values(nil, "x-a"); !bytes.Equal(bytes.Join(got, []byte(",")), []byte("1,2")) {
		t.Errorf("Values = %q", got)
	}
	var into exchange.Head
	into.CopyFrom(h)
	h.Set("x-a", "changed")
	if text(&into) != "HOST: a\nX-A: 1\nx-a: 2\nContent-Type: text/plain\n" {
		t.Errorf("a copy follows its source: %s", text(&into))
	}
}

func TestClassify(t *testing.T) {
	for n := exchange.NameOther + 1; n <= exchange.NameXForwardedProto; n++ {
		for _, s := range []string{n.String(), strings.ToUpper(n.String())} {
			if got := exchange.Classify(s); got != n {
				t.Errorf("Classify(%q) = %v, want %v", s, got, n)
			}
		}
		// One byte off is another name.
		b := []byte(n.String())
		b[len(b)-1] = '!'
		if got := exchange.Classify(b); got != exchange.NameOther {
			t.Errorf("Classify(%q) = %v, want none", b, got)
		}
	}
	for _, s := range []string{"", "x", "hos\x74\x00", "x-forwarded-fob"} {
		if got := exchange.Classify(s); got != exchange.NameOther {
			t.Errorf("Classify(%q) = %v, want none", s, got)
		}
	}
}

func TestValid(t *testing.T) {
	for _, s := range []string{"", "a b", "a:", "a\r", "ä", strings.Repeat("a", 1<<16)} {
		if exchange.ValidName(s) {
			t.Errorf("ValidName(%.20q) is true", s)
		}
	}
	for _, s := range []string{"a\r\nb", "a\n", "\x00", "\x7f"} {
		if exchange.ValidValue(s) {
			t.Errorf("ValidValue(%q) is true", s)
		}
	}
	if !exchange.ValidName("X-a_b!") || !exchange.ValidValue("a\tb \xff") {
		t.Error("a valid name or value was refused")
	}
}

func BenchmarkHead(b *testing.B) {
	h := wire("Host: example.com", "User-Agent: x", "Accept: */*", "Accept-Encoding: gzip", "Cookie: a=b", "X-Request-Id: 1")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := h.Get("x-request-id"); !ok {
			b.Fatal("not found")
		}
	}
}
