package proxywasm

import (
	"context"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Module is the name of the module that guests import from.
const Module = "env"

// function is one import of a guest.
type function struct {
	name   string
	params []api.ValueType
	call   func(g *Guest, args []uint64) status
}

// Export adds the functions of the ABI to the host module of that name.
func Export(b wazero.HostModuleBuilder) {
	for _, f := range functions() {
		call := f.call
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			g := ctx.(*Guest) // every call into a guest has it as its context
			if g.mem == nil {
				g.mem = m.Memory() // a start section runs before Start
			}
			stack[0] = uint64(call(g, stack))
		}), f.params, []api.ValueType{i32}).Export(f.name)
	}
}

// Has reports whether the ABI has a function of that name.
func Has(name string) bool {
	for _, f := range functions() {
		if f.name == name {
			return true
		}
	}
	return false
}

func functions() []function {
	return []function{
		{"proxy_log", types(3), logMessage},
		{"proxy_get_log_level", types(1), getLogLevel},
		{"proxy_get_current_time_nanoseconds", types(1), getTime},
		{"proxy_set_tick_period_milliseconds", types(1), setTickPeriod},
		{"proxy_get_status", types(3), getStatus},
		{"proxy_get_configuration", types(2), getConfiguration},
		{"proxy_set_effective_context", types(1), setEffectiveContext},
		{"proxy_done", nil, done},
		{"proxy_call_foreign_function", types(6), callForeign},

		{"proxy_get_header_map_pairs", types(3), getPairs},
		{"proxy_set_header_map_pairs", types(3), setPairs},
		{"proxy_get_header_map_size", types(2), getMapSize},
		{"proxy_get_header_map_value", types(5), getValue},
		{"proxy_replace_header_map_value", types(5), replaceValue},
		{"proxy_add_header_map_value", types(5), addValue},
		{"proxy_remove_header_map_value", types(3), removeValue},

		{"proxy_get_buffer_bytes", types(5), getBuffer},
		{"proxy_get_buffer_status", types(3), getBufferStatus},
		{"proxy_set_buffer_bytes", types(5), setBuffer},

		{"proxy_send_local_response", types(8), sendLocalResponse},
		{"proxy_continue_stream", types(1), continueStream},
		{"proxy_close_stream", types(1), closeStream},
		{"proxy_continue_request", nil, func(g *Guest, _ []uint64) status { return g.resume(requestSide) }},
		{"proxy_continue_response", nil, func(g *Guest, _ []uint64) status { return g.resume(responseSide) }},
		{"proxy_clear_route_cache", nil, func(*Guest, []uint64) status { return ok }}, // the route stays

		{"proxy_http_call", types(10), httpCall},
		{"proxy_grpc_call", types(12), grpcCall},
		{"proxy_grpc_stream", types(9), grpcStream},
		{"proxy_grpc_send", types(4), grpcSend},
		{"proxy_grpc_cancel", types(1), grpcCancel},
		{"proxy_grpc_close", types(1), grpcCancel},

		{"proxy_get_property", types(4), getProperty},
		{"proxy_set_property", types(4), setProperty},

		{"proxy_get_shared_data", types(5), getSharedData},
		{"proxy_set_shared_data", types(5), setSharedData},
		{"proxy_register_shared_queue", types(3), registerQueue},
		{"proxy_resolve_shared_queue", types(5), resolveQueue},
		{"proxy_enqueue_shared_queue", types(3), enqueue},
		{"proxy_dequeue_shared_queue", types(3), dequeue},

		{"proxy_define_metric", types(4), defineMetric},
		{"proxy_increment_metric", []api.ValueType{i32, i64}, incrementMetric},
		{"proxy_record_metric", []api.ValueType{i32, i64}, recordMetric},
		{"proxy_get_metric", types(2), getMetric},
	}
}

// maxLine bounds a line of the log.
const maxLine = 4 << 10

func logMessage(g *Guest, a []uint64) status {
	l, known := level(uint32(a[0]))
	if !known {
		return badArgument
	}
	p, in := g.read(a[1], a[2])
	if !in {
		return invalidMemoryAccess
	}
	if !g.env.Log.Enabled(l) {
		return ok
	}
	id := ""
	if g.stream != nil && g.stream.x != nil {
		id = g.stream.x.ID
	}
	g.env.Log.Log(l, id, string(p[:min(len(p), maxLine)]))
	return ok
}

func getLogLevel(g *Guest, a []uint64) status {
	n := uint32(5)
	for ; n > 1; n-- {
		if l, _ := level(n - 1); !g.env.Log.Enabled(l) {
			break
		}
	}
	return g.put(a[0], n)
}

func getTime(g *Guest, a []uint64) status { return g.put64(a[0], uint64(time.Now().UnixNano())) }

func getStatus(g *Guest, a []uint64) status {
	if s := g.put(a[0], g.code); s != ok {
		return s
	}
	return g.giveString(a[1], a[2], g.said)
}

func getConfiguration(g *Guest, a []uint64) status {
	if g.root == nil {
		return badArgument
	}
	return g.give(a[0], a[1], g.root.cfg.Bytes)
}

func setEffectiveContext(g *Guest, a []uint64) status {
	id := uint32(a[0])
	if g.stream != nil && g.stream.id == id || g.stream == nil && g.root != nil && g.root.id == id {
		return ok
	}
	if s := g.streams[id]; s != nil {
		g.about(s.root, s, stageNone)
		g.stage, g.buffer = s.stageNow()
		return ok
	}
	for _, r := range g.roots {
		if r.id == id {
			g.about(r, nil, stageNone)
			return ok
		}
	}
	return badArgument
}

// done says that the guest needs the context of an exchange that is over no
// longer.
func done(g *Guest, _ []uint64) status {
	if g.stream == nil || !g.stream.over {
		return notFound
	}
	g.ended = append(g.ended, g.stream)
	return ok
}

func continueStream(g *Guest, a []uint64) status {
	if n := uint32(a[0]); n <= responseSide {
		return g.resume(int(n))
	}
	return unimplemented
}

// resume ends a pause.
func (g *Guest) resume(which int) status {
	s := g.stream
	if s == nil || s.over {
		return badArgument
	}
	s.sides[which].paused = false
	if w := s.sides[which].woken; w != nil {
		s.sides[which].woken = nil
		close(w)
	}
	return ok
}

func closeStream(g *Guest, a []uint64) status {
	if uint32(a[0]) > responseSide || g.stream == nil || g.stream.over {
		return badArgument
	}
	g.stream.err = errClosed
	g.stream.wake()
	return ok
}
