package config

import (
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/upstream"
)

// decodeBalance decodes how an endpoint is chosen.
func (s *section) decodeBalance(u *Upstream) {
	s.oneOf("balance", &u.Balance, "round_robin", "least_request", "ewma", "random", "ring_hash", "maglev")
	s.textMap("prefer", &u.Prefer, `{ zone = "a" }`)
	s.duration("slow_start", &u.SlowStart)
	u.HashOn = s.expr("hash_on", exprScope{noPath: "Many routes may share an upstream, and path variables belong to one."})
	hashes := upstream.Hashes(u.Balance)
	switch a := s.attrs["hash_on"]; {
	case hashes && a == nil:
		s.l.diags.errorf(s.rangeOf("balance"), "Nothing to hash", "%q chooses by upstream.hash_on. Write for example: hash_on = request.header[\"x-user\"]", u.Balance)
	case !hashes && u.HashOn != nil:
		s.l.diags.errorf(a.expr.Range(), "Nothing hashes", "upstream.hash_on is for balance = \"ring_hash\" and \"maglev\".")
	case u.HashOn != nil && u.HashOn.Body:
		s.l.diags.errorf(a.expr.Range(), "No body", "upstream.hash_on can't read the body of a request.")
	}
	if hashes && u.SlowStart > 0 {
		s.l.diags.errorf(s.rangeOf("slow_start"), "No effect", "upstream.slow_start does not go with balance = %q: a hash knows no pause.", u.Balance)
	}
}

// decodeAffinity decodes the affinity block.
func (s *section) decodeAffinity(u *Upstream) {
	b, ok := s.one("affinity")
	if !ok {
		return
	}
	t := s.l.read(b, affinitySchema)
	u.Affinity = &upstream.Affinity{Cookie: "headgate"}
	if t.text("cookie", &u.Affinity.Cookie, `"headgate"`) && !exchange.ValidName(u.Affinity.Cookie) {
		s.l.diags.errorf(t.rangeOf("cookie"), "Invalid cookie", "%q can't be the name of a cookie. Write for example: cookie = \"headgate\"", u.Affinity.Cookie)
	}
	if t.duration("ttl", &u.Affinity.TTL) && u.Affinity.TTL%time.Second != 0 {
		s.l.diags.errorf(t.rangeOf("ttl"), "Invalid duration", "affinity.ttl is in whole seconds: a cookie knows no less.")
	}
}
