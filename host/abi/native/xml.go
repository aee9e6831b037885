package native

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	maxElements  = 256 // nested
	maxXMLTokens = 200_000
	// maxXML bounds documents and their tokens, and xmlTime is what a byte takes, in
	// nanoseconds.
	maxXML  = 2 << 20
	xmlTime = 100
)

// The tokens of XML as JSON: arrays that begin with one of these.
const (
	tokenStart   = "start" // name, then an array of pairs of name and value
	tokenEnd     = "end"   // name
	tokenText    = "text"
	tokenComment = "comment"
	tokenPI      = "pi" // target, instruction
)

// xmlTokens implements headgate_v1's xml_tokens: a document as the JSON array of
// its tokens.
func xmlTokens(g *Guest, stack []uint64) {
	const name = "xml_tokens"
	source := uint32(stack[0])
	doc := g.content(name, source, uint32(stack[1]), uint32(stack[2]))
	if len(doc) > maxXML {
		stack[0] = result(large)
		return
	}
	g.Spend(xmlTime * int64(len(doc)))
	out, code := tokens(doc, min(g.env.MaxBody, maxDocument))
	if code != 0 {
		stack[0] = result(code)
		return
	}
	stack[0] = g.put(name, "buf", uint32(stack[3]), uint32(stack[4]), out)
}

func tokens(doc []byte, limit int) ([]byte, int32) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	out := []byte{'['}
	var open []string
	var rooted bool
	for n := 0; ; n++ {
		t, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, invalid
		}
		if n == maxXMLTokens || len(open) > maxElements || len(out) > limit {
			return nil, large
		}
		var item []any
		switch t := t.(type) {
		case xml.StartElement:
			if len(open) == 0 && rooted {
				return nil, invalid // a second root
			}
			item, rooted = []any{tokenStart, raw(t.Name), attributes(t.Attr)}, true
			open = append(open, raw(t.Name))
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != raw(t.Name) {
				return nil, invalid
			}
			open = open[:len(open)-1]
			item = []any{tokenEnd, raw(t.Name)}
		case xml.CharData:
			if len(open) == 0 {
				if len(bytes.TrimSpace(t)) > 0 {
					return nil, invalid
				}
				continue
			}
			item = []any{tokenText, string(t)}
		case xml.Comment:
			item = []any{tokenComment, string(t)}
		case xml.ProcInst:
			item = []any{tokenPI, t.Target, string(t.Inst)}
		default:
			return nil, invalid // a document type declares entities: nobody needs it here
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		b, _ := json.Marshal(item) // of strings
		out = append(out, b...)
	}
	if len(open) > 0 || !rooted {
		return nil, invalid
	}
	return append(out, ']'), 0
}

func raw(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

func attributes(list []xml.Attr) [][2]string {
	out := make([][2]string, len(list))
	for i, a := range list {
		out[i] = [2]string{raw(a.Name), a.Value}
	}
	return out
}

// xmlWrite implements headgate_v1's xml_write: the document of an array of tokens.
func xmlWrite(g *Guest, stack []uint64) {
	const name = "xml_write"
	text := g.bytes(name, "tokens", uint32(stack[0]), uint32(stack[1]))
	if len(text) > maxXML {
		stack[0] = result(large)
		return
	}
	g.Spend(xmlTime * int64(len(text)))
	out, code := document(text, min(g.env.MaxBody, maxDocument))
	if code != 0 {
		stack[0] = result(code)
		return
	}
	stack[0] = g.put(name, "buf", uint32(stack[2]), uint32(stack[3]), out)
}

func document(text []byte, limit int) ([]byte, int32) {
	var list [][]json.RawMessage
	if !shallow(text) || json.Unmarshal(text, &list) != nil {
		return nil, invalid
	}
	var w xmlWriter
	for _, t := range list {
		if len(w.open) > maxElements || w.out.Len() > limit {
			return nil, large
		}
		if !w.token(t) {
			return nil, invalid
		}
	}
	if len(w.open) > 0 || !w.rooted {
		return nil, invalid
	}
	if w.out.Len() > limit {
		return nil, large
	}
	return w.out.Bytes(), 0
}

// xmlWriter writes a well-formed document, or refuses.
type xmlWriter struct {
	out    bytes.Buffer
	open   []string
	rooted bool
}

func (w *xmlWriter) token(t []json.RawMessage) bool {
	var texts [3]string
	if len(t) < 2 || len(t) > 3 {
		return false
	}
	for i := range min(len(t), 2) {
		if json.Unmarshal(t[i], &texts[i]) != nil {
			return false
		}
	}
	a := texts[1]
	switch texts[0] {
	case tokenStart:
		var attrs [][2]string
		if len(t) == 3 && json.Unmarshal(t[2], &attrs) != nil {
			return false
		}
		return w.start(a, attrs)
	case tokenEnd:
		n := len(w.open)
		if n == 0 || w.open[n-1] != a {
			return false
		}
		w.open = w.open[:n-1]
		w.out.WriteString("</" + a + ">")
		return true
	case tokenText:
		return len(w.open) > 0 && w.escape(a)
	case tokenComment:
		w.out.WriteString("<!--" + a + "-->")
		return !strings.Contains(a, "--") && !strings.HasSuffix(a, "-") && characters(a)
	case tokenPI:
		if len(t) == 3 && json.Unmarshal(t[2], &texts[2]) != nil {
			return false
		}
		w.out.WriteString("<?" + a + " " + texts[2] + "?>")
		declared := strings.EqualFold(a, "xml") && w.out.Len() != len(a)+len(texts[2])+5
		return xmlName(a) && !declared && !strings.Contains(texts[2], "?>") && characters(texts[2])
	}
	return false
}

func (w *xmlWriter) start(name string, attrs [][2]string) bool {
	if !xmlName(name) || len(w.open) == 0 && w.rooted {
		return false
	}
	w.rooted = true
	w.open = append(w.open, name)
	w.out.WriteString("<" + name)
	seen := make(map[string]bool, len(attrs))
	for _, a := range attrs {
		if !xmlName(a[0]) || seen[a[0]] {
			return false
		}
		seen[a[0]] = true
		w.out.WriteString(" " + a[0] + `="`)
		if !w.escape(a[1]) {
			return false
		}
		w.out.WriteByte('"')
	}
	w.out.WriteByte('>')
	return true
}

func (w *xmlWriter) escape(s string) bool {
	return characters(s) && xml.EscapeText(&w.out, []byte(s)) == nil
}

// characters reports whether s has only what a document may have (XML 1.0 section
// 2.2).
func characters(s string) bool {
	for _, r := range s {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return false
		}
	}
	return utf8.ValidString(s)
}

// xmlName reports whether s can be the name of an element: a little stricter than
// XML 1.0 section 2.3 is with letters that are not ASCII.
func xmlName(s string) bool {
	if s == "" || !utf8.ValidString(s) || strings.Count(s, ":") > 1 {
		return false
	}
	for i, r := range s {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z' || r == '_' || r == ':' || r >= 0xc0 && r != 0xd7 && r != 0xf7 && r != 0xfffe && r != 0xffff && !(r >= 0x2000 && r < 0x2070)
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || r == '-' || r == '.')) {
			return false
		}
	}
	return true
}
