package headgate_test

import (
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

type counts struct{}

func (c *counts) Request(x *headgate.Exchange) headgate.Verdict {
	looks, depth, age := headgate.Counter("looks_total", "country"), headgate.Gauge("depth"), headgate.Histogram("age_seconds")
	if err := x.Trace("tenant", "t1"); err != nil {
		return x.Fail(err)
	}
	for _, err := range []error{
		x.Add(looks, 1, "de"), x.Add(looks, 2, "de"), x.Add(looks, 1, "fr"), x.Set(depth, 7), x.Add(depth, -2), x.Observe(age, 0.5), x.Observe(age, 1),
	} {
		if err != nil {
			return x.Fail(err)
		}
	}
	for _, err := range []error{x.Add(looks, 1), x.Set(looks, 1, "de"), x.Observe(depth, 1), x.Add(age, 1)} {
		if err != headgate.ErrMetricInvalid {
			return x.Reply(500, "", "")
		}
	}
	return headgate.Continue
}

func TestMetrics(t *testing.T) {
	headgate.Register("counts", func(c counts) (headgate.Filter, error) { return &c, nil })
	f := headgatetest.New(t, "counts", "{}")
	if x := f.Request("GET", "/"); x.Verdict != headgate.Continue || x.Attributes["tenant"] != "t1" {
		t.Fatal(x.Failure, x.Attributes)
	}
	if f.Metric("looks_total", "de") != 3 || f.Metric("looks_total", "fr") != 1 || f.Metric("depth") != 5 || f.Metric("age_seconds") != 1.5 {
		t.Error(f.Metric("looks_total", "de"), f.Metric("looks_total", "fr"), f.Metric("depth"), f.Metric("age_seconds"))
	}
}
