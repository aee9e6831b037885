package native

import (
	"fmt"
	"strings"
	"testing"
)

func TestTraceAttribute(t *testing.T) {
	c := newCaller(t, &Env{Name: "geo"})
	for _, v := range []struct {
		name, value string
		want        int64
	}{
		{"country", "de", 0}, {"country", "fr", 0}, {"empty", "", 0}, {"Country", "de", invalid}, {"", "de", invalid}, {"a.b", "de", invalid},
		{"utf8", "\xff", invalid}, {"long", strings.Repeat("x", 2000), large}, {strings.Repeat("n", 65), "x", invalid},
	} {
		if n, _ := c.call("trace_attribute", v.name, v.value); n != v.want {
			t.Errorf("%q %.10q: %d, want %d", v.name, v.value, n, v.want)
		}
	}
	if f := c.g.x.Fields; len(f) != 2 || f[0].Name != "geo.country" || f[0].Value != "fr" {
		t.Errorf("fields %v", f)
	}
	for i := range 62 {
		if n, _ := c.call("trace_attribute", fmt.Sprintf("n%d", i), "x"); n != 0 {
			t.Errorf("number %d: %d", i, n)
		}
	}
	if n, _ := c.call("trace_attribute", "last", "x"); n != large {
		t.Errorf("the last: %d", n)
	}
}
