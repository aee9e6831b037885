// Command probe is a plugin for tests: its filters answer with what the functions
// of the gateway return.
package main

import (
	"encoding/json"

	headgate "github.com/headgate/headgate/sdk/go"
)

func init() { // what c-shared modules have instead of main
	headgate.Register("value", func(c values) (headgate.Filter, error) { return &c, nil })
	headgate.Register("auth", func(c auth) (headgate.Filter, error) { return &c, nil })
	headgate.Register("json", func(c documents) (headgate.Filter, error) { return &c, nil }, headgate.BufferRequest)
	headgate.Register("metric", func(c measures) (headgate.Filter, error) { return &c, nil })
	headgate.Register("jws", func(c tokens) (headgate.Filter, error) { return &c, nil })
	headgate.Register("many", func(c many) (headgate.Filter, error) { return &c, nil })
	headgate.Register("stream", func(c streams) (headgate.Filter, error) { return &c, nil })
	headgate.Register("published", func(c published) (headgate.Filter, error) { return &c, nil })
}

func main() {}

// answer replies with v as JSON.
func answer(x *headgate.Exchange, v any) headgate.Verdict {
	p, err := json.Marshal(v)
	if err != nil {
		return x.Fail(err)
	}
	return x.Reply(200, "application/json", string(p))
}

type values struct {
	Text   headgate.Value
	Any    headgate.Value
	List   []headgate.Value
	ByName map[string]headgate.Value
	Plain  string
}

// Request implements headgate.Filter.
func (c *values) Request(x *headgate.Exchange) headgate.Verdict {
	list := []string{}
	for _, v := range c.List {
		list = append(list, x.Value(v))
	}
	named := map[string]json.RawMessage{}
	for k, v := range c.ByName {
		named[k] = x.JSON(v)
	}
	return answer(x, map[string]any{"text": x.Value(c.Text), "any": x.JSON(c.Any), "list": list, "by_name": named})
}

type auth struct {
	Set  json.RawMessage
	Data json.RawMessage
}

// Request implements headgate.Filter. It goes on, with errors as its failure.
func (c *auth) Request(x *headgate.Exchange) headgate.Verdict {
	var a headgate.Auth
	if err := json.Unmarshal(c.Set, &a); err != nil {
		return x.Fail(err)
	}
	if err := x.SetAuth(a); err != nil {
		return x.Fail(err)
	}
	if c.Data != nil {
		if err := x.Publish(c.Data); err != nil {
			return x.Fail(err)
		}
	}
	return headgate.Continue
}

type published struct{ From string }

// Request implements headgate.Filter.
func (c *published) Request(x *headgate.Exchange) headgate.Verdict {
	a, err := x.Auth()
	if err != nil {
		return x.Fail(err)
	}
	var v any
	ok, err := x.Published(c.From, &v)
	if err != nil {
		return x.Fail(err)
	}
	return answer(x, map[string]any{"auth": a, "ok": ok, "data": v})
}
