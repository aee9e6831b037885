package headgatetest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"

	headgate "github.com/headgate/headgate/sdk/go"
)

// XMLTokens implements host.Host.
func (f *fake) XMLTokens(source uint32, data []byte) ([]byte, int32) {
	d := xml.NewDecoder(bytes.NewReader(f.document(source, data)))
	list := []headgate.XMLToken{}
	depth := 0
	for {
		token, err := d.RawToken()
		if err == io.EOF && depth == 0 && len(list) > 0 {
			out := encode(list)
			return out, int32(len(out))
		}
		if err != nil {
			return nil, -4
		}
		switch t := token.(type) {
		case xml.StartElement:
			start := headgate.XMLToken{Kind: headgate.XMLStart, Name: full(t.Name)}
			for _, a := range t.Attr {
				start.Attr = append(start.Attr, [2]string{full(a.Name), a.Value})
			}
			list = append(list, start)
			depth++
		case xml.EndElement:
			list = append(list, headgate.XMLToken{Kind: headgate.XMLEnd, Name: full(t.Name)})
			depth--
		case xml.CharData:
			if depth > 0 {
				list = append(list, headgate.XMLToken{Kind: headgate.XMLText, Text: string(t)})
			}
		case xml.Comment:
			list = append(list, headgate.XMLToken{Kind: headgate.XMLComment, Text: string(t)})
		case xml.ProcInst:
			list = append(list, headgate.XMLToken{Kind: headgate.XMLInstruction, Name: t.Target, Text: string(t.Inst)})
		default:
			return nil, -4
		}
	}
}

func full(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// XMLWrite implements host.Host.
func (f *fake) XMLWrite(tokens []byte) ([]byte, int32) {
	var list []headgate.XMLToken
	if json.Unmarshal(tokens, &list) != nil {
		return nil, -4
	}
	var out bytes.Buffer
	var open []string
	for _, t := range list {
		switch t.Kind {
		case headgate.XMLStart:
			out.WriteString("<" + t.Name)
			for _, a := range t.Attr {
				out.WriteString(" " + a[0] + "=\"")
				_ = xml.EscapeText(&out, []byte(a[1])) // a Buffer takes everything
				out.WriteByte('"')
			}
			out.WriteByte('>')
			open = append(open, t.Name)
		case headgate.XMLEnd:
			if len(open) == 0 || open[len(open)-1] != t.Name {
				return nil, -4
			}
			open = open[:len(open)-1]
			out.WriteString("</" + t.Name + ">")
		case headgate.XMLComment:
			out.WriteString("<!--" + t.Text + "-->")
		case headgate.XMLInstruction:
			out.WriteString("<?" + t.Name + " " + t.Text + "?>")
		default:
			_ = xml.EscapeText(&out, []byte(t.Text))
		}
	}
	if len(open) > 0 || out.Len() == 0 {
		return nil, -4
	}
	return out.Bytes(), int32(out.Len())
}
