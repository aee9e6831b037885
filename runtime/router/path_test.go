package router

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/headgate/headgate/runtime/exchange"
)

func TestNormalizePath(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		err            error
	}{
		{"root", "/", "/", nil},
		{"plain", "/a/b-c_d.e~f", "/a/b-c_d.e~f", nil},
		{"last slash is kept", "/a/b/", "/a/b/", nil},
		{"reserved characters stand for themselves", "/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b", nil},
		{"unreserved are decoded", "/%41%7e%2D%5f%2e%39x", "/A~-_.9x", nil},
		{"escapes are upper-case", "/%c3%a9%2b", "/%C3%A9%2B", nil},
		{"an escaped slash separates nothing", "/a%2fb%2F..", "/a%2Fb%2F..", nil},
		{"an escaped backslash stays", "/a%5cb", "/a%5Cb", nil},
		{"an escaped percent is decoded once", "/%252e%252e/%2541", "/%252e%252e/%2541", nil},
		{"dots", "/a/./b/../c", "/a/c", nil},
		{"dots at the end", "/a/b/..", "/a/", nil},
		{"dot at the end", "/a/.", "/a/", nil},
		{"escaped dots", "/a/%2e%2E/b/%2e/.%2e/c", "/c", nil},
		{"dots above the root", "/../../a", "/a", nil},
		{"only dots", "/..", "/", nil},
		{"dots in names", "/..a/b../.../.well-known/a.b", "/..a/b../.../.well-known/a.b", nil},
		{"slashes are merged", "//a///b//", "/a/b/", nil},
		{"merged before dots", "/a//../b", "/b", nil},
		{"merged after dots", "/a/.././/b", "/b", nil},
		{"strange characters are escaped", "/\"<>^`{|}[]", "/%22%3C%3E%5E%60%7B%7C%7D%5B%5D", nil},
		{"bytes beyond ASCII are escaped", "/caf\xc3\xa9\xff", "/caf%C3%A9%FF", nil},
		{"escaped control", "/a%0ab", "/a%0Ab", nil},
		{"empty", "", "", errPath},
		{"relative", "a/b", "", errPath},
		{"asterisk", "*", "", errPath},
		{"escaped first slash", "%2Fa", "", errPath},
		{"NUL", "/a\x00", "", errByte},
		{"control", "/a\nb", "", errByte},
		{"DEL", "/a\x7f", "", errByte},
		{"space", "/a b", "", errByte},
		{"backslash", `/a\..\b`, "", errByte},
		{"query", "/a?b", "", errByte},
		{"fragment", "/a#b", "", errByte},
		{"escaped NUL", "/a%00", "", errEscape},
		{"cut escape", "/a%4", "", errEscape},
		{"bare percent", "/a%", "", errEscape},
		{"no hex", "/a%4g", "", errEscape},
		{"an error behind what is rewritten", "//%41%zz", "", errEscape},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := NormalizePath(nil, c.in)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%q: got %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
			}
		})
	}
}

func TestNormalizePathMemory(t *testing.T) {
	for _, p := range []string{"/", "/orders/42/items", "/caf%C3%A9/a%2Fb%20c", "/.well-known/x/..y", strings.Repeat("/abcdefg", 100)} {
		if n := testing.AllocsPerRun(100, func() {
			if out, err := NormalizePath(nil, p); out != p || err != nil {
				t.Fatal(out, err)
			}
		}); n != 0 {
			t.Errorf("%.20q: %v allocations for a path that is normal", p, n)
		}
	}
	buf := make([]byte, 2, 64)
	copy(buf, "ab")
	if n := testing.AllocsPerRun(100, func() {
		if out, err := NormalizePath(buf, "//x/%41{"); out != "/x/A%7B" || err != nil {
			t.Fatal(out, err)
		}
	}); n != 0 || string(buf) != "ab" {
		t.Errorf("%v allocations with a buffer at hand, which then is %q", n, buf)
	}
	// A buffer that is too small is left alone.
	if out, err := NormalizePath(buf[:2:4], "/a//bcdefg"); out != "/a/bcdefg" || err != nil {
		t.Error(out, err)
	}
}

