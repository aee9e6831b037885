package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
)

// The gateway knows the names of its filters even when it was built without
// them.
func TestNames(t *testing.T) {
	text, err := os.ReadFile("../../host/builtin/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Fields(string(text)); !slices.Equal(names, headgate.Names()) {
		t.Errorf("host/builtin/names.txt has %v, the module registers %v", names, headgate.Names())
	}
}
