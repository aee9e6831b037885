package policies

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// Bounds of what waits to be written; decisions beyond are dropped and counted.
const (
	logEntries = 1024
	logBytes   = 16 << 20
	// logPatience is how long closing waits for a slow writer.
	logPatience = time.Second
)

// LogSpec says where decisions are logged. There may be a file and a service.
type LogSpec struct {
	// Path is "stdout", "stderr", a file, or "" for none.
	Path string
	// Service is a URL that takes batches as OPA sends them: gzipped JSON arrays
	// by POST; "" for none. Token is sent as a bearer token if it is not "".
	Service, Token string
	// Rate bounds the decisions logged per second; 0: all are.
	Rate int
}

// event is one decision on its way to the log.
type event struct {
	program *program
	id      string
	start   time.Time
	input   ast.Value
	size    int
	result  ast.Value
	err     error
	cached  bool
	// response: the decision is about a response.
	response bool

	line logLine
}

// logLine is OPA's decision log event, version 1, as far as it applies here.
type logLine struct {
	Labels      map[string]string    `json:"labels"`
	DecisionID  string               `json:"decision_id"`
	Bundles     map[string]logBundle `json:"bundles,omitempty"`
	Path        string               `json:"path"`
	Input       any                  `json:"input,omitempty"`
	Result      any                  `json:"result,omitempty"`
	Erased      []string             `json:"erased,omitempty"`
	Masked      []string             `json:"masked,omitempty"`
	Error       *logError            `json:"error,omitempty"`
	RequestedBy string               `json:"requested_by,omitempty"`
	Timestamp   time.Time            `json:"timestamp"`
	Metrics     map[string]int64     `json:"metrics"`
	Custom      map[string]string    `json:"custom,omitempty"`
}

type logBundle struct {
	Revision string `json:"revision,omitempty"`
}

type logError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// record hands the decision to the log. Nothing in it refers to the exchange's
// buffers any more.
func (e *event) record(p *Policy, x *exchange.Exchange) {
	if !p.log.admits(e.start) {
		return
	}
	e.line = logLine{
		Labels: p.log.labels, DecisionID: e.id, Path: p.path, Bundles: e.program.bundles,
		Timestamp: e.start.UTC(), Metrics: map[string]int64{"timer_server_handler_ns": since(e.start)},
		Custom: map[string]string{"request_id": strings.Clone(x.ID), "route": strings.Clone(x.Route)},
	}
	if e.response {
		e.line.Path = p.responsePath
	}
	if e.cached {
		e.line.Metrics["counter_headgate_decision_cache_hit"] = 1
	}
	if x.Conn != nil && x.Conn.Peer.IsValid() {
		e.line.RequestedBy = x.Conn.Peer.String()
	}
	if e.err != nil {
		e.line.Error = &logError{Code: "internal_error", Message: e.err.Error()}
	}
	p.log.put(*e)
}

// logSink takes lines of JSON, one decision each. It is used by one goroutine.
type logSink interface {
	write(line []byte) error
	// close gives up after logPatience.
	close()
}

// decisionLog masks and writes decisions in the background: a slow writer costs
// lines, never requests. One goroutine, ended by close.
type decisionLog struct {
	labels map[string]string
	sinks  []logSink
	rate   int

	mu     sync.RWMutex // writers of queue; held whole to close it
	closed bool
	queue  chan event

	bucket  atomic.Int64 // the theoretical arrival time of the rate, in ns
	held    atomic.Int64
	dropped atomic.Int64 // the queue was full
	limited atomic.Int64 // over the rate
	done    chan struct{}
	log     *slog.Logger
}

