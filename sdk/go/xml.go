package headgate

import (
	"encoding/json"

	"github.com/headgate/headgate/sdk/go/internal/host"
)

// XMLToken is a part of an XML document.
type XMLToken struct {
	// Kind is XMLStart, XMLEnd, XMLText, XMLComment or XMLInstruction.
	Kind string
	// Name is that of an element with its prefix, or the target of an instruction.
	Name string
	// Attr are names and values, of XMLStart.
	Attr [][2]string
	// Text is that of a text, a comment or an instruction.
	Text string
}

// The kinds of tokens.
const (
	XMLStart       = "start"
	XMLEnd         = "end"
	XMLText        = "text"
	XMLComment     = "comment"
	XMLInstruction = "pi"
)

// XML returns the tokens of the request's body. It needs the option BufferRequest. A
// document has up to 2 MiB, and no document type.
func (x *Exchange) XML() ([]XMLToken, error) { return xmlTokens(x.host, host.RequestBody, nil) }

// XML returns the tokens of the response's body. It needs the option BufferResponse.
func (r *Response) XML() ([]XMLToken, error) { return xmlTokens(r.x.host, host.ResponseBody, nil) }

// ParseXML returns the tokens of any document.
func (x *Exchange) ParseXML(data []byte) ([]XMLToken, error) {
	return xmlTokens(x.host, host.Data, data)
}

func xmlTokens(h host.Host, source uint32, data []byte) ([]XMLToken, error) {
	p, n := h.XMLTokens(source, data)
	if err := documentError(n); err != nil {
		return nil, err
	}
	var list []XMLToken
	return list, json.Unmarshal(p, &list)
}

// WriteXML makes the document of tokens. The error is ErrDocumentInvalid if they make
// none: every element is closed, and there is one root.
func (x *Exchange) WriteXML(tokens []XMLToken) ([]byte, error) {
	p, err := json.Marshal(tokens)
	if err != nil {
		return nil, err
	}
	out, n := x.host.XMLWrite(p)
	return out, documentError(n)
}

// MarshalJSON implements json.Marshaler: tokens are arrays in the ABI.
func (t XMLToken) MarshalJSON() ([]byte, error) {
	switch t.Kind {
	case XMLStart:
		attr := t.Attr
		if attr == nil {
			attr = [][2]string{}
		}
		return json.Marshal([]any{t.Kind, t.Name, attr})
	case XMLEnd:
		return json.Marshal([]string{t.Kind, t.Name})
	case XMLInstruction:
		return json.Marshal([]string{t.Kind, t.Name, t.Text})
	}
	return json.Marshal([]string{t.Kind, t.Text})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *XMLToken) UnmarshalJSON(p []byte) error {
	var parts [3]json.RawMessage
	if err := json.Unmarshal(p, &parts); err != nil {
		return err
	}
	*t = XMLToken{}
	if err := json.Unmarshal(parts[0], &t.Kind); err != nil {
		return err
	}
	switch t.Kind {
	case XMLStart, XMLEnd, XMLInstruction:
		if err := json.Unmarshal(parts[1], &t.Name); err != nil {
			return err
		}
	default:
		return json.Unmarshal(parts[1], &t.Text)
	}
	switch t.Kind {
	case XMLStart:
		return json.Unmarshal(parts[2], &t.Attr)
	case XMLInstruction:
		return json.Unmarshal(parts[2], &t.Text)
	}
	return nil
}
