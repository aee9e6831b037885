package native

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Modules are the names of the modules that Instantiate makes.
const (
	ModuleHandler = "http_handler"
	ModuleExtras  = "headgate_v1"
	// FunctionValue is what a guest imports that evaluates expressions.
	FunctionValue = "value"
)

// function is a host function: what it takes and returns on the stack. The
// stack style costs a tenth of the reflective one and allocates nothing.
type function struct {
	name            string
	params, results []api.ValueType
	call            func(g *Guest, stack []uint64)
}

// Instantiate makes the functions of the ABI in a runtime, for all guests in it.
func Instantiate(ctx context.Context, rt wazero.Runtime) error {
	for name, functions := range map[string][]function{
		ModuleHandler: handlerFunctions(), ModuleExtras: extraFunctions(),
	} {
		b := rt.NewHostModuleBuilder(name)
		for _, f := range functions {
			call := f.call
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
				g := ctx.(*Guest) // every call into a guest has it as its context
				if g.mem == nil {
					g.mem = m.Memory() // a start section runs before Start
				}
				call(g, stack)
			}), f.params, f.results).Export(f.name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("host module %s: %w", name, err)
		}
	}
	return nil
}

// types are n numbers of 32 bits, and more.
func types(n int, more ...api.ValueType) []api.ValueType {
	t := make([]api.ValueType, n)
	for i := range t {
		t[i] = i32
	}
	return append(t, more...)
}

func handlerFunctions() []function {
	none, one, long := types(0), types(1), []api.ValueType{i64}
	return []function{
		{"enable_features", types(1), one, enableFeatures},
		{"get_config", types(2), one, getConfig},
		{"log_enabled", types(1), one, logEnabled},
		{"log", types(3), none, logMessage},
		{"get_method", types(2), one, getMethod},
		{"set_method", types(2), none, setMethod},
		{"get_uri", types(2), one, getURI},
		{"set_uri", types(2), none, setURI},
		{"get_protocol_version", types(2), one, getProtocolVersion},
		{"get_source_addr", types(2), one, getSourceAddr},
		{"get_header_names", types(3), long, getHeaderNames},
		{"get_header_values", types(5), long, getHeaderValues},
		{"set_header_value", types(5), none, setHeaderValue},
		{"add_header_value", types(5), none, addHeaderValue},
		{"remove_header", types(3), none, removeHeader},
		{"read_body", types(3), long, readBody},
		{"write_body", types(3), none, writeBody},
		{"get_status_code", none, one, getStatusCode},
		{"set_status_code", types(1), none, setStatusCode},
	}
}

func extraFunctions() []function {
	none, one, long := types(0), types(1), []api.ValueType{i64}
	return []function{
		{"get_all_headers", types(3), long, getAllHeaders},
		{"config_id", none, one, configID},
		{"get_filter", types(2), one, getFilter},
		{"get_request_id", types(2), one, getRequestID},
		{"fetch_many", types(2), one, fetchMany},
		{"fetch_answer", types(1), one, fetchAnswer},
		{"value", types(3), long, evaluate},
		{"auth_get", types(2), one, authGet},
		{"auth_set", types(2), one, authSet},
		{"publish", types(2), one, publish},
		{"published", types(4), one, published},
		{"json_get", types(7), long, jsonGet},
		{"json_set", types(9), one, jsonSet},
		{"json_valid", types(3), one, jsonValid},
		{"metric", types(5, f64), one, record},
		{"hash", types(5), one, digest},
		{"hmac", types(7), one, authenticate},
		{"equal", types(4), one, equal},
		{"random", types(2), none, random},
		{"seal", types(8), one, seal},
		{"open", types(8), one, unseal},
		{"jws_verify", types(8), one, jwsVerify},
		{"jws_sign", types(8), one, jwsSign},
		{"trace_attribute", types(4), one, traceAttribute},
		{"template", types(7), one, template},
		{"xml_tokens", types(5), one, xmlTokens},
		{"xml_write", types(4), one, xmlWrite},
		{"fail", types(2), none, giveUp},
		{"state_get", types(6), one, stateGet},
		{"state_set", types(7), one, stateSet},
		{"state_delete", types(4), one, stateDelete},
		{"state_swap", types(9), one, stateSwap},
		{"state_take", types(10), one, stateTake},
		{"fetch", types(9), one, fetch},
		{"fetch_headers", types(2), long, fetchHeaders},
		{"fetch_body", types(2), one, fetchBody},
	}
}

