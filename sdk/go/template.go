package headgate

import "encoding/json"

// Escape is how values are written into a template.
type Escape uint32

// The ways to write values.
const (
	EscapeNone Escape = iota
	EscapeHTML
	EscapeJSON // as JSON: strings with their quotation marks
	EscapeURL  // as a part of a query
	EscapeXML
)

// Template returns a text in which {{path}} stands for the value at a path, as JSON
// has them, of data. What is not there is "", and null for EscapeJSON.
func (x *Exchange) Template(escape Escape, text string, data any) (string, error) {
	p, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	out, n := x.host.Template(uint32(escape), text, p)
	return string(out), documentError(n)
}
