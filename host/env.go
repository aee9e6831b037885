package host

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/headgate/headgate/host/abi/proxywasm"
)

const (
	// moduleEnv has what proxy-wasm imports, and abort for all.
	moduleEnv = proxywasm.Module
	// abort is what AssemblyScript's standard library imports.
	abort = "abort"
)

func instantiateEnv(ctx context.Context, rt wazero.Runtime) error {
	b := rt.NewHostModuleBuilder(moduleEnv)
	proxywasm.Export(b)
	i32 := api.ValueTypeI32
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
		panic(fmt.Errorf("abort at line %d, column %d", uint32(stack[2]), uint32(stack[3])))
	}), []api.ValueType{i32, i32, i32, i32}, nil).Export(abort)
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("host module %s: %w", moduleEnv, err)
	}
	return nil
}
