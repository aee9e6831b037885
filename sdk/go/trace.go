package headgate

import "errors"

// The errors of Trace.
var (
	ErrTraceInvalid = errors.New("not a name of letters in lower case, digits and underscores, or not UTF-8")
	ErrTraceLarge   = errors.New("the value is too long, or the exchange has too many attributes")
)

// Trace notes a fact about the exchange, such as the tenant that it is for. The
// access log has it under the plugin's name: "geo.country". The last value of a
// name counts.
func (x *Exchange) Trace(name, value string) error {
	switch x.host.TraceAttribute(name, value) {
	case -3:
		return ErrTraceLarge
	case -4:
		return ErrTraceInvalid
	}
	return nil
}
