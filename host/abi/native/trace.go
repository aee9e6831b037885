package native

import (
	"unicode/utf8"

	"github.com/headgate/headgate/runtime/exchange"
)

const (
	maxAttributeValue = 1 << 10
	maxAttributes     = 64 // of one exchange
)

// traceAttribute implements headgate_v1's trace_attribute: a fact about the
// exchange, under the plugin's name, for the access log.
func traceAttribute(g *Guest, stack []uint64) {
	const name = "trace_attribute"
	x := g.alone(name)
	key := g.bytes(name, "name", uint32(stack[0]), uint32(stack[1]))
	value := g.bytes(name, "value", uint32(stack[2]), uint32(stack[3]))
	if !word(exchange.String(key), maxMetricName) || !utf8.Valid(value) {
		stack[0] = result(invalid)
		return
	}
	if len(value) > maxAttributeValue {
		stack[0] = result(large)
		return
	}
	full := g.env.Name + "." + string(key)
	stack[0] = 0
	for i := range x.Fields {
		if x.Fields[i].Name == full {
			x.Fields[i].Value = string(value)
			return
		}
	}
	if len(x.Fields) >= maxAttributes {
		stack[0] = result(large)
		return
	}
	x.Fields = append(x.Fields, exchange.Param{Name: full, Value: string(value)})
}
