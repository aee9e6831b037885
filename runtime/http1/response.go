package http1

import (
	"bytes"

	"github.com/headgate/headgate/runtime/exchange"
)

// ParseResponse does for a response, to a request of the given method, what
// ParseRequest does for a request. Length is Unknown for chunked and for
// close-delimited bodies.
func ParseResponse(buf []byte, method string, r *exchange.Response, lim Limits) (n int, err error) {
	n, _, err = parseResponse(buf, 0, method, r, lim.withDefaults())
	return n, err
}

func parseResponse(buf []byte, seen int, method string, r *exchange.Response, lim Limits) (int, meta, error) {
	var m meta
	if seen > 0 {
		if n, err := findEnd(buf, seen, lim); n == 0 || err != nil {
			return 0, m, upstreamError(err)
		}
	}
	head := buf[:min(len(buf), lim.MaxHeaderBytes)]
	eol := bytes.IndexByte(head, '\n')
	if eol < 0 {
		_, err := findEnd(buf, 0, lim)
		return 0, m, upstreamError(err)
	}
	http10, err := parseStatusLine(head[:eol], r)
	if err != nil {
		return 0, m, err
	}
	r.Head.Reset(head)
	n, err := parseFields(&r.Head, head, eol+1, lim, &m)
	if n == 0 && err == nil {
		_, err = findEnd(buf, 0, lim)
	}
	if n == 0 || err != nil {
		return 0, m, upstreamError(err)
	}
	if err := m.framing(http10); err != nil {
		return 0, m, upstreamError(err)
	}
	r.Upgrade = ""
	if r.Status == 101 {
		if http10 || m.upgrades != 1 {
			return 0, m, &Error{502, "the response switches to no protocol"}
		}
		r.Upgrade = m.upgradeTo
	}
	if http10 && !m.keepAlive {
		m.close = true
	}
	switch {
	case method == "HEAD" || r.Status == 304:
		r.Length = exchange.Unknown
		if m.hasLength {
			r.Length = m.length
		}
	case noContent(method, r.Status):
		// Content announced where there can be none: whether it follows can't be
		// known, so nothing else may follow.
		m.close = m.close || m.chunked || m.length > 0
		r.Length = 0
	case m.hasLength:
		r.Length = m.length
	default:
		r.Length = exchange.Unknown
	}
	r.Close = m.close || r.Length == exchange.Unknown && !m.chunked && !noContent(method, r.Status)
	return n, m, nil
}

// parseStatusLine parses line, which ends in CR (RFC 9112 section 4). Some
// servers leave the space before an empty reason out.
func parseStatusLine(line []byte, r *exchange.Response) (http10 bool, err error) {
	end := len(line) - 1
	if end < 12 || line[end] != '\r' || string(line[:7]) != "HTTP/1." || line[8] != ' ' || end > 12 && line[12] != ' ' ||
		!digit(line[9]) || !digit(line[10]) || !digit(line[11]) || valueEnd(line, 0) != end {
		return false, &Error{502, "the status line is not valid"}
	}
	if http10 = line[7] == '0'; !http10 && line[7] != '1' {
		return false, &Error{502, "the version of the response is not supported"}
	}
	r.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if r.Status < 100 || r.Status > 599 {
		return false, &Error{502, "the status is out of range"}
	}
	return http10, nil
}

// upstreamError is err with the status of a bad answer.
func upstreamError(err error) error {
	if e, ok := err.(*Error); ok {
		return &Error{502, e.Reason}
	}
	return err
}

// noContent reports whether a response has no body whatever its fields say (RFC
// 9112 section 6.3).
func noContent(method string, status int) bool {
	return method == "HEAD" || status < 200 || status == 204 || status == 304
}
