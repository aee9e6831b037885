package proxy

import (
	"encoding/base64"
	"encoding/binary"
	"io"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

const (
	webType     = "application/grpc-web"
	webTextType = "application/grpc-web-text"
)

// translateWeb turns a call of gRPC-Web into one of gRPC, for everything behind
// it, and the answer back. Other requests it leaves alone.
func translateWeb(x *exchange.Exchange) {
	v, ok := x.Request.Head.Known(exchange.NameContentType)
	if !ok || x.Request.Method != "POST" {
		return
	}
	rest, text := subtype(v, webTextType)
	if !text {
		if rest, ok = subtype(v, webType); !ok {
			return
		}
	}
	x.Front = &webFront{Front: x.Front, x: x, text: answersText(x, text)}
	h := &x.Request.Head
	h.Set("content-type", grpcType+rest)
	h.Set("te", "trailers")
	if text && x.Request.Body != nil {
		x.Request.Body = &webText{from: x.Request.Body}
		x.Request.Length = exchange.Unknown
		h.Del("content-length")
	}
}

// answersText reports whether the client takes the answer as text: as Accept
// says, else as it asks itself.
func answersText(x *exchange.Exchange, asText bool) bool {
	v, ok := x.Request.Head.Known(exchange.NameAccept)
	if !ok {
		return asText
	}
	accept := strings.ToLower(exchange.String(v))
	if strings.Contains(accept, webTextType) {
		return true
	}
	return asText && !strings.Contains(accept, webType)
}

// webFront is the front end of a call of gRPC-Web. Trailers become the last
// frame of the body; an answer that is trailers only stays as it is, since a
// client finds grpc-status among its fields.
type webFront struct {
	exchange.Front
	x    *exchange.Exchange
	text bool
	pass bool // the answer is none of gRPC
	out  []byte
}

// trailerFrame marks the frame that holds the trailers.
const trailerFrame = 0x80

// WriteHead implements exchange.Front.
func (w *webFront) WriteHead() error {
	r := &w.x.Response
	v, _ := r.Head.Known(exchange.NameContentType)
	rest, ok := subtype(v, grpcType)
	if w.pass = !ok; w.pass {
		return w.Front.WriteHead()
	}
	base := webType
	if w.text {
		base = webTextType
	}
	r.Head.Set("content-type", base+rest)
	r.Head.Del("content-length")
	if r.Body == nil { // whatever it says is trailers
		for i := range r.Trailer.Len() {
			_, name, value := r.Trailer.At(i)
			r.Head.Add(string(name), string(value))
		}
		r.Trailer.Reset(nil)
		r.Length = 0
	} else {
		r.Length = exchange.Unknown
	}
	return w.Front.WriteHead()
}

// Write implements exchange.Front.
func (w *webFront) Write(p []byte, last bool) error {
	if w.pass || !w.text {
		return w.Front.Write(p, last)
	}
	if len(p) == 0 {
		return w.Front.Write(p, last)
	}
	for len(p) > 0 {
		n := min(len(p), webPart)
		w.out = base64.StdEncoding.AppendEncode(w.out[:0], p[:n])
		p = p[n:]
		if err := w.Front.Write(w.out, last && len(p) == 0); err != nil {
			return err
		}
	}
	return nil
}

// webPart is how much is encoded at a time, in bytes: whole groups of three, so
// that only what has to leave at once is padded.
const webPart = 12 << 10

// End implements exchange.Front.
func (w *webFront) End(trailer *exchange.Head) error {
	if w.pass || trailer == nil || trailer.Len() == 0 {
		return w.Front.End(trailer)
	}
	frame := make([]byte, 5, 128)
	frame[0] = trailerFrame
	for i := range trailer.Len() {
		_, name, value := trailer.At(i)
		frame = append(frame, strings.ToLower(exchange.String(name))...)
		frame = append(append(append(frame, ": "...), value...), "\r\n"...)
	}
	binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-5))
	return w.Write(frame, true)
}

// webText is a request body in base64, which may come in parts that are padded
// each.
type webText struct {
	from exchange.Body
	held [4]byte // of a group that is not complete
	n    int
	out  []byte
	err  error
}

// webTextError is the answer to a body that is no base64.
type webTextError struct{}

func (webTextError) Error() string { return "the body is not valid base64" }

// HTTPStatus is the status that answers it.
func (webTextError) HTTPStatus() int { return 400 }

// Next implements exchange.Body.
func (t *webText) Next() ([]byte, error) {
	for t.err == nil {
		p, err := t.from.Next()
		if err != nil && err != io.EOF {
			return nil, err // it may be a break only
		}
		out, ok := t.decode(p)
		switch {
		case !ok, err == io.EOF && t.n != 0:
			t.err = webTextError{}
		case err == io.EOF:
			t.err = io.EOF
			return out, io.EOF
		case len(out) > 0:
			return out, nil
		}
	}
	return nil, t.err
}

// Ready implements exchange.Body. Bytes at hand may be no whole group.
func (t *webText) Ready() bool { return t.err != nil }

// decode returns what p completes.
func (t *webText) decode(p []byte) ([]byte, bool) {
	t.out = t.out[:0]
	for len(p) > 0 {
		if t.n > 0 || len(p) < 4 {
			n := copy(t.held[t.n:], p)
			p, t.n = p[n:], t.n+n
			if t.n < 4 {
				return t.out, true
			}
			t.n = 0
			if !t.groups(t.held[:]) {
				return nil, false
			}
			continue
		}
		// Up to a group that is padded: what follows it is a part of its own.
		whole := p[:len(p)&^3]
		if i := strings.IndexByte(exchange.String(whole), '='); i >= 0 {
			whole = whole[:i&^3+4]
		}
		if !t.groups(whole) {
			return nil, false
		}
		p = p[len(whole):]
	}
	return t.out, true
}

// groups decodes whole groups of four.
func (t *webText) groups(p []byte) bool {
	if strings.ContainsAny(exchange.String(p), "\r\n") { // which the library would pass over
		return false
	}
	var err error
	t.out, err = base64.StdEncoding.AppendDecode(t.out, p)
	return err == nil
}
