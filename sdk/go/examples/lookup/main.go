// Lookup asks a service who a key belongs to and tells the backend.
package main

import (
	"fmt"
	"net/url"
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
	x.Header.Del("x-api-key")
	x.Header.Set("x-user", strings.TrimSpace(string(answer.Body)))
	return headgate.Continue
}
