package native

import (
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

func TestSplitFetch(t *testing.T) {
	for _, c := range []struct {
		url, to, path, query string
		ok                   bool
	}{
		{"upstream://users/a/b?c=d?e", "upstream://users", "/a/b", "c=d?e", true},
		{"upstream://users", "upstream://users", "/", "", true},
		{"https://idp.example.com:8443?x", "https://idp.example.com:8443", "/", "x", true},
		{"http://[::1]:80/", "http://[::1]:80", "/", "", true},
		{"upstream://", "", "", "", false}, {"upstream:///a", "", "", "", false}, {"users", "", "", "", false},
		{"ftp://a/b", "", "", "", false}, {"https://a/b c", "", "", "", false}, {"https://a/\r\nx: y", "", "", "", false},
		{"https://a/#b", "", "", "", false}, {"https://ä/", "", "", "", false},
	} {
		to, path, query, ok := splitFetch(c.url)
		if to != c.to || path != c.path || query != c.query || ok != c.ok {
			t.Errorf("%q: %q %q %q %t", c.url, to, path, query, ok)
		}
	}
}

func TestFetchHead(t *testing.T) {
	var g Guest
	for fields, ok := range map[string]bool{
		"": true, "a\x00b\x00": true, "A\x00\x00": true, "host\x00x\x00content-length\x005\x00te\x00trailers\x00": true,
		"a": false, "a\x00b": false, "\x00b\x00": false, "a b\x00c\x00": false, "a\x00b\nc\x00": false,
	} {
		q := &exchange.Fetch{Scheme: "upstream", Authority: "users"}
		if got := g.fetchHead(q, []byte(fields)); got != ok {
			t.Errorf("%q: %t", fields, got)
		}
		if _, found := q.Head.Get("content-length"); found {
			t.Errorf("%q: framing is the gateway's", fields)
		}
	}
}

func FuzzFetchHead(f *testing.F) {
	f.Add([]byte("a\x00b\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		var g Guest
		q := &exchange.Fetch{Scheme: "upstream", Authority: "users"}
		if !g.fetchHead(q, p) {
			return
		}
		for i := range q.Head.Len() {
			_, name, value := q.Head.At(i)
			if !exchange.ValidName(name) || !exchange.ValidValue(value) {
				t.Errorf("%q: %q", name, value)
			}
		}
	})
}
