// Command conformance is the plugin that sdk/conformance plays exchanges against,
// in Go: what it does in each mode, README.md of that folder says.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	headgate "github.com/headgate/headgate/sdk/go"
)

// Config is what the filter block says.
type Config struct {
	// Mode is what the filter does.
	Mode string `headgate:"mode,required"`
}

type filter struct{ mode string }

func init() {
	for name, options := range map[string][]headgate.Option{
		"conformance": nil, "buffered": {headgate.BufferRequest, headgate.BufferResponse},
	} {
		headgate.Register(name, func(c Config) (headgate.Filter, error) {
			if modes()[c.Mode] == nil {
				return nil, errors.New("there is no mode " + c.Mode)
			}
			return &filter{c.Mode}, nil
		}, options...)
	}
}

func main() {}

func modes() map[string]func(*headgate.Exchange) headgate.Verdict {
	return map[string]func(*headgate.Exchange) headgate.Verdict{
		"headers": headers, "message": message, "reply": reply, "state": keep, "body": body, "log": logs, "fail": fail,
		"fetch": fetch, "keys": keys, "rate": rate, "json": document, "grow": grow, "more": more,
	}
}

// Request implements headgate.Filter.
func (f *filter) Request(x *headgate.Exchange) headgate.Verdict { return modes()[f.mode](x) }

// Response implements headgate.Responder.
func (f *filter) Response(x *headgate.Exchange) headgate.Verdict {
	r := &x.Response
	switch f.mode {
	case "headers":
		r.Header.Set("x-status", strconv.Itoa(r.Status()))
		r.Header.Del("x-remove")
	case "state":
		r.Header.Set("x-path", x.State.(string))
	case "message":
		r.SetStatus(299)
	case "body":
		r.SetBody(append(bytes.ToUpper(r.Body()), '!'))
	}
	return headgate.Continue
}

func headers(x *headgate.Exchange) headgate.Verdict {
	h := x.Header
	h.Set("x-joined", strings.Join(h.Values("X-Multi"), "|"))
	h.Set("x-has", fmt.Sprint(h.Has("x-empty"), h.Has("x-none")))
	var names []string
	for _, f := range h.All() {
		names = append(names, f[0]+"="+f[1])
	}
	h.Set("x-all", strings.Join(names, " "))
	h.Set("x-set", "new")
	h.Add("x-add", "one")
	h.Add("x-add", "two")
	h.Del("x-remove")
	x.Response.Header.Set("x-early", "set before there was a response")
	return headgate.Continue
}

func message(x *headgate.Exchange) headgate.Verdict {
	x.Header.Set("x-message", strings.Join([]string{x.Method(), x.URI(), x.Protocol(), x.Source(), x.RequestID()}, " "))
	x.SetMethod("PUT")
	x.SetURI("/changed?x=%20")
	return headgate.Continue
}

func reply(x *headgate.Exchange) headgate.Verdict {
	x.Response.Header.Set("x-why", "because")
	return x.Reply(418, "text/plain", "no\x00 way\n")
}

func keep(x *headgate.Exchange) headgate.Verdict {
	x.State = x.URI()
	return headgate.Continue
}

func body(x *headgate.Exchange) headgate.Verdict {
	x.SetBody(bytes.ToUpper(x.Body()))
	return headgate.Continue
}

func logs(x *headgate.Exchange) headgate.Verdict {
	for i, level := range []headgate.Level{headgate.Debug, headgate.Info, headgate.Warn, headgate.Error} {
		x.Log(level, "line "+strconv.Itoa(i))
	}
	return headgate.Continue
}

func fail(x *headgate.Exchange) headgate.Verdict { return x.Fail(errors.New("on purpose")) }

func fetch(x *headgate.Exchange) headgate.Verdict {
	q := headgate.POST(x.Header.Get("x-url"), "text/plain", []byte("a body"))
	q.Method, q.Timeout = x.Header.Get("x-method"), time.Second
	answer, err := x.Fetch(q)
	for name, is := range map[string]error{
		"denied": headgate.ErrFetchDenied, "invalid": headgate.ErrFetchInvalid, "failed": headgate.ErrFetchFailed,
		"timeout": headgate.ErrFetchTimeout, "large": headgate.ErrFetchTooLarge,
	} {
		if errors.Is(err, is) {
			return x.Reply(502, "text/plain", name)
		}
	}
	return x.Reply(answer.Status, "text/plain", answer.Get("x-answer")+" "+string(answer.Body))
}

