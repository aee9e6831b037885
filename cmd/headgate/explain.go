package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
)

const explainUsage = `
Tell where a request goes and why: the route that takes it, what each filter and
policy decides, what would be sent to the upstream, and for the routes that came
near the condition that failed. Nothing is sent. Filters run as for any request.

  headgate explain -config DIR METHOD URL [-H "name: value"]... [-d body]
  headgate explain -config examples/quickstart GET http://localhost:8080/orders/1
  headgate explain -admin http://127.0.0.1:9901 POST http://api.example.com/orders -d '{}'
`

// headers are the values of repeated -H flags.
type headers [][2]string

// String implements flag.Value.
func (h *headers) String() string { return "" }

// Set implements flag.Value.
func (h *headers) Set(s string) error {
	name, value, ok := strings.Cut(s, ":")
	if !ok || name == "" {
		return errors.New(`write "name: value"`)
	}
	*h = append(*h, [2]string{name, strings.TrimSpace(value)})
	return nil
}

func runExplain(args []string, s streams) int {
	f := newFlags("explain", explainUsage)
	in, format, admin := f.input(), f.format(), f.admin()
	dir := f.String("config", ".", "`directory` or file of the configuration")
	var q gateway.Question
	f.Var((*headers)(&q.Headers), "H", "`header` of the request, \"name: value\"; may be repeated")
	f.StringVar(&q.Body, "d", "", "`body` of the request; @FILE reads it from a file, @- from the standard input")
	f.StringVar(&q.RemoteIP, "remote-ip", "", "`address` of the client's connection; 127.0.0.1 if absent")
	f.StringVar(&q.Listener, "listener", "", "`name` of the listener; the one with the port of the URL, or the first, if absent")
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	case len(rest) != 2:
		return f.misuse(s, "write a method and a URL, such as GET http://localhost:8080/orders")
	}
	q.Method, q.URL = rest[0], rest[1]
	if name, ok := strings.CutPrefix(q.Body, "@"); ok {
		body, err := readBody(name, s.in)
		if err != nil {
			return report(err, "explain", s)
		}
		q.Body = body
	}
	var e *gateway.Explanation
	var err error
	if *admin != "" {
		err = adminAPI{*admin}.call("/explain", q, &e)
	} else {
		e, err = gateway.Explain(background(), in.options([]string{*dir}, s), q)
	}
	var wrong *gateway.QuestionError
	var refused *refusal
	if errors.As(err, &wrong) || errors.As(err, &refused) {
		fmt.Fprintf(s.err, "headgate explain: %v\n", err)
		return exitInput
	}
	if err != nil {
		return report(err, "explain", s)
	}
	if *format == "json" {
		return writeJSON(s.out, e)
	}
	writeExplanation(s.out, &q, e)
	return exitOK
}

// maxQuestionBody bounds the body of a request to explain in bytes.
const maxQuestionBody = 1 << 20

func readBody(name string, stdin io.Reader) (string, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer file.Close()
		stdin = file
	}
	b, err := io.ReadAll(io.LimitReader(stdin, maxQuestionBody+1))
	if err == nil && len(b) > maxQuestionBody {
		err = fmt.Errorf("the body is larger than %d bytes", maxQuestionBody)
	}
	return string(b), err
}

func writeExplanation(w io.Writer, q *gateway.Question, e *gateway.Explanation) {
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	line("request   %s %s, host %s, from %s, listener %s", q.Method, e.Path, quotedOr(e.Host, "none"), quotedOr(e.RemoteIP, "nowhere"), quotedOr(e.Listener, "none"))
	if e.Route == nil {
		line("route     none")
	} else {
		line("route     %s, %s", e.Route.Name, e.Route.At)
		for _, name := range slices.Sorted(maps.Keys(e.Params)) {
			line("          path.%s = %q", name, e.Params[name])
		}
	}
	for i, f := range e.Filters {
		head := "          "
		if i == 0 {
			head = "filters   "
		}
		line("%s%s", head, outcome(&f))
		for _, why := range f.Why {
			line("            %s", why)
		}
	}
	switch {
	case e.Forward != nil:
		line("forward   to %s", targets(e.Forward.Targets))
		line("          %s %s, host %s", e.Forward.Method, e.Forward.Target, e.Forward.Host)
		for _, h := range e.Forward.Headers {
			line("          %s: %s", h[0], h[1])
		}
	case e.Answer != nil:
		reason := ""
		if e.Answer.Reason != "" {
			reason = ": " + e.Answer.Reason
		}
		line("answer    %d%s", e.Answer.Status, reason)
		for _, h := range e.Answer.Headers {
			line("          %s: %s", h[0], h[1])
		}
		if e.Answer.Body != "" {
			line("          %s", strings.ReplaceAll(strings.TrimRight(e.Answer.Body, "\n"), "\n", "\n          "))
		}
	}
	writeMisses(w, e.Misses)
}

func outcome(f *gateway.FilterOutcome) string {
	s := f.Name + ": "
	if f.Shadow {
		s += "(shadow) "
	}
	s += f.Outcome
	switch {
	case f.Status != 0:
		s += fmt.Sprintf(" with %d", f.Status)
	case f.Error != "":
		s += ", " + f.Error
	case f.Outcome == "skipped":
		s += ", its when is false"
	}
	if f.Micros > 0 {
		s += fmt.Sprintf(" (%d us)", f.Micros)
	}
	return s
}

func writeMisses(w io.Writer, misses []config.Miss) {
	for i, m := range misses {
		head := "          "
		if i == 0 {
			head = "not       "
		}
		if len(m.Failed) == 0 {
			fmt.Fprintf(w, "%s%s: it fits too, and comes later, %s\n", head, m.Route.Name, m.Route.At)
			continue
		}
		var why []string
		for _, o := range m.Failed {
			why = append(why, o.What+" ("+o.At+")")
		}
		fmt.Fprintf(w, "%s%s: %s\n", head, m.Route.Name, strings.Join(why, ", "))
	}
}

func quotedOr(s, none string) string {
	if s == "" {
		return none
	}
	return s
}
