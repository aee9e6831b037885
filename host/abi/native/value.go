package native

import (
	"encoding/json"
	"strconv"

	"github.com/headgate/headgate/host/abi"
	"github.com/headgate/headgate/runtime/exchange"
)

// The kinds of values that functions return.
const (
	valueNull = iota + 1
	valueBool
	valueNumber
	valueString
	valueJSON // an array or an object
)

// What functions of capabilities return instead of a length. Those of state
// mean the same.
const (
	absent  = stateAbsent  // there is none
	denied  = stateDenied  // nothing grants it
	large   = stateLarge   // beyond a limit
	invalid = stateInvalid // an argument does not mean anything
)

// valueResult is the result of a function that returns a value and its kind.
func valueResult(kind int, length uint64) uint64 { return uint64(kind)<<32 | length }

func valueError(code int64) uint64 { return uint64(code) }

// evaluate implements headgate_v1's value: an expression of the configuration for
// this request. One that fails makes the exchange fail, by the rules for
// expressions.
func evaluate(g *Guest, stack []uint64) {
	const name = "value"
	x := g.need(name)
	n := uint64(uint32(stack[0]))
	if n >= uint64(len(g.cfg.Values)) {
		stack[0] = valueError(absent)
		return
	}
	v, err := g.evaluate(name, x, &g.cfg.Values[n])
	if err != nil {
		if !g.failed {
			g.failed, g.failure = true, err.Error()
		}
		stack[0] = valueError(invalid)
		return
	}
	kind, text := g.parts(v)
	stack[0] = valueResult(kind, g.put(name, "buf", uint32(stack[1]), uint32(stack[2]), text))
}

// evaluate waits for the body, if the value needs it and it is not there.
func (g *Guest) evaluate(function string, x *exchange.Exchange, v *abi.Value) (exchange.Value, error) {
	if !v.Waits {
		return v.Eval(x)
	}
	g.onRequest(function) // afterwards the body has gone
	m := &x.Request.Message
	if _, whole := m.Content(); whole {
		return v.Eval(x)
	}
	g.Pause(g.stopBody(m))
	defer g.Resume()
	return v.Eval(x)
}

// parts returns kind and text of a value, valid until the next call.
func (g *Guest) parts(v exchange.Value) (kind int, text []byte) {
	switch v.Kind {
	case exchange.KindBool:
		return valueBool, strconv.AppendBool(g.scratch[:0], v.Bool)
	case exchange.KindNumber:
		return valueNumber, strconv.AppendFloat(g.scratch[:0], v.Num, 'f', -1, 64)
	case exchange.KindString:
		return valueString, exchange.Bytes(v.Text)
	case exchange.KindJSON:
		if p, err := json.Marshal(v.JSON); err == nil {
			return valueJSON, p
		}
	}
	return valueNull, nil
}
