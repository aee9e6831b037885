package exchange

// Kind is the type of a request-time Value.
type Kind uint8

// The kinds of values. KindJSON covers arrays and objects.
const (
	KindNull Kind = iota
	KindBool
	KindNumber
	KindString
	KindJSON
)

// Value is the result of a request-time expression. Text may alias bytes of the
// exchange: it is valid until the exchange ends.
type Value struct {
	Kind Kind
	Bool bool
	Num  float64
	Text string // for KindString
	JSON any    // []any or map[string]any for KindJSON
}

// Text makes a string value.
func Text(s string) Value { return Value{Kind: KindString, Text: s} }

// Expr is a compiled request-time expression. It is safe for concurrent use. An
// error is a type error of the expression for this request.
type Expr func(*Exchange) (Value, error)

// Arena hands out memory that lives as long as its exchange.
type Arena struct{ buf []byte }

// Alloc returns n bytes, not zeroed, with no spare capacity.
func (a *Arena) Alloc(n int) []byte {
	at := len(a.buf)
	if cap(a.buf)-at < n {
		// What was handed out keeps the old array alive by itself.
		a.buf, at = make([]byte, 0, max(2*cap(a.buf), n, 512)), 0
	}
	a.buf = a.buf[:at+n]
	return a.buf[at : at+n : at+n]
}

// maxKept bounds what a pooled exchange retains between requests.
const maxKept = 16 << 10

func (a *Arena) reset() {
	if cap(a.buf) > maxKept {
		a.buf = nil
	}
	a.buf = a.buf[:0]
}
