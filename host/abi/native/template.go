package native

import (
	"bytes"
	"encoding/json"
	"html"
	"net/url"

	"github.com/tidwall/gjson"

	"github.com/headgate/headgate/runtime/exchange"
)

// How values are written into a template.
const (
	escapeNone = iota
	escapeHTML
	escapeJSON // as a JSON value: strings with their quotation marks
	escapeURL  // as one part of a query
	escapeXML
)

// template implements headgate_v1's template: a text in which {{path}} stands for
// the value at a path of a JSON document.
func template(g *Guest, stack []uint64) {
	const name = "template"
	text := g.bytes(name, "text", uint32(stack[1]), uint32(stack[2]))
	data := g.bytes(name, "data", uint32(stack[3]), uint32(stack[4]))
	g.Spend(8 * int64(len(text)+len(data)))
	escape := uint32(stack[0])
	if escape > escapeXML || !validJSON(data) {
		stack[0] = result(invalid)
		return
	}
	if bytes.Count(text, []byte("{{")) > maxPlaceholders {
		stack[0] = result(large)
		return
	}
	out, code := g.expand(text, exchange.String(data), escape)
	if code != 0 {
		stack[0] = result(code)
		return
	}
	stack[0] = g.put(name, "buf", uint32(stack[5]), uint32(stack[6]), out)
}

// maxPlaceholders bounds a template: each is a search through the document.
const maxPlaceholders = 1000

// expand fills the places of a text.
func (g *Guest) expand(text []byte, data string, escape uint32) (out []byte, code int32) {
	limit := min(g.env.MaxBody, maxDocument)
	for spent := 0; ; {
		before, rest, found := bytes.Cut(text, []byte("{{"))
		out = append(out, before...)
		if !found {
			break
		}
		path, after, closed := bytes.Cut(rest, []byte("}}"))
		p := string(bytes.TrimSpace(path))
		if !closed || !readable(p) {
			return nil, invalid
		}
		out = append(out, written(gjson.Get(data, p), escape)...)
		if spent += len(data); len(out) > limit || spent > maxSearched {
			return nil, large
		}
		text = after
	}
	if len(out) > limit {
		return nil, large
	}
	return out, 0
}

// maxSearched bounds the bytes that all searches of a template go through.
const maxSearched = 4 * maxDocument

func written(r gjson.Result, escape uint32) string {
	if escape == escapeJSON {
		if !r.Exists() {
			return "null"
		}
		if r.Type == gjson.String {
			b, _ := json.Marshal(r.Str) // a string
			return string(b)
		}
		return r.Raw
	}
	s := r.String()
	if r.Type == gjson.Number && r.Raw != "" {
		s = r.Raw // with all its digits
	}
	switch escape {
	case escapeHTML, escapeXML:
		return html.EscapeString(s)
	case escapeURL:
		return url.QueryEscape(s)
	}
	return s
}
