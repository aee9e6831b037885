package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/config"
	"github.com/headgate/headgate/runtime/gateway"
	"github.com/headgate/headgate/test/registry"
)

// pushGuest stores a guest as an image of one layer.
func pushGuest(t *testing.T, s *registry.Server, tag, value string) {
	t.Helper()
	s.Push(t, "geo", tag, "application/vnd.oci.image.manifest.v1+json",
		registry.Blob{MediaType: "application/vnd.module.wasm.config.v1+json", Data: []byte("{}")},
		registry.Blob{MediaType: "application/vnd.module.wasm.content.layer.v1+wasm", Data: []byte(guest(value, goOn))})
}

// A plugin from a registry serves, and serves again without the registry.
func TestPluginFromRegistry(t *testing.T) {
	checkLeaks(t)
	s := registry.Start(t)
	pushGuest(t, s, "v1", "one")
	dir, cache := t.TempDir(), t.TempDir()
	r := &rig{t: t, dir: dir, log: &lockedBuffer{}}
	r.write("preamble.hcl", preamble)
	r.write("routes.hcl", fmt.Sprintf(`
plugin "geo" {
  source = "oci://%s/geo:v1"
}
route "all" {
  filter "geo" {}
  respond {}
}
`, s.Addr))
	o := r.options()
	o.CacheDir = cache
	serves := func(want string) {
		t.Helper()
		g, err := gateway.Start(context.Background(), o)
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		res, err := http.Get("http://" + g.Addrs()["main"].String())
		if err != nil {
			t.Error(err)
		} else if res.Body.Close(); res.Header.Get("X-Plugin") != want {
			t.Errorf("x-plugin is %q, not %q", res.Header.Get("X-Plugin"), want)
		}
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	}
	serves("one")
	pushGuest(t, s, "v1", "two")
	serves("one") // as the lock file says
	if list, err := gateway.Pull(t.Context(), o, true); err != nil || len(list) != 1 || list[0].Err != nil || !list[0].Changed {
		t.Errorf("pull: %+v %v", list, err)
	}
	s.Stop()
	serves("two")
	offline := o
	offline.Offline = true
	for cache, want := range map[string]int{o.CacheDir: 0, t.TempDir(): 1} {
		offline.CacheDir = cache
		if _, warnings, err := gateway.Validate(t.Context(), offline); err != nil || warnings.Len() != want {
			t.Errorf("validate: %v %v", err, warnings.HCL())
		}
	}
	other := o
	other.CacheDir = t.TempDir()
	_, err := gateway.Start(context.Background(), other)
	if _, ok := err.(*config.Diagnostics); !ok || !strings.Contains(err.Error(), "can't be had") {
		t.Errorf("start without the module: %v", err)
	}
}
