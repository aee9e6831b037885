package upstream

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestDrain(t *testing.T) {
	r := registry(t)
	var log bytes.Buffer
	r.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	config := Config{Name: "u", Endpoints: []EndpointConfig{{Address: "a:1"}, {Address: "b:1"}}}
	first := r.Cluster(config)
	picks := func(c *Cluster, want string) {
		t.Helper()
		got := map[string]bool{}
		for range 20 {
			e, err := c.Pick(nil, nil)
			if err != nil {
				got["none"] = true
				continue
			}
			got[e.Address()] = true
		}
		for _, a := range strings.Fields(want) {
			if !got[a] {
				t.Errorf("%s was not picked", a)
			}
			delete(got, a)
		}
		if len(got) > 0 {
			t.Errorf("%v were picked", got)
		}
	}
	drain := func(address string, on bool) {
		t.Helper()
		if err := r.Drain("u", address, on); err != nil {
			t.Error(err)
		}
	}
	picks(first, "a:1 b:1")
	drain("a:1", true)
	drain("a:1", true)
	picks(first, "b:1")
	if b := r.Snapshot()[0].Endpoints[0].Barred; b["drained"] == "" {
		t.Errorf("shown as %v", b)
	}
	second := r.Cluster(config) // a reload
	first.Close()
	picks(second, "b:1")
	drain("b:1", true)
	picks(second, "none")
	drain("a:1", false)
	picks(second, "a:1")
	if n := strings.Count(log.String(), "endpoint is out"); n != 2 || !strings.Contains(log.String(), "endpoint is back") {
		t.Errorf("log:\n%s", log.String())
	}
	second.Close()
	again := r.Cluster(config) // the address was gone for good
	defer again.Close()
	picks(again, "a:1 b:1")
}

func TestDrainUnknown(t *testing.T) {
	r := registry(t)
	c := r.Cluster(Config{Name: "u", Endpoints: []EndpointConfig{{Address: "b:1"}, {Address: "a:1"}}})
	defer c.Close()
	for _, test := range []struct{ upstream, address, want string }{
		{"v", "a:1", `There is no upstream "v". There is: u.`},
		{"u", "c:1", `There is no endpoint "c:1". There is: a:1, b:1.`},
	} {
		err := r.Drain(test.upstream, test.address, true)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	if err := registry(t).Drain("u", "a:1", true); err == nil || err.Error() != `There is no upstream "u", nor any other.` {
		t.Error(err)
	}
}
