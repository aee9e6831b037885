package abi_test

import (
	"testing"

	"github.com/headgate/headgate/host/abi"
)

func TestNames(t *testing.T) {
	n := abi.NewNames([]string{"X-One", "y-*"})
	for name, want := range map[string]bool{"x-one": true, "x-one-more": false, "y-": true, "y-z": true, "y": false, "": false} {
		if n.Has([]byte(name)) != want {
			t.Errorf("has(%q) is %v", name, !want)
		}
	}
	var none abi.Names
	if none.Has([]byte("x")) {
		t.Error("the zero value has a name")
	}
}
