package fuel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/headgate/headgate/host/fuel"
)

// specModules are the modules of the specification's tests whose names match.
func specModules(tb testing.TB, pattern string) (list [][]byte) {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		tb.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest", pattern))
	if err != nil || len(files) == 0 {
		tb.Fatal("no modules", err)
	}
	for _, f := range files {
		wasm, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, wasm)
	}
	return list
}

// FuzzRewrite checks that whatever the engine compiles it also compiles
// rewritten, and the other way round: what is not valid does not become so.
func FuzzRewrite(f *testing.F) {
	for _, pattern := range []string{"v2/testdata/*.0.wasm", "v2/testdata/binary*.wasm", "tail-call/testdata/*.wasm", "extended-const/testdata/*.wasm"} {
		for _, wasm := range specModules(f, pattern) {
			if len(wasm) < 4096 {
				f.Add(wasm)
			}
		}
	}
	// The engine refuses what Rewrite leaves out, and one long form of a number.
	harmless := regexp.MustCompile("custom section|section custom|section data_count: invalid section length")
	ctx := context.Background()
	config := wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(64).
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst)
	r := wazero.NewRuntimeWithConfig(ctx, config)
	f.Cleanup(func() { _ = r.Close(ctx) })
	compiles := func(wasm []byte) (err error) {
		defer func() { // the validator does not check all indices of types
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		c, err := r.CompileModule(ctx, wasm)
		if err == nil {
			_ = c.Close(ctx)
		}
		return err
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 1<<16 {
			return
		}
		start := time.Now()
		out, _, errRewrite := fuel.Rewrite(wasm, fuel.Options{MaxStack: 1 << 20})
		if took := time.Since(start); took > time.Second {
			t.Fatalf("%d bytes took %v", len(wasm), took)
		}
		if errors.Is(errRewrite, fuel.ErrReserved) {
			return
		}
		if bombs(wasm) {
			return // the engine itself allocates what they say
		}
		errPlain := compiles(wasm)
		if errPlain != nil && harmless.MatchString(errPlain.Error()) {
			return
		}
		if errPlain == nil && errRewrite != nil {
			t.Fatalf("the engine takes it, Rewrite does not: %v", errRewrite)
		}
		if errRewrite != nil {
			return
		}
		if err := compiles(out); (err == nil) != (errPlain == nil) {
			t.Fatalf("as it is: %v\nrewritten: %v", errPlain, err)
		}
	})
}

// bombs reports whether a module has numbers that make the engine allocate
// hundreds of megabytes while it reads it.
func bombs(wasm []byte) bool {
	for i := 0; i+3 < len(wasm); i++ {
		if wasm[i]&wasm[i+1]&wasm[i+2]&0x80 != 0 {
			return true
		}
	}
	return false
}
