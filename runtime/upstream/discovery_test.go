package upstream

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func endpointsAt(addresses ...string) []EndpointConfig {
	var list []EndpointConfig
	for _, a := range addresses {
		list = append(list, EndpointConfig{Address: a, Weight: 1})
	}
	return list
}

func (c *Cluster) addresses() string {
	var list []string
	for _, m := range c.members.Load().all {
		list = append(list, m.Address())
	}
	return strings.Join(list, " ")
}

// TestDNSFollowsTTL changes what a name has and looks when that is noticed.
func TestDNSFollowsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(nil)
		defer r.Close()
		var mu sync.Mutex
		list, fails := endpointsAt("10.0.0.1:80"), error(nil)
		change := func(l []EndpointConfig, err error) {
			mu.Lock()
			defer mu.Unlock()
			list, fails = l, err
		}
		r.lookup = func(context.Context, DNS) ([]EndpointConfig, time.Duration, error) {
			mu.Lock()
			defer mu.Unlock()
			return list, 10 * time.Second, fails
		}
		config := Config{Name: "a", Discovery: &Discovery{DNS: DNS{Name: "orders", Port: 80}}}
		c := r.Cluster(config)
		defer c.Close()
		r.Await(t.Context())
		first := c.members.Load().all[0].Endpoint

		expect := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := c.addresses(); got != want {
				t.Errorf("endpoints are %q, not %q", got, want)
			}
		}
		change(endpointsAt("10.0.0.1:80", "10.0.0.2:80"), nil)
		expect(9*time.Second, "10.0.0.1:80")
		expect(2*time.Second, "10.0.0.1:80 10.0.0.2:80")
		if c.members.Load().all[0].Endpoint != first {
			t.Error("an endpoint that stayed is another one")
		}
		change(nil, errors.New("timeout"))
		expect(time.Hour, "10.0.0.1:80 10.0.0.2:80")
		if info := r.Snapshot()[0].Discovery; info.Error != "timeout" || info.Failures < 100 {
			t.Errorf("the source is shown as %+v", info)
		}
		change(endpointsAt("10.0.0.2:80"), nil)
		expect(maxPause, "10.0.0.2:80")
		if !first.closed {
			t.Error("an endpoint that went is not closed")
		}
		change(nil, ErrNoRecords)
		expect(emptyFor-time.Second, "10.0.0.2:80")
		expect(maxPause+20*time.Second, "")
		if _, err := c.Pick(nil, nil); !errors.Is(err, ErrNoEndpoint) {
			t.Errorf("Pick without endpoints returns %v", err)
		}
		change(endpointsAt("10.0.0.2:80"), nil)
		expect(maxPause, "10.0.0.2:80")
		next := r.Cluster(config)
		defer next.Close()
		if next.members.Load().all[0].Endpoint != c.members.Load().all[0].Endpoint {
			t.Error("a new generation does not start with what the old one knows")
		}
	})
}

// TestRefreshWinsOverTTL also bounds TTLs.
func TestRefreshWinsOverTTL(t *testing.T) {
	for _, test := range []struct{ refresh, ttl, want time.Duration }{
		{0, 0, time.Second}, {0, 24 * time.Hour, time.Hour}, {0, time.Minute, time.Minute}, {3 * time.Second, time.Minute, 3 * time.Second},
	} {
		if got := newDNSSource(DNS{Refresh: test.refresh}, nil).after(test.ttl); got != test.want {
			t.Errorf("%+v: the next lookup is after %v", test, got)
		}
	}
}
