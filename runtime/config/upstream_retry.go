package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// decodeBreaker decodes the circuit_breaker block.
func (s *section) decodeBreaker(u *Upstream) {
	b, ok := s.one("circuit_breaker")
	if !ok {
		return
	}
	t := s.l.read(b, breakerSchema)
	u.Breaker = &upstream.Breaker{ErrorPercent: 50, MinRequests: 20, Window: 10 * time.Second, Open: 5 * time.Second}
	t.number("error_percent", &u.Breaker.ErrorPercent, 1, 100)
	t.number("min_requests", &u.Breaker.MinRequests, 1, 1<<20)
	t.atLeast("window", &u.Breaker.Window, 100*time.Millisecond)
	t.atLeast("open", &u.Breaker.Open, 10*time.Millisecond)
	t.number("max_requests", &u.Breaker.MaxRequests, 0, 1<<20)
	t.flag("adaptive", &u.Breaker.Adaptive)
	t.number("max_connections", &u.Breaker.MaxConnections, 0, 1<<20)
	if t.number("max_pending", &u.Breaker.MaxPending, 0, 1<<20) && u.Breaker.MaxPending > 0 && u.Breaker.MaxConnections == 0 {
		s.l.diags.warnf(t.rangeOf("max_pending"), "No effect", "Requests wait for a connection only if circuit_breaker.max_connections bounds them.")
	}
}

// atLeast decodes a duration that must not be shorter than least.
func (s *section) atLeast(name string, dst *time.Duration, least time.Duration) {
	if s.duration(name, dst) && *dst < least {
		s.l.diags.errorf(s.rangeOf(name), "Invalid duration", "%s.%s is at least %q.", s.name, name, least.String())
	}
}

// decodeRetry decodes the retry block.
func (s *section) decodeRetry(u *Upstream) {
	b, ok := s.one("retry")
	if !ok {
		return
	}
	t := s.l.read(b, retrySchema)
	u.Retry = &upstream.Retry{
		Attempts: 1, Connect: true, Reset: true, Backoff: 25 * time.Millisecond, BudgetPercent: 20,
		Methods: []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"},
	}
	t.number("attempts", &u.Retry.Attempts, 0, 10)
	t.retryOn(u.Retry)
	t.retryMethods(u.Retry)
	t.duration("per_try", &u.Retry.PerTry)
	t.duration("backoff", &u.Retry.Backoff)
	t.number("budget_percent", &u.Retry.BudgetPercent, 0, 100)
	if t.duration("hedge", &u.Retry.Hedge) && u.Retry.Hedge > 0 && u.Retry.Attempts == 0 {
		s.l.diags.errorf(t.rangeOf("hedge"), "Invalid duration", "The second try of retry.hedge is one of retry.attempts, which allows none.")
	}
	if u.Retry.PerTry > u.Timeout {
		s.l.diags.errorf(t.rangeOf("per_try"), "Invalid duration", "retry.per_try is longer than the upstream's timeout, %q, which ends all tries.", u.Timeout.String())
	}
}

// retryOn decodes the reasons to try again.
func (s *section) retryOn(r *upstream.Retry) {
	var on []string
	if !s.list("on", &on, `["connect", "reset", "503"]`) {
		return
	}
	r.Connect, r.Reset, r.Timeout = slices.Contains(on, "connect"), slices.Contains(on, "reset"), slices.Contains(on, "timeout")
	for i, v := range on {
		switch v {
		case "connect", "reset", "timeout":
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 400 || n > 599 {
			s.l.diags.errorf(s.itemRange("on", i), "Invalid reason", "%q is none of \"connect\", \"reset\", \"timeout\" and the statuses from \"400\" to \"599\".", v)
			continue
		}
		r.Statuses = append(r.Statuses, n)
	}
}

func (s *section) retryMethods(r *upstream.Retry) {
	if !s.list("methods", &r.Methods, `["GET", "HEAD"]`) {
		return
	}
	for i, m := range r.Methods {
		if upper := strings.ToUpper(m); !exchange.ValidName(m) {
			s.l.diags.errorf(s.itemRange("methods", i), "Invalid method", "%q can't be a method. Write for example: \"GET\"", m)
		} else if m != upper {
			s.l.diags.errorf(s.itemRange("methods", i), "Invalid method", "Methods are case-sensitive. Did you mean %q?", upper)
		}
	}
}
