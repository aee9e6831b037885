package http1

import (
	"bytes"

	"github.com/headgate/headgate/runtime/exchange"
)

// Bounds of what chunked coding may add to a body.
const (
	maxChunkLine = 1 << 10  // a chunk size with its extensions
	maxExcess    = 16 << 10 // extensions of all chunks beyond as many bytes of data
	maxTrailer   = 16 << 10 // the trailer section
)

// dechunker decodes chunked coding (RFC 9112 section 7.1).
type dechunker struct {
	left   int64 // data bytes left in the current chunk
	excess int64
	state  chunkState
}

type chunkState uint8

const (
	chunkSize    chunkState = iota // at the start of a chunk line
	chunkData                      // within data
	chunkDataEnd                   // at the CRLF after data
	chunkTrailer                   // after the last chunk
	chunkDone
)

// decode decodes what p holds, in place: data is a part of p in which the data
// of all chunks at hand is joined. It used bytes of p; the others are needed
// again with more behind them. The trailer section goes to t.
func (d *dechunker) decode(p []byte, t *exchange.Head, lim Limits) (data []byte, used int, err error) {
	from, to := 0, 0 // of data
	for {
		switch d.state {
		case chunkSize:
			n, size, ext, err := chunkLine(p[used:])
			if err != nil || n == 0 {
				return p[from:to], used, err
			}
			if d.excess = max(d.excess+int64(ext)-size, 0); d.excess > maxExcess {
				return p[from:to], used, bad("there are too many chunk extensions")
			}
			used += n
			d.left, d.state = size, chunkData
			if size == 0 {
				d.state = chunkTrailer
			}
		case chunkData:
			n := int(min(d.left, int64(len(p)-used)))
			if n == 0 {
				return p[from:to], used, nil
			}
			if from == to { // the first stays where it is
				from, to = used, used
			} else {
				copy(p[to:], p[used:used+n])
			}
			to, used, d.left = to+n, used+n, d.left-int64(n)
			if d.left > 0 {
				return p[from:to], used, nil
			}
			d.state = chunkDataEnd
		case chunkDataEnd:
			rest := p[used:]
			if len(rest) > 0 && rest[0] != '\r' || len(rest) > 1 && rest[1] != '\n' {
				return p[from:to], used, bad("a chunk does not end where it says")
			}
			if len(rest) < 2 {
				return p[from:to], used, nil
			}
			used += 2
			d.state = chunkSize
		case chunkTrailer:
			n, err := trailerSection(p[used:], t, lim)
			if err != nil || n == 0 {
				return p[from:to], used, err
			}
			used += n
			d.state = chunkDone
		case chunkDone:
			return p[from:to], used, nil
		}
	}
}

// chunkLine parses a chunk size and skips its extensions, of ext bytes. n is 0
// if the line is not complete.
func chunkLine(p []byte) (n int, size int64, ext int, err error) {
	eol := bytes.IndexByte(p[:min(len(p), maxChunkLine)], '\n')
	if eol < 0 {
		if len(p) >= maxChunkLine {
			return 0, 0, 0, bad("a chunk line is too long")
		}
		return 0, 0, 0, nil
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
		if digits >= 15 { // what follows would not fit an int64
			return 0, 0, 0, bad("a chunk is too large")
		}
		size = size<<4 | int64(c)
	}
	if digits == 0 || p[eol-1] != '\r' {
		return 0, 0, 0, bad("a chunk size is not valid")
	}
	if digits < eol-1 {
		// No space before it: RFC 9112 section 7.1.1 calls that bad, and readers
		// differ in what they make of it.
		line := p[digits : eol-1]
		if line[0] != ';' || valueEnd(line, 0) != len(line) {
			return 0, 0, 0, bad("a chunk extension is not valid")
		}
		ext = len(line)
	}
	return eol + 1, size, ext, nil
}

// trailerSection parses the fields after the last chunk up to the empty line.
// Fields that frame, route or authenticate are dropped (RFC 9110 section 6.5.1).
func trailerSection(p []byte, t *exchange.Head, lim Limits) (n int, err error) {
	if len(p) >= 2 && p[0] == '\r' && p[1] == '\n' {
		return 2, nil
	}
	end := bytes.Index(p, headEnd)
	if n = end + len(headEnd); n > maxTrailer || end < 0 && len(p) > maxTrailer {
		return 0, &Error{431, "the trailer section is too large"}
	}
	if end < 0 {
		if i := bytes.IndexByte(p, '\n'); i == 0 || i > 0 && p[i-1] != '\r' {
			return 0, bad("a trailer line ends without CR")
		}
		return 0, nil
	}
	raw := bytes.Clone(p[:n]) // the buffer is used again before trailers are read
	t.Reset(raw)
	var m meta
	if end, err := parseFields(t, raw, 0, lim, &m); err != nil || end != n {
		t.Reset(nil)
		return 0, bad("the trailer section is not valid")
	}
	for i := t.Len() - 1; i >= 0; i-- {
		if id, name, _ := t.At(i); exchange.ForbiddenTrailer(id, name) {
			t.DelAt(i)
		}
	}
	return n, nil
}