// enableFeatures implements enable_features: at the start for good, in
// headgate_configure for the configuration, in handle_request for the exchange.
func enableFeatures(g *Guest, stack []uint64) {
	f := uint32(stack[0]) & featuresOffered
	switch g.phase {
	case phaseStart:
		g.startFeatures |= f
		f = g.startFeatures
	case phaseConfigure:
		g.configFeatures |= f
		f = g.startFeatures | g.configFeatures
	case phaseDone:
		fail("enable_features is not allowed " + g.phase.String())
	default:
		g.s.features |= f
		f = g.s.features
	}
	stack[0] = uint64(f)
}

// getConfig implements get_config.
func getConfig(g *Guest, stack []uint64) {
	var p []byte
	if g.cfg != nil {
		p = g.cfg.Bytes
	}
	stack[0] = g.put("get_config", "buf", uint32(stack[0]), uint32(stack[1]), p)
}

// configID implements headgate_v1's config_id: which configuration the running
// call is for.
func configID(g *Guest, stack []uint64) {
	stack[0] = 0
	if g.cfg != nil {
		stack[0] = uint64(g.cfg.ID)
	}
}

// getFilter implements headgate_v1's get_filter.
func getFilter(g *Guest, stack []uint64) {
	name := ""
	if g.cfg != nil {
		name = g.cfg.Filter
	}
	stack[0] = g.putString("get_filter", "buf", uint32(stack[0]), uint32(stack[1]), name)
}

// getRequestID implements headgate_v1's get_request_id.
func getRequestID(g *Guest, stack []uint64) {
	x := g.need("get_request_id")
	stack[0] = g.putString("get_request_id", "buf", uint32(stack[0]), uint32(stack[1]), x.ID)
}

// giveUp implements headgate_v1's fail: the running configuration is refused, or
// the running exchange fails, and the guest goes on. The first reason counts.
func giveUp(g *Guest, stack []uint64) {
	if g.phase == phaseStart || g.phase == phaseDone {
		fail("fail is not allowed " + g.phase.String())
	}
	if g.failed {
		return
	}
	size := min(uint32(stack[1]), maxLine)
	g.failed, g.failure = true, g.text("fail", "message", uint32(stack[0]), size)
}

// maxLine bounds a log line and the reason of a failure.
const maxLine = 4 << 10

// level translates http-wasm's log levels.
func level(n int32) (l slog.Level, ok bool) {
	switch n {
	case -1:
		return slog.LevelDebug, true
	case 0:
		return slog.LevelInfo, true
	case 1:
		return slog.LevelWarn, true
	case 2:
		return slog.LevelError, true
	}
	return 0, false
}

// logEnabled implements log_enabled.
func logEnabled(g *Guest, stack []uint64) {
	l, ok := level(int32(stack[0]))
	stack[0] = 0
	if ok && g.env.Log.Enabled(l) {
		stack[0] = 1
	}
}

// logMessage implements log.
func logMessage(g *Guest, stack []uint64) {
	ptr, size := uint32(stack[1]), uint32(stack[2])
	l, ok := level(int32(stack[0]))
	if !ok || !g.env.Log.Enabled(l) {
		return
	}
	p := g.bytes("log", "message", ptr, size)
	if len(p) > maxLine {
		p = p[:maxLine]
	}
	id := ""
	if g.x != nil {
		id = g.x.ID
	}
	g.env.Log.Log(l, id, string(p))
}
