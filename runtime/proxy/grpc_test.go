package proxy

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

func TestGRPCTimeout(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1S": time.Second, "250m": 250 * time.Millisecond, "3u": 3 * time.Microsecond, "7n": 7, "2M": 2 * time.Minute, "1H": time.Hour,
		"0S": 0, "99999999H": 1 << 40 * time.Microsecond, "99999999n": 99999999,
	} {
		if d, ok := parseGRPCTimeout(s); !ok || d != want {
			t.Errorf("%q: %v %v, want %v", s, d, ok, want)
		}
	}
	for _, s := range []string{"", "S", "1", "123456789S", "-1S", "+1S", "1.5S", "1s", "1 S", "1SS", "0x1S"} {
		if d, ok := parseGRPCTimeout(s); ok {
			t.Errorf("%q: %v", s, d)
		}
	}
}

func TestGRPCMessage(t *testing.T) {
	for s, want := range map[string]string{"plain text": "plain text", "100%": "100%25", "a\nb": "a%0Ab", "\u00e9": "%C3%A9", "\x7f": "%7F"} {
		if got := grpcMessage(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestSubtype(t *testing.T) {
	for _, c := range []struct {
		contentType, base, rest string
		ok                      bool
	}{
		{"application/grpc", grpcType, "", true},
		{"application/GRPC+proto", grpcType, "+proto", true},
		{"application/grpc; charset=utf-8", grpcType, "; charset=utf-8", true},
		{"application/grpc-web", grpcType, "", false},
		{"application/grpc-web-text+proto", webType, "", false},
		{"application/grpc-web-text+proto", webTextType, "+proto", true},
		{"application/grpcx", grpcType, "", false},
		{"application/grp", grpcType, "", false},
		{"", grpcType, "", false},
	} {
		if rest, ok := subtype([]byte(c.contentType), c.base); ok != c.ok || ok && rest != c.rest {
			t.Errorf("%q of %q: %q %v", c.contentType, c.base, rest, ok)
		}
	}
}

// pieces is a body that comes n bytes at a time.
type pieces struct {
	p []byte
	n int
}

func (b *pieces) Ready() bool { return true }

func (b *pieces) Next() ([]byte, error) {
	n := min(b.n, len(b.p))
	p := b.p[:n]
	if b.p = b.p[n:]; len(b.p) == 0 {
		return p, io.EOF
	}
	return p, nil
}

func readBody(b exchange.Body) ([]byte, error) {
	var all []byte
	for {
		p, err := b.Next()
		all = append(all, p...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func TestWebText(t *testing.T) {
	data := []byte("\x00\x00\x00\x00\x05hello, a message of some length")
	one := base64.StdEncoding.EncodeToString(data)
	two := base64.StdEncoding.EncodeToString(data[:7]) + base64.StdEncoding.EncodeToString(data[7:])
	for n := 1; n <= len(two)+1; n++ {
		for _, text := range []string{one, two} {
			got, err := readBody(&webText{from: &pieces{[]byte(text), n}})
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%q by %d: %q %v", text, n, got, err)
			}
		}
		for _, text := range []string{one[:len(one)-1], "A===", "====", "AA=A", "AAAA\r\n\r\n", "AAA\n", "AA-_", "AAAA AAA", "\xff\xff\xff\xff"} {
			got, err := readBody(&webText{from: &pieces{[]byte(text), n}})
			var status statusError
			if !errors.As(err, &status) || status.HTTPStatus() != 400 {
				t.Errorf("%q by %d: %q %v", text, n, got, err)
			}
		}
	}
	if got, err := readBody(&webText{from: &pieces{nil, 1}}); err != nil || len(got) > 0 {
		t.Errorf("empty: %q %v", got, err)
	}
}

// FuzzWebText reads the same text in two ways of cutting it up: what comes out
// must not depend on them, and must be what went in when it is encoded again.
func FuzzWebText(f *testing.F) {
	for _, s := range []string{"", "AAAA", "AA==", "AA==AAA=", "AAAAAAAA", "A", "=AAA", "AAAA\r\nAAAA", "AAAAAA=="} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		n = max(1, n&63)
		whole, err := readBody(&webText{from: &pieces{text, max(len(text), 1)}})
		cut, cutErr := readBody(&webText{from: &pieces{text, n}})
		if (err == nil) != (cutErr == nil) || err == nil && !bytes.Equal(whole, cut) {
			t.Fatalf("whole %q %v, by %d %q %v", whole, err, n, cut, cutErr)
		}
		if err == nil && len(text)%4 != 0 {
			t.Fatalf("%q is no base64", text)
		}
		if err == nil && !bytes.ContainsRune(text[:max(len(text)-4, 0)], '=') && strings.TrimRight(base64.StdEncoding.EncodeToString(whole), "=") != strings.TrimRight(string(text), "=") {
			// The last bits of a padded group may be any.
			if i := len(text) - 4; base64.StdEncoding.EncodeToString(whole)[:i] != string(text[:i]) {
				t.Fatalf("%q became %q", text, whole)
			}
		}
	})
}

// webSink is the front end of a client that is not there.
type webSink struct {
	exchange.Front
	x    *exchange.Exchange
	head exchange.Head
	body []byte
	done bool
}

func (s *webSink) WriteHead() error { s.head.CopyFrom(&s.x.Response.Head); return nil }
func (s *webSink) Write(p []byte, last bool) error {
	s.body, s.done = append(s.body, p...), last
	return nil
}
func (s *webSink) End(t *exchange.Head) error {
	if t != nil && t.Len() > 0 {
		return errors.New("trailers")
	}
	s.done = true
	return nil
}

func TestTranslateWeb(t *testing.T) {
	const trailers = "grpc-status: 0\r\ngrpc-message: fine\r\n"
	frame := "\x80\x00\x00\x00" + string(rune(len(trailers))) + trailers
	b64 := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		name, asked, accept, body string
		upstream                  string // the content type of the answer
		trailersOnly              bool
		wantType, wantBody, seen  string
	}{
		{name: "binary", asked: "application/grpc-web+proto", body: "abc", upstream: "application/grpc+proto",
			wantType: "application/grpc-web+proto", wantBody: "hello" + frame, seen: "application/grpc+proto abc"},
		{name: "text", asked: "application/grpc-web-text", body: "YWJj", upstream: "application/grpc",
			wantType: "application/grpc-web-text", wantBody: b64([]byte("hello")) + b64([]byte(frame)), seen: "application/grpc abc"},
		{name: "text in, binary out", asked: "application/grpc-web-text", accept: "application/grpc-web", body: "YWJj", upstream: "application/grpc",
			wantType: "application/grpc-web", wantBody: "hello" + frame, seen: "application/grpc abc"},
		{name: "binary in, text out", asked: "application/grpc-web", accept: "application/grpc-web-text", body: "abc", upstream: "application/grpc",
			wantType: "application/grpc-web-text", wantBody: b64([]byte("hello")) + b64([]byte(frame)), seen: "application/grpc abc"},
		{name: "trailers only", asked: "application/grpc-web", body: "abc", upstream: "application/grpc", trailersOnly: true,
			wantType: "application/grpc-web", wantBody: "", seen: "application/grpc abc"},
		{name: "no answer of gRPC", asked: "application/grpc-web-text", body: "YWJj", upstream: "text/html",
			wantType: "text/html", wantBody: "hello", seen: "application/grpc abc"},
		{name: "gRPC itself", asked: "application/grpc", body: "abc", upstream: "application/grpc",
			wantType: "application/grpc", wantBody: "hello", seen: "application/grpc abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &exchange.Exchange{}
			sink := &webSink{x: x}
			x.Reset(context.Background(), nil, sink)
			x.Request.Method = "POST"
			x.Request.Head.Add("content-type", c.asked)
			if c.accept != "" {
				x.Request.Head.Add("accept", c.accept)
			}
			x.Request.Body, x.Request.Length = &pieces{[]byte(c.body), 2}, int64(len(c.body))
			translateWeb(x)
			got, err := readBody(x.Request.Body)
			kind, _ := x.Request.Get("content-type")
			if seen := string(kind) + " " + string(got); err != nil || seen != c.seen {
				t.Errorf("the upstream sees %q %v, want %q", seen, err, c.seen)
			}
			r := &x.Response
			r.Status = 200
			r.Head.Add("content-type", c.upstream)
			to := &r.Trailer
			if c.trailersOnly {
				to = &r.Head
			} else {
				r.Body, r.Length = &pieces{[]byte("hello"), 5}, 5
			}
			if strings.HasPrefix(c.upstream, grpcType) && c.asked != grpcType {
				to.Add("Grpc-Status", "0")
				to.Add("grpc-message", "fine")
			}
			f := &flow{x: x}
			if err := f.write(); err != nil || !sink.done {
				t.Fatal(err, sink.done)
			}
			if kind, _ := sink.head.Get("content-type"); string(kind) != c.wantType || string(sink.body) != c.wantBody {
				t.Errorf("the client gets %q %q, want %q %q", kind, sink.body, c.wantType, c.wantBody)
			}
			if v, ok := sink.head.Get("grpc-status"); ok != c.trailersOnly {
				t.Errorf("grpc-status among the fields: %q", v)
			}
		})
	}
}
