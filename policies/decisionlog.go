package policies

import (
	"encoding/json"
	"io"
	"log/slog"
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

// event is one decision on its way to the log.
type event struct {
	id     string
	start  time.Time
	input  ast.Value
	size   int
	result ast.Value
	err    error
	cached bool

	line logLine
}

// logLine is OPA's decision log event, version 1, as far as it applies here.
type logLine struct {
	Labels      map[string]string `json:"labels"`
	DecisionID  string            `json:"decision_id"`
	Path        string            `json:"path"`
	Input       any               `json:"input,omitempty"`
	Result      any               `json:"result,omitempty"`
	Error       *logError         `json:"error,omitempty"`
	RequestedBy string            `json:"requested_by,omitempty"`
	Timestamp   time.Time         `json:"timestamp"`
	Metrics     map[string]int64  `json:"metrics"`
	Custom      map[string]string `json:"custom,omitempty"`
}

type logError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// record hands the decision to the log. Nothing in it refers to the exchange's
// buffers any more.
func (e *event) record(p *Policy, x *exchange.Exchange) {
	e.line = logLine{
		Labels: map[string]string{"app": "headgate", "policy": p.name}, DecisionID: e.id, Path: p.path,
		Timestamp: e.start.UTC(), Metrics: map[string]int64{"timer_server_handler_ns": since(e.start)},
		Custom: map[string]string{"request_id": strings.Clone(x.ID), "route": strings.Clone(x.Route)},
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

// decisionLog writes decisions in the background: a slow writer costs lines,
// never requests. One goroutine, ended by close.
type decisionLog struct {
	mu     sync.RWMutex // writers of queue; held whole to close it
	closed bool
	queue  chan event

	held    atomic.Int64
	dropped atomic.Int64
	done    chan struct{}
	log     *slog.Logger
}

func newDecisionLog(w io.Writer, log *slog.Logger) *decisionLog {
	l := &decisionLog{queue: make(chan event, logEntries), done: make(chan struct{}), log: log}
	go l.run(w)
	return l
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

func (l *decisionLog) run(w io.Writer) {
	defer close(l.done)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	broken := false
	for e := range l.queue {
		err := e.write(enc)
		l.held.Add(-int64(e.size))
		if err != nil && !broken {
			l.log.Error("the decision log can't be written", "error", err.Error())
		}
		broken = err != nil
		if n := l.dropped.Swap(0); n > 0 {
			l.log.Warn("decisions were not logged: the decision log is slower than the traffic", "count", n)
		}
	}
}

func (e *event) write(enc *json.Encoder) (err error) {
	if e.input != nil {
		if e.line.Input, err = ast.JSON(e.input); err != nil {
			return err
		}
	}
	if e.result != nil {
		if e.line.Result, err = ast.JSON(e.result); err != nil {
			return err
		}
	}
	return enc.Encode(&e.line)
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
	t := time.NewTimer(logPatience)
	defer t.Stop()
	select {
	case <-l.done:
	case <-t.C:
		l.log.Warn("the decision log's writer is stuck; what waited is lost")
	}
}

// logPath is the decision's path as OPA writes it: "orders/authz/decision".
func logPath(ref ast.Ref) string {
	var b strings.Builder
	for i, t := range ref[1:] {
		if i > 0 {
			b.WriteByte('/')
		}
		if s, ok := t.Value.(ast.String); ok {
			b.WriteString(string(s))
		}
	}
	return b.String()
}
