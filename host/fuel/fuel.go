package fuel

import "errors"

// What a rewritten module imports and exports beyond its own. A module that
// itself imports from Module, or exports one of these names, is refused.
const (
	// Module is the import module of Refill.
	Module = "headgate:fuel"
	// Refill has the parameters (why i32, fuel i64) and the result i64. It is
	// called when the fuel is below zero, and returns how much the guest gets; or
	// with why = WhyStack when the call depth is above its budget, and must not
	// return then.
	Refill = "refill"
	// Fuel is the exported mutable global with what is left, an i64 that is 0 at
	// first.
	Fuel = "headgate:fuel"
	// Stack is the exported mutable global with what is left of the budget for
	// call depth, an i64 that is Options.MaxStack at first. A host that ends a call
	// by other means than a return sets it again before the next.
	Stack = "headgate:stack"
)

// The values of Refill's first parameter.
const (
	WhyFuel  = 0
	WhyStack = 1
)

// ErrReserved is a module that uses the names of what Rewrite adds.
var ErrReserved = errors.New("the module uses a name that is reserved for the host")

// Options are the limits to write into a module. The zero value of each is no
// limit.
type Options struct {
	// MaxMemory is the maximum of a memory in pages of 64 KiB. A memory that starts
	// larger keeps its minimum.
	MaxMemory uint32
	// MaxTable is the maximum of all tables together, in elements. A module that
	// starts with more is refused.
	MaxTable uint32
	// MaxStack is how deep calls may nest, in bytes of an estimate of what engines
	// use: some 50 a call, and 8 for each parameter and local variable.
	MaxStack int64
}

// Report is what Rewrite found and did.
type Report struct {
	Functions int // with code
	Loops     int
	Points    int // places where fuel is used
	Counted   int // functions that count as call depth
	Bulk      int // instructions whose cost depends on an operand
}

// Rewrite returns the module with its use of fuel and of the stack counted. The
// result is the same for the same input. Time and memory are linear in the
// length of the input. An error is a *MalformedError or wraps ErrReserved.
func Rewrite(wasm []byte, o Options) ([]byte, Report, error) {
	m := &module{in: wasm, opts: o}
	if err := m.parse(); err != nil {
		return nil, Report{}, err
	}
	if err := m.declare(); err != nil {
		return nil, Report{}, err
	}
	if err := m.survey(); err != nil {
		return nil, Report{}, err
	}
	m.nest()
	out, err := m.encode()
	if err != nil {
		return nil, Report{}, err
	}
	return out, m.report, nil
}
