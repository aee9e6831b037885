// Lookup asks a service who a key belongs to and tells the backend. It remembers
// answers, and bounds how often a key is used.
package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	headgate "github.com/headgate/headgate/sdk/go"
)

// Config is what the filter block says.
type Config struct {
	// From is where keys are known: the key is appended, and the answer's body is
	// the name.
	From string `headgate:"from,required"`
	// TimeoutMS is how long to wait, in milliseconds.
	TimeoutMS int `headgate:"timeout_ms"`
	// CacheSeconds is how long an answer is good; 0: it is asked for each time.
	CacheSeconds int `headgate:"cache_seconds"`
	// PerMinute is how many requests a key may make; 0: any number.
	PerMinute uint32 `headgate:"per_minute"`
}

type lookup struct{ cfg Config }

func init() {
	headgate.Register("lookup", func(c Config) (headgate.Filter, error) { return &lookup{c}, nil })
}

func main() {}

// Request implements headgate.Filter.
func (f *lookup) Request(x *headgate.Exchange) headgate.Verdict {
	key := x.Header.Get("x-api-key")
	if key == "" {
		return x.Reply(401, "text/plain", "who are you?\n")
	}
	known := x.Namespace("lookup")
	if f.cfg.PerMinute > 0 {
		t, err := known.Take(key, headgate.Limit{Events: f.cfg.PerMinute, Window: time.Minute}, 1)
		if err != nil {
			return x.Fail(err)
		}
		if !t.Allowed {
			x.Response.Header.Set("retry-after", strconv.Itoa(int(t.Wait.Seconds())+1))
			return x.Reply(429, "text/plain", "too often\n")
		}
	}
	if f.cfg.CacheSeconds > 0 {
		name, ok, err := known.Get(key)
		if err != nil {
			return x.Fail(err)
		}
		if ok {
			return pass(x, string(name))
		}
	}
	q := headgate.GET(f.cfg.From + url.PathEscape(key))
	q.Timeout = time.Duration(f.cfg.TimeoutMS) * time.Millisecond
	q.Header = [][2]string{{"x-request-id", x.RequestID()}}
	answer, err := x.Fetch(q)
	switch {
	case err != nil:
		return x.Fail(fmt.Errorf("asking for the key: %w", err))
	case answer.Status == 404:
		return x.Reply(403, "text/plain", "nobody has that key\n")
	case answer.Status != 200:
		return x.Fail(fmt.Errorf("asking for the key: status %d", answer.Status))
	}
	name := strings.TrimSpace(string(answer.Body))
	if f.cfg.CacheSeconds > 0 {
		if err := known.Set(key, []byte(name), time.Duration(f.cfg.CacheSeconds)*time.Second); err != nil {
			return x.Fail(err)
		}
	}
	return pass(x, name)
}

func pass(x *headgate.Exchange, name string) headgate.Verdict {
	x.Header.Del("x-api-key")
	x.Header.Set("x-user", name)
	return headgate.Continue
}
