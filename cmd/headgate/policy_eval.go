package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/headgate/headgate/policies"
	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

const policyEvalUsage = `
Decide about one request and tell which rules held, with the places of those that
did not. The request is a file with an HTTP/1.1 request, or JSON: the input
document itself. Exits with 1 if the request is denied.

  headgate policy eval -decide RULE -i FILE PATH...
  headgate policy eval -decide data.shop.authz.allow -i request.http policies/
  headgate policy eval -decide data.shop.authz.allow -i input.json -o json policies/
`

func runPolicyEval(args []string, s streams) int {
	f := newFlags("policy eval", policyEvalUsage)
	format := f.format()
	from := f.String("i", "-", "`file` with a request or an input document; - is standard input")
	remote := f.String("remote-ip", "127.0.0.1", "`address` of the client")
	showInput := f.Bool("input", false, "print the input that the policy sees")
	var peer netip.Addr
	p, code := f.policy(args, s, format, func() string {
		var err error
		if peer, err = netip.ParseAddr(*remote); err != nil {
			return fmt.Sprintf("%q is not an address", *remote)
		}
		return ""
	})
	if p == nil {
		return code
	}
	defer p.Close()
	src, err := readInput(*from, s)
	if err != nil {
		fmt.Fprintf(s.err, "headgate policy eval: %v\n", err)
		return exitInput
	}
	e, err := explainPolicy(p, src, peer)
	if e == nil {
		fmt.Fprintf(s.err, "headgate policy eval: %s: %v\n", *from, err)
		return exitInput
	}
	if *format == "json" {
		code = writeJSON(s.out, e)
	} else {
		writePolicyExplanation(s.out, e, *showInput)
	}
	if err != nil {
		fmt.Fprintf(s.err, "headgate policy eval: %v\n", err)
		return exitInput
	}
	if !e.Allowed && code == exitOK {
		code = exitInput
	}
	return code
}

// explainPolicy evaluates the policy on a request or an input document.
func explainPolicy(p *policies.Policy, src []byte, peer netip.Addr) (*policies.Explanation, error) {
	if text := bytes.TrimSpace(src); len(text) > 0 && text[0] == '{' {
		var input any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&input); err != nil {
			return nil, fmt.Errorf("no valid JSON: %w", err)
		}
		return p.ExplainInput(background(), input)
	}
	x, err := requestExchange(src, peer)
	if err != nil {
		return nil, err
	}
	e, err := p.Explain(background(), x, nil)
	if status := policies.BodyStatus(err); status != 0 {
		err = fmt.Errorf("refused with %d before the policy decides: %w", status, err)
	}
	return e, err
}

// requestExchange makes the exchange that a request in a file would be. The file
// may have been written with an editor: lines may end with a line feed alone, and
// the body goes on to the end of the file.
func requestExchange(src []byte, peer netip.Addr) (*exchange.Exchange, error) {
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	head, body, found := bytes.Cut(src, []byte("\n\n"))
	if !found {
		head = bytes.TrimRight(head, "\n")
	}
	head = append(bytes.ReplaceAll(head, []byte("\n"), []byte("\r\n")), "\r\n\r\n"...)
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return nil, fmt.Errorf("no HTTP/1.1 request: %w", err)
	}
	x := &exchange.Exchange{}
	client := net.TCPAddrFromAddrPort(netip.AddrPortFrom(peer, 50000))
	server := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:80"))
	x.Begin(background(), exchange.NewConn(&exchange.ListenerInfo{}, client, server, nil, 0), exchange.NoFront{})
	x.Start, x.ID, x.RemoteIP = time.Now(), "request-from-file", peer
	q := &x.Request
	q.Method, q.Scheme, q.Authority, q.Proto = r.Method, "http", r.Host, exchange.HTTP11
	q.Target = r.RequestURI
	q.Path, q.RawQuery = r.URL.EscapedPath(), r.URL.RawQuery
	if q.Path != "*" {
		if q.Path, err = router.NormalizePath(nil, q.Path); err != nil {
			return nil, err
		}
	}
	q.Head.Add("host", r.Host)
	for _, line := range strings.Split(string(head), "\r\n")[1:] {
		name, value, ok := strings.Cut(line, ":")
		if ok && !slices.Contains([]string{"host", "content-length", "transfer-encoding"}, strings.ToLower(name)) {
			q.Head.Add(name, strings.TrimSpace(value))
		}
	}
	if len(body) > 0 {
		q.SetBytes(bytes.TrimSuffix(body, []byte("\n")))
	}
	return x, nil
}

func writePolicyExplanation(w io.Writer, e *policies.Explanation, showInput bool) {
	if showInput {
		writeJSON(w, e.Input)
	}
	verdict := "denied"
	switch {
	case e.Allowed:
		verdict = "allowed"
	case e.Error != "":
		verdict = "denied: the decision has the wrong form: " + e.Error
	case !e.Defined:
		verdict = "denied: the decision is undefined"
	}
	fmt.Fprintf(w, "%s (%d us)\n", verdict, e.Took.Microseconds())
	if e.Defined {
		result, _ := json.Marshal(e.Result)
		fmt.Fprintf(w, "decision  %s\n", result)
	}
	for i, r := range e.Rules {
		fmt.Fprintf(w, "%-9s %s\n", []string{"rules", ""}[min(i, 1)], r)
	}
}

// textLog is where a command shows what is logged.
func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