func keys(x *headgate.Exchange) headgate.Verdict {
	known := x.Namespace(x.Header.Get("x-namespace"))
	var said []string
	say := func(what string, ok bool, err error) {
		switch {
		case errors.Is(err, headgate.ErrStateDenied):
			said = append(said, what+" denied")
		case errors.Is(err, headgate.ErrStateTooLarge):
			said = append(said, what+" large")
		default:
			said = append(said, what+" "+strconv.FormatBool(ok))
		}
	}
	v, ok, err := known.Get("k")
	say("get "+string(v), ok, err)
	ok, err = known.Create("k", []byte("1"), time.Minute)
	say("create", ok, err)
	ok, err = known.Create("k", []byte("2"), time.Minute)
	say("create", ok, err)
	ok, err = known.Swap("k", []byte("0"), []byte("2"), time.Minute)
	say("swap", ok, err)
	ok, err = known.Swap("k", []byte("1"), []byte("2"), time.Minute)
	say("swap", ok, err)
	v, ok, err = known.Get("k")
	say("get "+string(v), ok, err)
	err = known.Delete("k")
	say("delete", err == nil, err)
	err = known.Set(strings.Repeat("k", 2000), nil, 0)
	say("set", err == nil, err)
	err = known.Set("kept", []byte("a value"), 0)
	say("set", err == nil, err)
	return x.Reply(200, "text/plain", strings.Join(said, "\n"))
}

func rate(x *headgate.Exchange) headgate.Verdict {
	t, err := x.Namespace("rates").Take("k", headgate.Limit{Algorithm: headgate.FixedWindow, Events: 2, Window: time.Minute}, 1)
	if err != nil {
		return x.Fail(err)
	}
	return x.Reply(200, "text/plain", fmt.Sprint(t.Allowed, " ", t.Remaining, " ", t.Wait.Milliseconds(), " ", t.Reset.Milliseconds()))
}

func document(x *headgate.Exchange) headgate.Verdict {
	d := x.ParseJSON([]byte(`{"a": {"b": [1, "two", null, true]}}`))
	var said []string
	for _, path := range []string{"a.b.0", "a.b.1", "a.b.2", "a.b.3", "a.b", "a.c"} {
		said = append(said, path+" "+d.Text(path))
	}
	return x.Reply(200, "text/plain", strings.Join(said, "\n"))
}

// grow makes garbage; what the instance uses must not grow with it.
func grow(x *headgate.Exchange) headgate.Verdict {
	n := 0
	for i := range 64 {
		n += len(strings.Repeat(strconv.Itoa(i), 1024))
	}
	x.Header.Set("x-grown", strconv.Itoa(n))
	return headgate.Continue
}

func more(x *headgate.Exchange) headgate.Verdict {
	key, c := []byte("0123456789abcdef"), x.Crypto()
	sum, err := c.Hash(headgate.SHA256, []byte("abc"))
	mac, err2 := c.HMAC(headgate.SHA256, key, []byte("abc"))
	sealed, err3 := c.Seal(key, []byte("secret"), []byte("with"))
	text, err4 := x.Template(headgate.EscapeHTML, "<b>{{a}}</b>", map[string]string{"a": "<"})
	if err = errors.Join(err, err2, err3, err4); err != nil {
		return x.Fail(err)
	}
	opened, _ := c.Open(key, sealed, []byte("with"))
	other := "opened"
	if _, err := c.Open(key, sealed, []byte("out")); err != nil {
		other = "nothing"
	}
	noted := x.Trace("tier", "gold") == nil
	counted := x.Add(headgate.Counter("seen", "tier"), 1, "gold") == nil
	said := []string{
		fmt.Sprintf("hash %x", sum), fmt.Sprintf("hmac %x", mac), "open " + string(opened), "other " + other,
		fmt.Sprint("same ", c.Equal(key, key)), "template " + text, fmt.Sprint("noted ", noted, " counted ", counted),
	}
	for _, r := range x.FetchMany(headgate.GET("upstream://app/one"), headgate.GET("upstream://app/two")) {
		if r.Err != nil {
			return x.Fail(r.Err)
		}
		said = append(said, fmt.Sprint(r.Status, " ", string(r.Body)))
	}
	return x.Reply(200, "text/plain", strings.Join(said, "\n"))
}
