package headgate

import (
	"encoding/json"
	"errors"

	"github.com/headgate/headgate/sdk/go/internal/host"
)

// Value is a setting that may be an expression over the request, such as
// user = request.header["x-user"]. Exchange.Value and Exchange.JSON say what it is
// for an exchange. A member of a configuration of another type takes no
// expressions.
type Value struct {
	fixed json.RawMessage // if it is no expression
	index uint32
	set   bool
}

// expression is what stands for one in a configuration.
type expression struct {
	Index *uint32 `json:"$expr"`
}

func isExpression(raw []byte) (index uint32, ok bool) {
	var e expression
	if json.Unmarshal(raw, &e) != nil || e.Index == nil {
		return 0, false
	}
	return *e.Index, true
}

// Fixed makes a Value that is the same for every exchange, for defaults and tests.
func Fixed(v any) Value {
	p, err := json.Marshal(v)
	if err != nil {
		panic("headgate: " + err.Error())
	}
	return Value{fixed: p, set: true}
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(p []byte) error {
	*v = Value{set: true}
	if index, ok := isExpression(p); ok {
		v.index = index
		return nil
	}
	if !json.Valid(p) {
		return errors.New("not a value")
	}
	v.fixed = append(json.RawMessage(nil), p...)
	return nil
}

// IsSet reports whether the configuration has the setting.
func (v Value) IsSet() bool { return v.set }

// Value returns what a setting is for this exchange, as text; null is "". An
// expression that fails makes the exchange fail when the filter returns, and is "".
func (x *Exchange) Value(v Value) string {
	text, kind := x.evaluate(v)
	if kind == host.ValueNull {
		return ""
	}
	return string(text)
}

// JSON returns what a setting is for this exchange, as JSON; nil if its expression
// fails.
func (x *Exchange) JSON(v Value) json.RawMessage {
	return host.JSON(x.evaluate(v))
}

func (x *Exchange) evaluate(v Value) (text []byte, kind int32) {
	if v.fixed == nil {
		if !v.set {
			return nil, host.ValueNull
		}
		return x.host.Value(v.index)
	}
	return host.Kind(v.fixed)
}
