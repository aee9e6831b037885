package native

import (
	"math"

	"github.com/tetratelabs/wazero/api"
)

// What metric does.
const (
	counterAdd = iota
	gaugeSet
	gaugeAdd
	histogramObserve
)

// record implements headgate_v1's metric. It makes the metric, if it is the first
// time.
func record(g *Guest, stack []uint64) {
	const name = "metric"
	metric := g.bytes(name, "name", uint32(stack[1]), uint32(stack[2]))
	labels := g.bytes(name, "labels", uint32(stack[3]), uint32(stack[4]))
	op, v := uint32(stack[0]), api.DecodeF64(stack[5])
	if op > histogramObserve || math.IsNaN(v) || math.IsInf(v, 0) || op == counterAdd && v < 0 {
		stack[0] = result(invalid)
		return
	}
	if len(metric)+len(labels) > maxMetricBytes {
		stack[0] = result(large)
		return
	}
	kind := [...]MetricKind{Counter, Gauge, Gauge, Histogram}[op]
	key := append(append(append(append(g.scratch[:0], g.env.Name...), 0), metric...), 0)
	s, code := g.env.Meter.find(append(key, labels...), g.env.Name, kind, metric, labels)
	stack[0] = result(code)
	if code != 0 {
		return
	}
	switch op {
	case gaugeSet:
		s.bits.Store(math.Float64bits(v))
	case histogramObserve:
		s.observe(v)
	default:
		s.add(v)
	}
}
