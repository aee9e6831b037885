package headgate_test

import (
	"errors"
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

type identifies struct{ From string }

func (c *identifies) Request(x *headgate.Exchange) headgate.Verdict {
	before, err := x.Auth()
	if err == nil {
		err = x.SetAuth(headgate.Auth{Consumer: "shop of " + before.Subject})
	}
	if err != nil {
		return x.Fail(err)
	}
	var data struct{ Tenant string }
	if ok, err := x.Published(c.From, &data); err != nil || !ok {
		return x.Fail(errors.Join(errors.New("nothing is published"), err))
	}
	if err := x.Publish(map[string]string{"of": data.Tenant}); err != nil {
		return x.Fail(err)
	}
	return headgate.Continue
}

func TestAuth(t *testing.T) {
	headgate.Register("identifies", func(c identifies) (headgate.Filter, error) { return &c, nil })
	f := headgatetest.New(t, "identifies", `{"from":"who"}`)
	if x := f.Request("GET", "/"); x.Failure != headgate.ErrAuthDenied.Error() {
		t.Errorf("without allow.auth: %q", x.Failure)
	}
	f.WithAuth(headgate.Auth{Subject: "ada"})
	if x := f.Request("GET", "/"); x.Verdict != headgate.Failed {
		t.Errorf("without allow.call: %v", x.Verdict)
	}
	x := f.WithPublished("who", map[string]string{"tenant": "t1"}).Request("GET", "/")
	if a := x.Auth(); x.Failure != "" || a.Subject != "ada" || a.Consumer != "shop of ada" || x.Published() != `{"of":"t1"}` {
		t.Errorf("%q %+v %s", x.Failure, a, x.Published())
	}
}
