package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/headgate/headgate/runtime/exchange"
)

// AccessLog writes a line for each exchange. Lines are gathered and leave
// together, at least once a second. Record never waits for the disk: what a
// slow one can't take is dropped and counted. It is safe for concurrent use;
// after Close it discards.
type AccessLog struct {
	format func([]byte, *Entry) []byte
	out    io.Writer
	close  func() error

	mu      sync.Mutex
	written sync.Cond // writing has become false
	pending []byte    // whole lines
	spare   []byte
	writing bool // a goroutine is in write
	timed   bool // a timer will start one
	closed  bool
	dropped uint64
}

// Entry is what an access log line tells.
type Entry struct {
	X        *exchange.Exchange
	Status   int
	Sent     int64 // body bytes
	Duration time.Duration
}

// The bounds of what waits to be written: how much starts a write, how long
// less than that waits, and where lines are dropped.
const (
	accessBatch = 32 << 10
	accessDelay = time.Second
	accessLimit = 4 << 20
)

// OpenAccessLog opens path, which may be "stdout" or "stderr" for the given
// writers, for lines in format: json, common or combined; or, if template is not
// nil, for lines that it makes of an exchange.
func OpenAccessLog(path, format string, template exchange.Expr, stdout, stderr io.Writer) (*AccessLog, error) {
	l := &AccessLog{close: func() error { return nil }}
	l.written.L = &l.mu
	switch {
	case template != nil:
		l.format = func(b []byte, e *Entry) []byte { return appendTemplate(b, e, template) }
	case format == "json":
		l.format = appendJSON
	case format == "common":
		l.format = appendCommon
	case format == "combined":
		l.format = appendCombined
	default:
		return nil, fmt.Errorf("no access log format %q", format)
	}
	switch path {
	case "stdout":
		l.out = stdout
	case "stderr":
		l.out = stderr
	default:
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
		l.out, l.close = f, f.Close
	}
	return l, nil
}

// Record writes the line of one exchange.
func (l *AccessLog) Record(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if len(l.pending) > accessLimit {
		l.dropped++
		return
	}
	l.pending = append(l.format(l.pending, &e), '\n')
	switch {
	case l.writing:
	case len(l.pending) >= accessBatch:
		l.writing = true
		go l.write()
	case !l.timed:
		l.timed = true
		time.AfterFunc(accessDelay, l.tick)
	}
}

func (l *AccessLog) tick() {
	l.mu.Lock()
	l.timed = false
	start := !l.writing && !l.closed
	l.writing = l.writing || start
	l.mu.Unlock()
	if start {
		l.write()
	}
}

// write writes what waits until nothing does. A full disk loses lines, not the
// log.
func (l *AccessLog) write() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) > 0 {
		lines := l.pending
		l.pending, l.spare = l.spare[:0], nil
		l.mu.Unlock()
		_, err := l.out.Write(lines)
		l.mu.Lock()
		if err != nil {
			l.dropped += uint64(bytes.Count(lines, []byte{'\n'}))
		}
		if cap(lines) <= 2*accessBatch {
			l.spare = lines
		}
	}
	l.writing = false
	l.written.Broadcast()
}

// Dropped returns the number of lines that could not be written.
func (l *AccessLog) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Close writes what waits and closes the file.
func (l *AccessLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	for l.writing {
		l.written.Wait()
	}
	var err error
	if len(l.pending) > 0 {
		_, err = l.out.Write(l.pending)
		l.pending = nil
	}
	if cerr := l.close(); err == nil {
		err = cerr
	}
	return err
}

func appendJSON(b []byte, e *Entry) []byte {
	x := e.X
	b = append(b, `{"time":"`...)
	b = x.Start.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendField(b, "request_id", x.ID)
	b = appendField(b, "remote_ip", client(x))
	b = appendField(b, "method", x.Request.Method)
	b = appendField(b, "host", x.Request.Authority)
	b = appendField(b, "target", x.Request.Target)
	b = appendField(b, "protocol", x.Request.Proto.String())
	b = appendField(b, "route", x.Route)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, e.Sent, 10)
	b = append(b, `,"duration_ms":`...)
	b = strconv.AppendFloat(b, float64(e.Duration)/float64(time.Millisecond), 'f', 3, 64)
	b = appendField(b, "user_agent", header(x, "user-agent"))
	if x.Failure != nil {
		b = appendField(b, "error", x.Failure.Error())
	}
	if len(x.Fields) > 0 {
		b = append(b, `,"fields":{`...)
		for i, f := range x.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(append(b, '"'), f.Name), `":"`...)
			b = append(appendText(b, f.Value), '"')
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendField appends a string member. A client may have sent any bytes in it:
// what can't stand in JSON text as it is, is escaped.
func appendField(b []byte, name, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":"`...)
	return append(appendText(b, value), '"')
}

// appendText appends what stands between the quotes of a JSON string.
func appendText(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f || r == 0x2028 || r == 0x2029:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			b = utf8.AppendRune(b, r) // U+FFFD for what is not UTF-8
		}
	}
	return b
}

// appendCommon is the Common Log Format of NCSA httpd.
func appendCommon(b []byte, e *Entry) []byte {
	x := e.X
	b = append(b, client(x)...)
	b = append(b, " - "...)
	b = append(b, orDash(clean(x.Auth.Subject))...)
	b = append(b, " ["...)
	b = x.Start.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = append(b, clean(x.Request.Method+" "+x.Request.Target+" "+x.Request.Proto.String())...)
	b = append(b, `" `...)
	b = append(b, strconv.Itoa(e.Status)...)
	b = append(b, ' ')
	return strconv.AppendInt(b, e.Sent, 10)
}

func appendCombined(b []byte, e *Entry) []byte {
	b = appendCommon(b, e)
	for _, name := range [...]string{"referer", "user-agent"} {
		b = append(b, ` "`...)
		b = append(b, orDash(clean(header(e.X, name)))...)
		b = append(b, '"')
	}
	return b
}

// appendTemplate writes what a template makes of the exchange. A client may have
// sent any bytes in it: none of them ends the line.
func appendTemplate(b []byte, e *Entry, template exchange.Expr) []byte {
	v, err := template(e.X)
	if err != nil {
		return append(b, clean("access_log.format: "+err.Error())...)
	}
	switch v.Kind {
	case exchange.KindNumber:
		return strconv.AppendFloat(b, v.Num, 'f', -1, 64)
	case exchange.KindBool:
		return strconv.AppendBool(b, v.Bool)
	}
	for _, r := range v.Text {
		if r < 0x20 || r == 0x7f {
			b = fmt.Appendf(b, `\x%02x`, r)
			continue
		}
		b = utf8.AppendRune(b, r)
	}
	return b
}

func client(x *exchange.Exchange) string {
	if !x.RemoteIP.IsValid() {
		return "-"
	}
	return x.RemoteIP.String()
}

func header(x *exchange.Exchange, name string) string {
	v, _ := x.Request.Head.Get(name)
	return string(v)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// clean keeps a client from writing lines or quotes of its own.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}
