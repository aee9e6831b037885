package golden

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// run is one exchange on its way through the filter.
type run struct {
	filter exchange.Filter
	scene  *scene
	buffer int64
	x      *exchange.Exchange

	verdict  []string
	upstream *message
	response *message
}

// outcome plays the exchange and tells what came out.
func (r *run) outcome(w *world) (o outcome) {
	r.play()
	r.filter.Done(r.x)
	r.x.Forget()
	fetched, log := w.said()
	o.add(partVerdict, strings.Join(r.verdict, "\n"))
	o.add(partFetched, fetched)
	if r.upstream != nil {
		o.addMessage(partUpstream, r.upstream)
	}
	if r.response != nil {
		o.addMessage(partResponse, r.response)
	}
	for _, e := range r.scene.kept {
		value, ok := w.Get(e.namespace, e.key)
		if !ok {
			value = []byte("(nothing)")
		}
		o = append(o, part{partKept + " " + e.namespace + " " + e.key, string(value) + "\n"})
	}
	if r.scene.log {
		o.add(partLog, log+"\n")
	}
	return o
}

func (r *run) play() {
	r.send()
	needs := r.filter.Needs()
	if !r.read(&r.x.Request.Message, needs.Request, 413) {
		return
	}
	v := r.filter.Request(r.x)
	switch {
	case v == exchange.Fail:
		r.fail("fail", r.x.Failure)
		return
	case v == exchange.Reply:
		r.reply()
		return
	}
	if !r.forward() {
		return
	}
	r.verdict = append(r.verdict, "continue")
	r.answer()
	if !r.read(&r.x.Response.Message, needs.Response, 502) {
		return
	}
	switch r.filter.Response(r.x) {
	case exchange.Fail:
		r.fail("fail the response", r.x.Failure)
		return
	case exchange.Reply:
		r.verdict = append(r.verdict, "replace the response")
	}
	r.respond()
}

// send puts the request of the file into the exchange.
func (r *run) send() {
	q, m := &r.x.Request, &r.scene.request
	method, uri, _ := m.request() // checked when the file was read
	q.Proto, q.Method, q.Scheme, q.Authority, q.Target = exchange.HTTP11, method, "http", "example.com", uri
	q.Path, q.RawQuery = target(uri)
	for _, f := range m.fields {
		if strings.EqualFold(f[0], "host") {
			q.Authority = f[1]
			continue
		}
		q.Head.Add(f[0], f[1])
	}
	r.x.Host, _, _ = strings.Cut(strings.ToLower(q.Authority), ":")
	content(&q.Message, m.body)
}

// answer puts the backend's answer into the exchange.
func (r *run) answer() {
	a, m := &r.x.Response, &r.scene.answer
	a.Status, _ = m.status()
	// A field that the plugin set before stays, as in the gateway.
	for _, f := range m.fields {
		a.Head.Add(f[0], f[1])
	}
	content(&a.Message, m.body)
}

// content is a body that arrives in one piece.
func content(m *exchange.Message, body string) {
	if body == "" {
		return
	}
	m.Body, m.Length = &whole{p: []byte(body)}, int64(len(body))
	if _, ok := m.Head.Get("content-length"); !ok {
		m.Head.Add("content-length", fmt.Sprint(len(body)))
	}
}

type whole struct {
	p    []byte
	done bool
}

// Next implements exchange.Body.
func (w *whole) Next() ([]byte, error) {
	if w.done {
		return nil, io.EOF
	}
	w.done = true
	return w.p, io.EOF
}

// Ready implements exchange.Body.
func (w *whole) Ready() bool { return true }

// read reads a body ahead if the filter wants that.
func (r *run) read(m *exchange.Message, need exchange.Need, status int) bool {
	if need == exchange.NeedNothing {
		return true
	}
	err := r.x.ReadAhead(m, r.buffer)
	if _, all := m.Content(); err == nil && (all || need != exchange.NeedWhole) {
		return true
	}
	r.verdict = append(r.verdict, fmt.Sprintf("the gateway answers %d: the body is larger than limits.buffer", status))
	return false
}

// fail notes what failed and why.
func (r *run) fail(what string, err error) { r.verdict = append(r.verdict, what+": "+reason(err)) }

// reason is why an exchange failed, without the name of the plugin.
func reason(err error) string {
	var failed *abi.FailError
	switch {
	case err == nil:
		return "no reason given"
	case errors.As(err, &failed):
		return failed.Reason
	}
	_, text, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		text = err.Error()
	}
	return text
}

func (r *run) reply() {
	r.verdict = append(r.verdict, "reply")
	r.respond()
}

// forward is what the backend sees. A filter may be part of the body, and answer
// in the middle of it.
func (r *run) forward() bool {
	q := &r.x.Request
	body, err := drain(&q.Message)
	var a *exchange.Answer
	switch {
	case errors.As(err, &a):
		a.Give(r.x)
		r.reply()
		return false
	case err != nil:
		r.fail("fail", err)
		return false
	}
	uri := q.Path
	if q.RawQuery != "" {
		uri += "?" + q.RawQuery
	}
	m := &message{start: q.Method + " " + uri, body: body}
	m.fields = append(m.fields, [2]string{"host", q.Authority})
	m.add(&q.Head)
	r.upstream = framed(m)
	return true
}

// respond is what the client sees.
func (r *run) respond() {
	a := &r.x.Response
	body, err := drain(&a.Message)
	var in *exchange.Answer
	switch {
	case errors.As(err, &in):
		in.Give(r.x)
		r.verdict = append(r.verdict, "replace the response")
		body, err = drain(&a.Message)
	}
	if err != nil {
		r.fail("fail the response", err)
		return
	}
	m := &message{start: fmt.Sprint(a.Status), body: body}
	m.add(&a.Head)
	r.response = framed(m)
}

// framed leaves out the length of the body, which the gateway writes itself.
func framed(m *message) *message {
	kept := m.fields[:0]
	for _, f := range m.fields {
		if f[0] != "content-length" {
			kept = append(kept, f)
		}
	}
	m.fields = kept
	return m
}

func drain(m *exchange.Message) (string, error) {
	if m.Body == nil {
		return "", nil
	}
	var b strings.Builder
	for {
		p, err := m.Body.Next()
		b.Write(p)
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
	}
}
