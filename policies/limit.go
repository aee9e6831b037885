package policies

import (
	"strconv"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// Limit is a number of events in a span of time.
type Limit struct {
	Algorithm string // "gcra" or "", "fixed_window", "sliding_window"
	Events    int64
	Window    time.Duration
	Burst     int64 // events at once, for gcra; 0: Events
}

// Limited is what became of an event. Wait is when it would be allowed, Reset
// when there is nothing left to remember.
type Limited struct {
	Allowed     bool
	Remaining   int64
	Wait, Reset time.Duration
}

// Limiter counts events by scope and key.
type Limiter interface {
	Take(scope, key string, l Limit, cost int64, now time.Time) Limited
}

// limited counts the exchange against the decision's rate limits, in order, up
// to the first that refuses it. It returns the fields for the response
// (draft-ietf-httpapi-ratelimit-headers-11).
func (p *Policy) limited(x *exchange.Exchange, limits []rateLimit) (ok bool, fields [2]string, wait time.Duration) {
	scope := p.name
	if x.Front == nil {
		scope = "shadow " + scope // which takes nothing from the others
	}
	var policy, state []byte
	for i := range limits {
		l := &limits[i]
		r := p.opts.Limiter.Take(scope, l.key, l.Limit, l.cost, x.Now)
		name := l.name
		if name == "" {
			if name = p.name; i > 0 {
				name += "-" + strconv.Itoa(i+1)
			}
		}
		policy = item(policy, name, "q", l.Events, "w", seconds(l.Window))
		state = item(state, name, "r", r.Remaining, "t", seconds(r.Reset))
		if !r.Allowed {
			return false, [2]string{string(policy), string(state)}, r.Wait
		}
	}
	return true, [2]string{string(policy), string(state)}, 0
}

// item appends a member of a list of strings with two parameters (RFC 9651).
func item(b []byte, name, p string, pv int64, q string, qv int64) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	b = append(append(append(b, '"'), name...), '"')
	b = strconv.AppendInt(append(append(append(b, ';'), p...), '='), pv, 10)
	return strconv.AppendInt(append(append(append(b, ';'), q...), '='), qv, 10)
}

// seconds rounds up: whoever waits that long has waited long enough.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// tooMany answers an exchange over a limit.
func tooMany(x *exchange.Exchange, fields [2]string, wait time.Duration) exchange.Verdict {
	v := x.Reply(429, "", nil)
	h := &x.Response.Head
	h.Add("retry-after", strconv.FormatInt(max(seconds(wait), 1), 10))
	addLimits(h, fields)
	return v
}

func addLimits(h *exchange.Head, fields [2]string) {
	h.Add("ratelimit-policy", fields[0])
	h.Add("ratelimit", fields[1])
}

// answerPart is what the response side of an exchange adds.
type answerPart struct {
	out    *outcome
	limits [2]string
}
