package telemetry

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// AccessLog writes a line for each exchange. Lines are buffered and leave at
// least once a second. It is safe for concurrent use; after Close it discards.
type AccessLog struct {
	format func([]byte, *Entry) []byte
	close  func() error

	mu    sync.Mutex
	out   io.Writer
	w     *bufio.Writer // nil after Close
	timer *time.Timer
	line  []byte
}

// Entry is what an access log line tells.
type Entry struct {
	X        *exchange.Exchange
	Status   int
	Sent     int64 // body bytes
	Duration time.Duration
}

// The bounds of what waits to be written.
const (
	accessBuffer = 64 << 10
	accessDelay  = time.Second
)

// OpenAccessLog opens path, which may be "stdout" or "stderr" for the given
// writers, for lines in format: json, common or combined.
func OpenAccessLog(path, format string, stdout, stderr io.Writer) (*AccessLog, error) {
	l := &AccessLog{close: func() error { return nil }}
	switch format {
	case "json":
		l.format = appendJSON
	case "common":
		l.format = appendCommon
	case "combined":
		l.format = appendCombined
	default:
		return nil, fmt.Errorf("no access log format %q", format)
	}
	var w io.Writer
	switch path {
	case "stdout":
		w = stdout
	case "stderr":
		w = stderr
	default:
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
		w, l.close = f, f.Close
	}
	l.out, l.w = w, bufio.NewWriterSize(w, accessBuffer)
	return l, nil
}

// Record writes the line of one exchange.
func (l *AccessLog) Record(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return
	}
	l.line = append(l.format(l.line[:0], &e), '\n')
	_, _ = l.w.Write(l.line)
	if l.timer == nil {
		l.timer = time.AfterFunc(accessDelay, l.flush)
	}
}

func (l *AccessLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	if l.w != nil {
		l.settle()
	}
}

// settle writes what waits. A full disk loses lines, not the log.
func (l *AccessLog) settle() {
	if l.w.Flush() != nil {
		l.w.Reset(l.out)
	}
}

// Close writes what waits and closes the file.
func (l *AccessLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return nil
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	err := l.w.Flush()
	l.w = nil
	if cerr := l.close(); err == nil {
		err = cerr
	}
	return err
}

func appendJSON(b []byte, e *Entry) []byte {
	x := e.X
	field := func(name, value string) {
		b = append(b, ',', '"')
		b = append(append(b, name...), `":`...)
		q, err := json.Marshal(value) // escapes what a client may have sent
		if err != nil {
			q = []byte(`""`)
		}
		b = append(b, q...)
	}
	b = append(b, `{"time":"`...)
	b = x.Start.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	field("request_id", x.ID)
	field("remote_ip", client(x))
	field("method", x.Request.Method)
	field("host", x.Request.Authority)
	field("target", x.Request.Target)
	field("protocol", x.Request.Proto.String())
	field("route", x.Route)
	b = append(append(b, `,"status":`...), strconv.Itoa(e.Status)...)
	b = append(append(b, `,"bytes":`...), strconv.FormatInt(e.Sent, 10)...)
	b = append(b, `,"duration_ms":`...)
	b = strconv.AppendFloat(b, float64(e.Duration)/float64(time.Millisecond), 'f', 3, 64)
	field("user_agent", header(x, "user-agent"))
	if x.Failure != nil {
		field("error", x.Failure.Error())
	}
	return append(b, '}')
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
