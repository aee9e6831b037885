package headgate_test

import (
	"errors"
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

type asks struct{}

func (*asks) Request(x *headgate.Exchange) headgate.Verdict {
	r := x.FetchMany(headgate.GET("upstream://a/1"), headgate.POST("upstream://a/2", "text/plain", []byte("body")), headgate.GET("upstream://b/"))
	if r[0].Err != nil || string(r[0].Body) != "1" || string(r[1].Body) != "text/plain body" || !errors.Is(r[2].Err, headgate.ErrFetchDenied) {
		return x.Reply(500, "", "")
	}
	for _, r := range x.FetchMany(make([]headgate.FetchRequest, 17)...) {
		if !errors.Is(r.Err, headgate.ErrFetchInvalid) {
			return x.Reply(500, "", "")
		}
	}
	return headgate.Continue
}

func TestFetchMany(t *testing.T) {
	headgate.Register("asks", func(c asks) (headgate.Filter, error) { return &c, nil })
	f := headgatetest.New(t, "asks", "{}").WithFetch(func(r headgate.FetchRequest) (*headgate.FetchResponse, error) {
		switch r.URL {
		case "upstream://a/1":
			return &headgate.FetchResponse{Status: 200, Body: []byte("1")}, nil
		case "upstream://a/2":
			return &headgate.FetchResponse{Status: 200, Body: append([]byte(r.Header[0][1]+" "), r.Body...)}, nil
		}
		return nil, headgate.ErrFetchDenied
	})
	if x := f.Request("GET", "/"); x.Verdict != headgate.Continue {
		t.Error(x.Verdict, x.Failure)
	}
}
