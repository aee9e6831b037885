package main

import (
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

func TestLookup(t *testing.T) {
	f := headgatetest.New(t, "lookup", `{"from":"upstream://keys/"}`).WithFetch(func(r headgate.FetchRequest) (*headgate.FetchResponse, error) {
		switch r.URL {
		case "upstream://keys/k1":
			return &headgate.FetchResponse{Status: 200, Body: []byte("ada\n")}, nil
		case "upstream://keys/slow":
			return nil, headgate.ErrFetchTimeout
		}
		return &headgate.FetchResponse{Status: 404}, nil
	})
	if e := f.Request("GET", "/", "x-api-key: k1"); e.RequestHeader("x-user") != "ada" || e.RequestHeader("x-api-key") != "" {
		t.Errorf("x-user is %q", e.RequestHeader("x-user"))
	}
	for key, want := range map[string]int{"": 401, "k2": 403} {
		if e := f.Request("GET", "/", "x-api-key: "+key); e.Verdict != headgate.Replied || e.Status() != want {
			t.Errorf("%q: %v %d", key, e.Verdict, e.Status())
		}
	}
	if e := f.Request("GET", "/", "x-api-key: slow"); e.Failure != "asking for the key: no answer in time" {
		t.Errorf("failure %q", e.Failure)
	}
}

func TestLookupRemembers(t *testing.T) {
	asked := 0
	f := headgatetest.New(t, "lookup", `{"from":"upstream://keys/","cache_seconds":60,"per_minute":3}`).WithFetch(func(headgate.FetchRequest) (*headgate.FetchResponse, error) {
		asked++
		return &headgate.FetchResponse{Status: 200, Body: []byte("ada")}, nil
	})
	for range 3 {
		if e := f.Request("GET", "/", "x-api-key: k1"); e.RequestHeader("x-user") != "ada" {
			t.Errorf("x-user is %q: %s", e.RequestHeader("x-user"), e.Failure)
		}
	}
	if e := f.Request("GET", "/", "x-api-key: k1"); e.Status() != 429 || e.ResponseHeader("retry-after") == "" {
		t.Errorf("status %d", e.Status())
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
