package headgate_test

import (
	"strings"
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

type valued struct {
	User  headgate.Value
	Also  []headgate.Value
	Plain string
}

func (c *valued) Request(x *headgate.Exchange) headgate.Verdict {
	x.Header.Set("x-user", x.Value(c.User))
	for _, v := range c.Also {
		x.Header.Add("x-also", string(x.JSON(v)))
	}
	return headgate.Continue
}

func TestValue(t *testing.T) {
	headgate.Register("valued", func(c valued) (headgate.Filter, error) { return &c, nil })
	f := headgatetest.New(t, "valued", `{"user":{"$expr":0},"also":[{"$expr":1},null,true,{"a":[1]},"b",7,{"$expr":2}]}`)
	x := f.WithValues("ada", 1.5, []string{"c"}).Request("GET", "/")
	if x.Verdict != headgate.Continue || x.RequestHeader("x-user") != "ada" || x.RequestHeader("x-also") != `1.5, null, true, {"a":[1]}, "b", 7, ["c"]` {
		t.Errorf("%v %q %q", x.Verdict, x.RequestHeader("x-user"), x.RequestHeader("x-also"))
	}
	if x := f.WithValues(nil).Request("GET", "/"); x.Verdict != headgate.Failed || x.RequestHeader("x-user") != "" {
		t.Errorf("an expression that fails: %v", x.Verdict)
	}
	if x := headgatetest.New(t, "valued", `{}`).Request("GET", "/"); x.Verdict != headgate.Continue {
		t.Errorf("no setting: %v", x.Failure)
	}
	if _, _, err := headgate.New("valued", []byte(`{"plain":{"$expr":0}}`)); err == nil || !strings.Contains(err.Error(), "plain: this has to be known when") {
		t.Errorf("an expression for a string: %v", err)
	}
	if (headgate.Value{}).IsSet() || !headgate.Fixed("a").IsSet() {
		t.Error("IsSet")
	}
}
