package policies

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestShippedRego runs the Rego tests of the policies that we ship.
func TestShippedRego(t *testing.T) {
	folders, err := filepath.Glob("../examples/*/policies")
	if err != nil || len(folders) == 0 {
		t.Fatal(err, folders)
	}
	for _, dir := range folders {
		modules, store, err := tester.LoadWithRegoVersion([]string{dir}, nil, ast.RegoV1)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		txn, err := store.NewTransaction(ctx)
		if err != nil {
			t.Fatal(err)
		}
		results, err := tester.NewRunner().SetStore(store).SetModules(modules).RunTests(ctx, txn)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for r := range results {
			n++
			if r.Error != nil {
				t.Errorf("%s: %v", r.Name, r.Error)
			} else if r.Fail {
				t.Errorf("%s: %s failed", r.Location, r.Name)
			}
		}
		store.Abort(ctx, txn)
		if n == 0 {
			t.Errorf("%s has no tests", dir)
		}
	}
}
