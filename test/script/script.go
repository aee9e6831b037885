// Package script runs lists of requests and expected answers against a server:
// the requests.txt of the examples. The format is described in
// examples/README.md.
//
// It is for tests, and must know nothing of the gateway but that it speaks HTTP.
package script

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Exchange is one request and what must come back.
type Exchange struct {
	Name string
	Line int // where it starts

	Method, Target string
	Headers        []Field
	Body           string

	Status int
	Want   []Field
	// Exact is the whole body if HasExact.
	Exact    string
	HasExact bool
	// Contains and Lacks are texts in the body, or not in it.
	Contains, Lacks []string
}

// Field is a header field: to send, or expected.
type Field struct {
	Name, Value string
	Match       *regexp.Regexp // instead of Value
	Absent      bool
}

// Parse reads a script; name is for its errors.
func Parse(name, text string) ([]Exchange, error) {
	p := parser{name: name}
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		p.line++
		if err := p.add(strings.TrimRight(sc.Text(), " \t\r")); err != nil {
			return nil, err
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	if len(p.list) == 0 {
		return nil, fmt.Errorf("%s: no exchange", name)
	}
	return p.list, nil
}

// ParseFile reads the script of a file.
func ParseFile(path string) ([]Exchange, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, string(src))
}

// The places inside an exchange, in their order.
const (
	atRequest = iota
	atRequestHead
	atRequestBody
	atAnswer
	atAnswerHead
	atAnswerBody
)

type parser struct {
	name  string
	line  int
	list  []Exchange
	open  bool
	at    int
	body  []string
	exact []string
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.name, p.line, fmt.Sprintf(format, args...))
}

// finish closes the exchange that is open.
func (p *parser) finish() error {
	if !p.open {
		return nil
	}
	e := &p.list[len(p.list)-1]
	if e.Status == 0 {
		return p.errorf("the exchange %q has no answer", e.Name)
	}
	e.Body = strings.Join(p.body, "\n")
	if len(p.exact) > 0 {
		e.Exact, e.HasExact = strings.Join(p.exact, "\n"), true
	}
	p.open, p.body, p.exact = false, nil, nil
	return nil
}

func (p *parser) add(line string) error {
	mark, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "" || strings.HasPrefix(line, "#"):
		return nil
	case mark == "==":
		if err := p.finish(); err != nil {
			return err
		}
		if rest == "" {
			return p.errorf("an exchange needs a name")
		}
		p.list = append(p.list, Exchange{Name: rest, Line: p.line})
		p.open, p.at = true, atRequest
		return nil
	case !p.open:
		return p.errorf("expected == and a name")
	}
	e := &p.list[len(p.list)-1]
	switch mark {
	case ">":
		return p.request(e, rest)
	case "<":
		return p.answer(e, rest)
	case "~", "!~":
		if p.at != atAnswerBody || rest == "" {
			return p.errorf("%s and a text stand after the empty < line", mark)
		}
		if mark == "~" {
			e.Contains = append(e.Contains, rest)
		} else {
			e.Lacks = append(e.Lacks, rest)
		}
		return nil
	}
	return p.errorf("a line starts with ==, >, <, ~, !~ or #")
}

func (p *parser) request(e *Exchange, rest string) error {
	switch p.at {
	case atRequest:
		var ok bool
		if e.Method, e.Target, ok = strings.Cut(rest, " "); !ok || !strings.HasPrefix(e.Target, "/") || strings.Contains(e.Target, " ") {
			return p.errorf("a request starts with method and target: > GET /path")
		}
		p.at = atRequestHead
	case atRequestHead:
		if rest == "" {
			p.at = atRequestBody
			return nil
		}
		name, value, ok := strings.Cut(rest, ":")
		if !ok || name == "" {
			return p.errorf("a header field is name: value")
		}
		e.Headers = append(e.Headers, Field{Name: name, Value: strings.TrimSpace(value)})
	case atRequestBody:
		p.body = append(p.body, rest)
	default:
		return p.errorf("the request stands before the answer")
	}
	return nil
}

func (p *parser) answer(e *Exchange, rest string) error {
	switch p.at {
	case atRequest:
		return p.errorf("the answer stands after the request")
	case atRequestHead, atRequestBody:
		status, err := strconv.Atoi(rest)
		if err != nil || status < 100 || status > 599 {
			return p.errorf("an answer starts with its status: < 200")
		}
		e.Status, p.at = status, atAnswerHead
	case atAnswerHead:
		if rest == "" {
			p.at = atAnswerBody
			return nil
		}
		f, err := expectation(rest)
		if err != nil {
			return p.errorf("%v", err)
		}
		e.Want = append(e.Want, f)
	default:
		p.exact = append(p.exact, rest)
	}
	return nil
}

func expectation(text string) (Field, error) {
	if name, ok := strings.CutPrefix(text, "!"); ok {
		return Field{Name: name, Absent: true}, nil
	}
	name, value, ok := strings.Cut(text, ":")
	if !ok || name == "" {
		return Field{}, fmt.Errorf("a header field is name: value, name: /regex/ or !name")
	}
	f := Field{Name: name, Value: strings.TrimSpace(value)}
	if v := f.Value; len(v) > 1 && v[0] == '/' && v[len(v)-1] == '/' {
		re, err := regexp.Compile(v[1 : len(v)-1])
		if err != nil {
			return Field{}, err
		}
		f.Match = re
	}
	return f, nil
}
