package upstream

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
)

// Affinity keeps a client at the endpoint that answered it first, by a cookie.
type Affinity struct {
	Cookie string
	TTL    time.Duration // 0: as long as the browser runs
}

// token is what a cookie calls an endpoint. It is the same in every gateway and
// after a restart, and does not tell the address.
func token(upstream, address string) string {
	sum := sha256.Sum256([]byte(upstream + "\x00" + address))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// tokens lists members by token, if cookies are used.
func tokens(a *Affinity, upstream string, list []member) map[string]*Endpoint {
	if a == nil {
		return nil
	}
	m := make(map[string]*Endpoint, len(list))
	for _, e := range list {
		m[token(upstream, e.Address())] = e.Endpoint
	}
	return m
}

// stuck returns the endpoint that the request's cookie asks for, nil if none does
// or it may not be asked.
func (m *members) stuck(a *Affinity, x *exchange.Exchange) *Endpoint {
	if a == nil {
		return nil
	}
	v, _ := x.Request.Cookie(a.Cookie)
	return m.tokens[v]
}

// Cookie returns the Set-Cookie value that keeps the client of x at e, which
// answered; "" if there is no affinity, or the client is there already.
func (c *Cluster) Cookie(x *exchange.Exchange, e *Endpoint) string {
	a := c.config.Affinity
	if a == nil {
		return ""
	}
	t := token(c.config.Name, e.Address())
	if v, _ := x.Request.Cookie(a.Cookie); v == t {
		return ""
	}
	s := a.Cookie + "=" + t + "; Path=/; HttpOnly; SameSite=Lax"
	if a.TTL > 0 {
		s += "; Max-Age=" + strconv.FormatInt(int64(a.TTL/time.Second), 10)
	}
	if x.Request.Scheme == "https" {
		s += "; Secure"
	}
	return s
}
