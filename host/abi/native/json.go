package native

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/headgate/headgate/runtime/exchange"
)

const (
	// maxNesting bounds documents: reading them is recursive.
	maxNesting = 1000
	// maxPath bounds the path of a value in a document, and maxLists the lists that
	// it goes through, as each may be a search in a search.
	maxPath  = 256
	maxLists = 8
	// maxIndex bounds the index that json_set writes to: what lies before it is
	// filled with nulls.
	maxIndex = 1000
	// deleted as the length of a value stands for its removal.
	deleted = 1<<32 - 1
)

// jsonGet implements headgate_v1's json_get: the value at a path.
func jsonGet(g *Guest, stack []uint64) {
	const name = "json_get"
	doc := g.content(name, uint32(stack[0]), uint32(stack[1]), uint32(stack[2]))
	path := exchange.String(g.bytes(name, "path", uint32(stack[3]), uint32(stack[4])))
	if !readable(path) || !validJSON(doc) {
		stack[0] = valueError(invalid)
		return
	}
	r := gjson.Get(exchange.String(doc), path)
	kind, text := valueJSON, r.Raw
	switch {
	case !r.Exists():
		stack[0] = valueError(absent)
		return
	case r.Type == gjson.Null:
		kind, text = valueNull, ""
	case r.Type == gjson.True, r.Type == gjson.False:
		kind = valueBool
	case r.Type == gjson.Number:
		kind = valueNumber
		if text == "" { // a count
			text = strconv.FormatFloat(r.Num, 'f', -1, 64)
		}
	case r.Type == gjson.String:
		kind, text = valueString, r.Str
	}
	stack[0] = valueResult(kind, g.putString(name, "buf", uint32(stack[5]), uint32(stack[6]), text))
}

// jsonSet implements headgate_v1's json_set: the document with another value at
// a path, or without one.
func jsonSet(g *Guest, stack []uint64) {
	const name = "json_set"
	source := uint32(stack[0])
	doc := g.content(name, source, uint32(stack[1]), uint32(stack[2]))
	path := g.text(name, "path", uint32(stack[3]), uint32(stack[4]))
	remove := uint32(stack[6]) == deleted
	var value []byte
	if !remove {
		value = g.bytes(name, "value", uint32(stack[5]), uint32(stack[6]))
	}
	if !writable(path) || !validJSON(doc) || !remove && !validJSON(value) {
		stack[0] = result(invalid)
		return
	}
	var out []byte
	var err error
	if remove {
		out, err = sjson.DeleteBytes(doc, path)
	} else {
		out, err = sjson.SetRawBytes(doc, path, value)
	}
	switch {
	case err != nil || !validJSON(out):
		stack[0] = result(invalid)
	case len(out) > min(g.env.MaxBody, maxDocument):
		stack[0] = result(large)
	default:
		stack[0] = g.give(name, source, uint32(stack[7]), uint32(stack[8]), out)
	}
}

// jsonValid implements headgate_v1's json_valid.
func jsonValid(g *Guest, stack []uint64) {
	doc := g.content("json_valid", uint32(stack[0]), uint32(stack[1]), uint32(stack[2]))
	stack[0] = 0
	if validJSON(doc) {
		stack[0] = 1
	}
}

// validJSON reports whether p is one JSON value that is not too large, or nested
// too deeply, to be read.
func validJSON(p []byte) bool {
	return len(p) <= maxDocument && shallow(p) && gjson.ValidBytes(p)
}

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

// readable reports whether a path only looks things up. Modifiers, lists of paths
// and literals make new documents, as many as there are of them.
func readable(path string) bool {
	if path == "" || len(path) > maxPath || strings.Count(path, "#") > maxLists {
		return false
	}
	first := true // of a part of the path
	for i, c := range path {
		switch c {
		case '.', '|', '(':
			first = true
			continue
		case ' ':
			continue
		case '{', '[', '!':
			if first {
				return false
			}
		case '@':
			end := strings.IndexAny(path[i+1:], ".|:()=<>!% ")
			if end < 0 {
				end = len(path) - i - 1
			}
			if first && gjson.ModifierExists(path[i+1:i+1+end], nil) {
				return false
			}
		}
		first = false
	}
	return true
}

// writable reports whether a path names one place, at no great index.
func writable(path string) bool {
	if path == "" || len(path) > maxPath || strings.ContainsAny(path, "|#@*?") {
		return false
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(path, `\`, ""), ".") {
		if strings.Trim(part, "0123456789") != "" || part == "" {
			continue // not a number
		}
		if n, err := strconv.Atoi(part); err != nil || n > maxIndex {
			return false
		}
	}
	return true
}
