package http1

import (
	"bytes"

	"github.com/headgate/headgate/runtime/exchange"
)

// Bounds of what chunked coding may add to a body.
const (
	maxChunkLine = 1 << 10  // a chunk size with its extensions
	maxTrailer   = 16 << 10 // the trailer section
)

// dechunker decodes chunked coding (RFC 9112 section 7.1).
type dechunker struct {
	left  int64 // data bytes left in the current chunk
	state chunkState
}

type chunkState uint8

const (
	chunkSize    chunkState = iota // at the start of a chunk line
	chunkData                      // within data
	chunkDataEnd                   // at the CRLF after data
	chunkTrailer                   // after the last chunk
	chunkDone
)

// decode moves the decoded data to the front of p. It consumed in bytes, of
// which out are data; what follows in is needed again with more bytes behind it.
// The trailer section goes to t.
func (d *dechunker) decode(p []byte, t *exchange.Head, lim Limits) (out, in int, err error) {
	for {
		switch d.state {
		case chunkSize:
			n, size, err := chunkLine(p[in:])
			if err != nil || n == 0 {
				return out, in, err
			}
			in += n
			d.left, d.state = size, chunkData
			if size == 0 {
				d.state = chunkTrailer
			}
		case chunkData:
			n := int(min(d.left, int64(len(p)-in)))
			if n == 0 {
				return out, in, nil
			}
			copy(p[out:], p[in:in+n])
			out, in, d.left = out+n, in+n, d.left-int64(n)
			if d.left > 0 {
				return out, in, nil
			}
			d.state = chunkDataEnd
		case chunkDataEnd:
			if rest := p[in:]; len(rest) < 2 {
				if len(rest) == 1 && rest[0] != '\r' {
					return out, in, bad("a chunk does not end where it says")
				}
				return out, in, nil
			} else if rest[0] != '\r' || rest[1] != '\n' {
				return out, in, bad("a chunk does not end where it says")
			}
			in += 2
			d.state = chunkSize
		case chunkTrailer:
			n, err := trailerSection(p[in:], t, lim)
			if err != nil || n == 0 {
				return out, in, err
			}
			in += n
			d.state = chunkDone
		case chunkDone:
			return out, in, nil
		}
	}
}

// chunkLine parses a chunk size and skips its extensions. n is 0 if the line is
// not complete.
func chunkLine(p []byte) (n int, size int64, err error) {
	eol := bytes.IndexByte(p, '\n')
	if eol < 0 && len(p) < maxChunkLine {
		return 0, 0, nil
	}
	if eol < 0 || eol > maxChunkLine {
		return 0, 0, bad("a chunk line is too long")
	}
	digits := 0
	for ; digits < eol; digits++ {
		c := p[digits]
		switch {
		case digit(c):
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			c = 0xff
		}
		if c == 0xff {
			break
		}
		if digits >= 15 {
			return 0, 0, bad("a chunk is too large")
		}
		size = size<<4 | int64(c)
	}
	if digits == 0 || eol == 0 || p[eol-1] != '\r' {
		return 0, 0, bad("a chunk size is not valid")
	}
	if ext := p[digits : eol-1]; len(ext) > 0 {
		if after := bytes.TrimLeft(ext, " \t"); len(after) == 0 || after[0] != ';' || !all(ext, valueByte) {
			return 0, 0, bad("a chunk extension is not valid")
		}
	}
	return eol + 1, size, nil
}

// trailerSection parses the fields after the last chunk up to the empty line.
// Fields that frame, route or authenticate are dropped (RFC 9110 section 6.5.1).
func trailerSection(p []byte, t *exchange.Head, lim Limits) (n int, err error) {
	if len(p) >= 2 && p[0] == '\r' && p[1] == '\n' {
		return 2, nil
	}
	end := bytes.Index(p, headEnd)
	if end < 0 {
		if len(p) > maxTrailer {
			return 0, &Error{431, "the trailer section is too large"}
		}
		if i := bytes.IndexByte(p, '\n'); i == 0 || i > 0 && p[i-1] != '\r' {
			return 0, bad("a trailer line ends without CR")
		}
		return 0, nil
	}
	n = end + len(headEnd)
	if n > maxTrailer {
		return 0, &Error{431, "the trailer section is too large"}
	}
	raw := bytes.Clone(p[:n])
	t.Reset(raw)
	var ignored meta
	if err := parseFields(t, raw, 0, lim, &ignored); err != nil {
		return 0, bad("the trailer section is not valid")
	}
	for i := 0; i < t.Len(); i++ {
		if id, _, _ := t.At(i); id.HopByHop() || forbiddenTrailer(id) {
			t.DelAt(i)
			i--
		}
	}
	return n, nil
}

func forbiddenTrailer(id exchange.Name) bool {
	switch id {
	case exchange.NameHost, exchange.NameContentLength, exchange.NameContentType, exchange.NameAuthorization,
		exchange.NameCookie, exchange.NameExpect, exchange.NameLocation, exchange.NameDate, exchange.NameForwarded,
		exchange.NameXForwardedFor, exchange.NameXForwardedHost, exchange.NameXForwardedPort, exchange.NameXForwardedProto:
		return true
	}
	return false
}