// slowPath is NormalizePath as the RFC tells it, a step at a time.
func slowPath(path string) (string, bool) {
	if !strings.HasPrefix(path, "/") {
		return "", false
	}
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, seg := range segments {
		var b strings.Builder
		for j := 0; j < len(seg); j++ {
			c := seg[j]
			if c <= ' ' || c == 0x7f || strings.ContainsRune(`\?#`, rune(c)) {
				return "", false
			}
			escaped := c == '%'
			if escaped {
				if j+3 > len(seg) {
					return "", false
				}
				text, err := url.PathUnescape(seg[j : j+3])
				if err != nil || text == "\x00" {
					return "", false
				}
				c = text[0]
				j += 2
			}
			const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
			if strings.IndexByte(letters, c) >= 0 || !escaped && strings.IndexByte("!$&'()*+,;=:@", c) >= 0 {
				b.WriteByte(c)
			} else {
				b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
			}
		}
		last := i == len(segments)-1
		switch s := b.String(); s {
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		case ".", "":
		default:
			out = append(out, s)
			continue
		}
		if last {
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/"), true
}

// FuzzNormalizePath compares with slowPath, and looks at what comes out: it is
// what is matched and what is forwarded, so whoever normalises it again must
// find nothing to do, and nobody a way up.
func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{
		"/", "/a/../b", "/%2e%2e/%2E/x", "//a//..//b", "/a%2f..%5c", "/%", "/%0", "/%00", "/{x}|[]", "/\xff/é", "/a/./", "/..", "/.",
		"/a/b/../../../c", "/%252e%252e/", "/.%2e", "/a?b", `/a\b`, "*", "", "/a/%2e%2e%2f..",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		before := strings.Clone(in)
		got, err := NormalizePath(nil, in)
		if in != before {
			t.Fatalf("%q was changed to %q", before, in)
		}
		want, ok := slowPath(in)
		if (err == nil) != ok || got != want {
			t.Fatalf("%q: got %q, %v; want %q, %v", in, got, err, want, ok)
		}
		if err != nil {
			return
		}
		if again, err := NormalizePath(nil, got); again != got || err != nil {
			t.Fatalf("%q: normal %q becomes %q, %v", in, got, again, err)
		}
		buffered, err := NormalizePath(make([]byte, 3, 3+len(in)), in)
		if buffered != got || err != nil {
			t.Fatalf("%q: %q with a buffer, %q without", in, buffered, got)
		}
		for i, seg := range strings.Split(got[1:], "/") {
			plain, err := url.PathUnescape(seg)
			if err != nil || plain == ".." || plain == "." || plain == "" && i < strings.Count(got, "/")-1 {
				t.Fatalf("%q: segment %q of %q", in, seg, got)
			}
		}
		for i := range len(got) {
			if c := got[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\\?#{}|\"<>^`[]", c) >= 0 {
				t.Fatalf("%q: byte %q in %q", in, c, got)
			}
		}
		// What a path variable is decoded to is what another decoder makes of it.
		var arena exchange.Arena
		if plain, err := url.PathUnescape(got); err != nil || decode(got, &arena) != plain {
			t.Fatalf("%q: decoded %q, want %q, %v", got, decode(got, &arena), plain, err)
		}
	})
}

func TestNormalizeHost(t *testing.T) {
	for _, c := range []struct {
		in, want string
		bad      bool
	}{
		{"example.com", "example.com", false},
		{"Example.COM:8080", "example.com", false},
		{"example.com.", "example.com", false},
		{"example.com.:80", "example.com", false},
		{"example.com:", "example.com", false},
		{"a_b-c.d", "a_b-c.d", false},
		{"10.0.0.1:80", "10.0.0.1", false},
		{"[::1]:80", "[::1]", false},
		{"[::1]", "[::1]", false},
		{"[0:0::0:1]", "[::1]", false},
		{"[2001:DB8::1]:443", "[2001:db8::1]", false},
		{"[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]", false},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", false},
		{"", "", false},
		{strings.Repeat("a.", 126) + "b", strings.Repeat("a.", 126) + "b", false},
		{strings.Repeat("a.", 127), strings.Repeat("a.", 126) + "a", false},
		{strings.Repeat("a.", 127) + "b", "", true},
		{".", "", true},
		{"a..", "", true},
		{"a..b", "", true},
		{".a", "", true},
		{":80", "", true},
		{"a:80x", "", true},
		{"a:65536", "", true},
		{"a:80:80", "", true},
		{"::1", "", true},
		{"[::1", "", true},
		{"[]", "", true},
		{"[::1]x", "", true},
		{"[::g]", "", true},
		{"[10.0.0.1]", "", true},
		{"[fe80::1%25eth0]", "", true},
		{"[fe80::1%eth0]", "", true},
		{"[v1.x]", "", true},
		{"user@a", "", true},
		{"a/b", "", true},
		{"a b", "", true},
		{"a%41", "", true},
		{"b\xc3\xbccher", "", true},
		{"*.a", "", true},
		{"a~b", "", true},
		{"a\x00", "", true},
	} {
		var arena exchange.Arena
		got, err := NormalizeHost(c.in, &arena)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%q: got %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	var arena exchange.Arena
	for _, h := range []string{"api.example.com", "api.example.com:8443", "[2001:db8::1]:443"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = NormalizeHost(h, &arena) }); n != 0 {
			t.Errorf("%q: %v allocations", h, n)
		}
	}
}

func FuzzNormalizeHost(f *testing.F) {
	for _, s := range []string{"a.B:80", "[::1]:80", "a..", "[::ffff:1.2.3.4]", ":", ".", "a.:1", "[fe80::1%1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var arena exchange.Arena
		got, err := NormalizeHost(in, &arena)
		if err != nil {
			return
		}
		if again, err := NormalizeHost(got, &arena); again != got || err != nil {
			t.Fatalf("%q: normal %q becomes %q, %v", in, got, again, err)
		}
		if got != strings.ToLower(got) || strings.HasSuffix(got, ".") || strings.ContainsAny(got, "/@ %*?#\\") || in != "" && got == "" {
			t.Fatalf("%q: %q", in, got)
		}
		if u, err := url.Parse("http://" + in + "/"); err != nil {
			t.Fatalf("%q: accepted as %q, but no URL has it: %v", in, got, err)
		} else if got[:min(1, len(got))] != "[" && strings.TrimSuffix(strings.ToLower(u.Hostname()), ".") != got {
			t.Fatalf("%q: %q, but net/url has %q", in, got, u.Hostname())
		}
	})
}
