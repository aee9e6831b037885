package policies

import (
	"context"
	"testing"

	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/headgate/headgate/runtime/exchange"
)

const benchPolicy = `package t

import input.attributes.request.http as http_request

default decision := {"allowed": false, "http_status": 403, "body": "no"}

decision := {"allowed": true, "headers": {"x-role": role}} if {
	some grant in grants[role]
	grant.method == http_request.method
	grant.resource == input.parsed_path[0]
}

role := http_request.headers["x-role"]

grants := {
	"reader": [{"method": "GET", "resource": "orders"}, {"method": "GET", "resource": "users"}],
	"admin": [{"method": "GET", "resource": "orders"}, {"method": "POST", "resource": "orders"}, {"method": "DELETE", "resource": "orders"}],
}
`

func benchRequest() request {
	return request{target: "/orders/7?expand=items&page=2", headers: []string{
		"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Accept", "application/json", "Accept-Language", "en-US,en;q=0.5", "Accept-Encoding", "gzip, br",
		"X-Role", "reader", "X-Request-Id", "0192f0c1-2222-7333-8444-555566667777", "Cookie", "session=0123456789abcdef",
	}}
}

// BenchmarkDecision is the whole filter, input and edits included.
func BenchmarkDecision(b *testing.B) {
	for _, name := range []string{"evaluated", "cached"} {
		b.Run(name, func(b *testing.B) {
			p := compiled(b, benchPolicy)
			if name == "evaluated" {
				p.program.Load().cache = nil
			}
			f := p.Filter(nil)
			x := benchRequest().exchange(b)
			b.ReportAllocs()
			for b.Loop() {
				if f.Request(x) != exchange.Continue {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkPlainOPA is what embedding OPA costs without this package: its
// prepared query, given the same document as plain Go values.
func BenchmarkPlainOPA(b *testing.B) {
	p := compiled(b, benchPolicy)
	x := benchRequest().exchange(b)
	in := input(b, x, everything())
	b.ReportAllocs()
	for b.Loop() {
		rs, err := p.program.Load().query.Eval(context.Background(), rego.EvalInput(in))
		if err != nil || len(rs) != 1 {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlainOPAParsed leaves the conversion of the input out as well.
func BenchmarkPlainOPAParsed(b *testing.B) {
	p := compiled(b, benchPolicy)
	w := builder{w: &p.program.Load().want, x: benchRequest().exchange(b)}
	in, err := w.build(nil, "")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		rs, err := p.program.Load().query.Eval(context.Background(), rego.EvalParsedInput(in))
		if err != nil || len(rs) != 1 {
			b.Fatal(err)
		}
	}
}

func BenchmarkInput(b *testing.B) {
	part := compiled(b, benchPolicy).program.Load().want
	x := benchRequest().exchange(b)
	for name, w := range map[string]want{"part": part, "whole": everything()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				in := builder{w: &w, x: x}
				if _, err := in.build(nil, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
