package native

import "github.com/tidwall/gjson"

// maxNesting bounds documents: reading them is recursive.
const maxNesting = 1000

// validJSON reports whether p is one JSON value that is not nested too deeply to
// be read.
func validJSON(p []byte) bool { return shallow(p) && gjson.ValidBytes(p) }

func shallow(p []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
