package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/host"
	"github.com/headgate/headgate/host/abi"
	. "github.com/headgate/headgate/host/hosttest"
	"github.com/headgate/headgate/runtime/exchange"
)

func goModule(t testing.TB) []byte {
	t.Helper()
	wasm, err := os.ReadFile(BuildGo(t, filepath.Join("..", "sdk", "go"), "./examples/tenant"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func TestGoPlugin(t *testing.T) {
	b := newBed(t, host.Options{CacheDir: cache})
	wasm := goModule(t)
	p, err := b.Plugin(t.Context(), host.Spec{Name: "tenant", Wasm: wasm, HeadersRead: all, HeadersWrite: all})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	anyone, err := p.Filter(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := p.Filter(t.Context(), []byte(`{"header":"x-org","tenants":["acme"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		f       exchange.Filter
		header  string
		verdict exchange.Verdict
		tenant  string
		body    string
	}{
		{"any", anyone, "X-Tenant:  Initech ", exchange.Continue, "initech", ""},
		{"none", anyone, "x-org: acme", exchange.Reply, "", "missing_tenant"},
		{"listed", listed, "X-Org: Acme", exchange.Continue, "acme", ""},
		{"not listed", listed, "X-Org: Initech", exchange.Reply, "", "unknown_tenant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := Exchange("GET", "/", c.header, "x-tenant-id: forged")
			if v := c.f.Request(x); v != c.verdict {
				t.Fatalf("verdict %v, want %v: %v", v, c.verdict, x.Failure)
			}
			if c.verdict == exchange.Reply {
				got, _ := x.Response.Content()
				if x.Response.Status != 400 || !strings.Contains(string(got), c.body) || !strings.Contains(Fields(&x.Response.Head), "content-type: application/json") {
					t.Errorf("answer %d %s%s", x.Response.Status, Fields(&x.Response.Head), got)
				}
				c.f.Done(x)
				return
			}
			if got := Fields(&x.Request.Head); got != "x-tenant-id: "+c.tenant+"\n" {
				t.Errorf("the backend gets\n%s", got)
			}
			Respond(x, 200, "ok", "x-served-for: nobody")
			if v := c.f.Response(x); v != exchange.Continue {
				t.Fatalf("response: %v %v", v, x.Failure)
			}
			if got := Fields(&x.Response.Head); got != "x-served-for: "+c.tenant+"\n" {
				t.Errorf("the client gets\n%s", got)
			}
			c.f.Done(x)
		})
	}
	if _, n := b.counts.read(); n != 1 {
		t.Errorf("%d instances for two configurations, want 1", n)
	}
	var refused *abi.ConfigError
	if _, err := p.Filter(t.Context(), []byte(`{"tenant":[]}`)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "known are header, tenants") {
		t.Errorf("a bad configuration: %v", err)
	}
	if traps, _ := b.counts.read(); traps != "" {
		t.Errorf("traps: %s", traps)
	}
}

// An exchange whose response never comes leaves nothing in the guest: its number
// is used again.
func TestDoneWithoutResponse(t *testing.T) {
	b := newBed(t, host.Options{CacheDir: cache})
	f := b.filter(t, host.Spec{Wasm: goModule(t), HeadersRead: all, HeadersWrite: all, Concurrency: 4, Instances: 1}, "")
	for range 2000 {
		x := Exchange("GET", "/", "x-tenant: a")
		if f.Request(x) != exchange.Continue {
			t.Fatal(x.Failure)
		}
		f.Done(x)
	}
	if n := b.Memory(); n > 8<<20 {
		t.Errorf("the guest grew to %d bytes", n)
	}
}

func BenchmarkGoPlugin(b *testing.B) {
	bed := newBed(b, host.Options{CacheDir: cache})
	f := bed.filter(b, host.Spec{Wasm: goModule(b), HeadersRead: all, HeadersWrite: all}, "")
	x := Exchange("GET", "/", "Accept: */*", "User-Agent: bench", "X-Tenant: acme")
	b.Run("request and response", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.Request.Head.Set("x-tenant", "acme")
			if f.Request(x) != exchange.Continue {
				b.Fatal(x.Failure)
			}
			f.Response(x)
			f.Done(x)
			x.Request.Head.Reset(nil)
			x.Response.Head.Reset(nil)
		}
	})
}
