// Command tenant is an example of a plugin: it makes sure that every request
// names a tenant, and tells backend and client which one was understood.
package main

import (
	"encoding/json"
	"slices"
	"strings"

	headgate "github.com/headgate/headgate/sdk/go"
)

// Config is the configuration of the filter.
type Config struct {
	// Header carries the tenant's name in the client's request.
	Header string
	// Tenants are the names that are let in, in lower case; empty lets in any.
	Tenants []string
}

// Defaults implements headgate.Defaulter.
func (c *Config) Defaults() { c.Header = "x-tenant" }

type filter struct{ cfg Config }

func init() {
	headgate.Register("tenant", func(c Config) (headgate.Filter, error) { return &filter{c}, nil })
}

func main() {}

// Request answers 400 to a request without a known tenant. Otherwise the backend
// gets x-tenant-id, which a client cannot set itself, in place of the header.
func (f *filter) Request(x *headgate.Exchange) headgate.Verdict {
	tenant := strings.ToLower(strings.TrimSpace(x.Header.Get(f.cfg.Header)))
	switch {
	case tenant == "":
		return refuse(x, "missing_tenant", "send the name of your tenant in the header "+f.cfg.Header)
	case len(f.cfg.Tenants) > 0 && !slices.Contains(f.cfg.Tenants, tenant):
		x.Log(headgate.Info, "unknown tenant "+tenant)
		return refuse(x, "unknown_tenant", "this tenant is not known")
	}
	x.Header.Del(f.cfg.Header)
	x.Header.Set("x-tenant-id", tenant)
	x.State = tenant
	return headgate.Continue
}

// Response tells the client which tenant it was served for.
func (f *filter) Response(x *headgate.Exchange) headgate.Verdict {
	x.Response.Header.Set("x-served-for", x.State.(string))
	return headgate.Continue
}

func refuse(x *headgate.Exchange, code, detail string) headgate.Verdict {
	body, err := json.Marshal(map[string]string{"error": code, "detail": detail})
	if err != nil {
		return x.Fail(err)
	}
	return x.Reply(400, "application/json", string(body)+"\n")
}