// openDecisionLog starts the log of a policy. The caller closes it.
func openDecisionLog(s *LogSpec, name string, o Options) (*decisionLog, error) {
	l := &decisionLog{
		labels: map[string]string{"app": "headgate", "policy": name},
		rate:   s.Rate, queue: make(chan event, logEntries), done: make(chan struct{}), log: o.Log.With("policy", name),
	}
	switch s.Path {
	case "":
	case "stdout":
		l.sinks = append(l.sinks, writerSink{w: o.Stdout})
	case "stderr":
		l.sinks = append(l.sinks, writerSink{w: o.Stderr})
	default:
		f, err := os.OpenFile(s.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return nil, err
		}
		l.sinks = append(l.sinks, writerSink{w: f, c: f})
	}
	if s.Service != "" {
		l.sinks = append(l.sinks, newServiceSink(s.Service, s.Token, l.log))
	}
	go l.run()
	return l, nil
}

// admits applies the rate: it lets a second's worth through at once.
func (l *decisionLog) admits(now time.Time) bool {
	if l.rate <= 0 {
		return true
	}
	per := int64(time.Second) / int64(l.rate)
	t := now.UnixNano()
	for {
		at := l.bucket.Load()
		next := max(at, t) + per
		if next-t > int64(time.Second) {
			l.limited.Add(1)
			return false
		}
		if l.bucket.CompareAndSwap(at, next) {
			return true
		}
	}
}

func (l *decisionLog) put(e event) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.held.Add(int64(e.size)) <= logBytes && !l.closed {
		select {
		case l.queue <- e:
			return
		default:
		}
	}
	l.held.Add(-int64(e.size))
	l.dropped.Add(1)
}

func (l *decisionLog) run() {
	defer close(l.done)
	broken := map[string]bool{}
	for e := range l.queue {
		line, err := e.json()
		l.held.Add(-int64(e.size))
		l.note(broken, "a decision can't be logged", err)
		if line != nil {
			for _, s := range l.sinks {
				l.note(broken, "the decision log can't be written", s.write(line))
			}
		}
		l.tellLost()
	}
	l.tellLost()
	for _, s := range l.sinks {
		s.close()
	}
}

func (l *decisionLog) tellLost() {
	if n := l.dropped.Swap(0); n > 0 {
		l.log.Warn("decisions were not logged: the decision log is slower than the traffic", "count", n)
	}
	if n := l.limited.Swap(0); n > 0 {
		l.log.Info("decisions were not logged: there were more than the rate of the log", "count", n)
	}
}

// note logs the first of several failures of one kind in a row.
func (l *decisionLog) note(broken map[string]bool, what string, err error) {
	if err != nil && !broken[what] {
		l.log.Error(what, "error", err.Error())
	}
	broken[what] = err != nil
}

// json is the line of the event, nil if it is dropped.
func (e *event) json() ([]byte, error) {
	var err error
	if e.input != nil {
		if e.line.Input, err = ast.JSON(e.input); err != nil {
			return nil, err
		}
	}
	if e.result != nil {
		if e.line.Result, err = ast.JSON(e.result); err != nil {
			return nil, err
		}
	}
	if m := e.program.masks; m != nil {
		keep, err := m.apply(context.Background(), &e.line)
		if err != nil || !keep {
			return nil, err
		}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err = enc.Encode(&e.line)
	return []byte(b.String()), err
}

// close writes what waits, but does not wait for ever.
func (l *decisionLog) close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	t := time.NewTimer(2 * logPatience)
	defer t.Stop()
	select {
	case <-l.done:
	case <-t.C:
		l.log.Warn("the decision log's writer is stuck; what waited is lost")
	}
}

// writerSink writes lines to a file or a standard stream.
type writerSink struct {
	w io.Writer
	c io.Closer // nil if it is not ours
}

func (s writerSink) write(line []byte) error {
	if s.w == nil {
		return errors.New("there is no such stream")
	}
	_, err := s.w.Write(line)
	return err
}

func (s writerSink) close() {
	if s.c != nil {
		_ = s.c.Close()
	}
}

// logPath is the decision's path as OPA writes it: "orders/authz/decision".
func logPath(ref ast.Ref) string {
	var b strings.Builder
	for i, t := range ref {
		if i == 0 {
			continue // data
		}
		if i > 1 {
			b.WriteByte('/')
		}
		if s, ok := t.Value.(ast.String); ok {
			b.WriteString(string(s))
		}
	}
	return b.String()
}
