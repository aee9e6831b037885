package native

import (
	"strings"
	"testing"
)

func TestXMLTokens(t *testing.T) {
	c := newCaller(t, &Env{})
	for _, v := range []struct{ doc, want string }{
		{`<a/>`, `[["start","a",[]],["end","a"]]`},
		{`<?xml version="1.0"?><s:a x="1&amp;2" s:y='z'> t&lt;<![CDATA[<]]><!-- c --></s:a>`,
			`[["pi","xml","version=\"1.0\""],["start","s:a",[["x","1\u00262"],["s:y","z"]]],["text"," t\u003c"],["text","\u003c"],["comment"," c "],["end","s:a"]]`},
		{"<a>\n</a>\n", `[["start","a",[]],["text","\n"],["end","a"]]`},
	} {
		if n, got := c.call("xml_tokens", sourceGuest, v.doc); got != v.want {
			t.Errorf("%s: %d\n%s\nwant\n%s", v.doc, n, got, v.want)
		}
	}
	for name, doc := range map[string]string{
		"nothing": "", "text": "a", "two roots": "<a/><b/>", "not closed": "<a>", "closed wrongly": "<a></b>", "an end": "</a>",
		"a document type": `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, "an entity": "<a>&b;</a>", "text behind": "<a/>b", "not UTF-8": "<a>\xff</a>", "NUL": "<a>\x00</a>",
	} {
		if n, got := c.call("xml_tokens", sourceGuest, doc); n != invalid {
			t.Errorf("%s: %d %s", name, n, got)
		}
	}
	if n, _ := c.call("xml_tokens", sourceGuest, strings.Repeat("<a>", 300)+strings.Repeat("</a>", 300)); n != large {
		t.Errorf("deep: %d", n)
	}
}

func TestXMLWrite(t *testing.T) {
	c := newCaller(t, &Env{})
	for _, v := range []struct{ tokens, want string }{
		{`[["start","a"],["end","a"]]`, `<a></a>`},
		{`[["pi","xml","version=\"1.0\""],["start","s:a",[["x","1&\"2"]]],["text","<&"],["comment"," c "],["end","s:a"]]`,
			`<?xml version="1.0"?><s:a x="1&amp;&#34;2">&lt;&amp;<!-- c --></s:a>`},
	} {
		if n, got := c.call("xml_write", v.tokens); got != v.want {
			t.Errorf("%s: %d\n%s\nwant\n%s", v.tokens, n, got, v.want)
		}
	}
	for name, tokens := range map[string]string{
		"nothing": `[]`, "no array": `{}`, "no JSON": `[`, "open": `[["start","a"]]`, "another end": `[["start","a"],["end","b"]]`, "text alone": `[["text","a"]]`,
		"two roots": `[["start","a"],["end","a"],["start","a"],["end","a"]]`, "a name": `[["start","a b"],["end","a b"]]`, "a name that breaks out": `[["start","a><b"],["end","a><b"]]`,
		"an attribute": `[["start","a",[["x=\"","y"]]],["end","a"]]`, "twice": `[["start","a",[["x","1"],["x","2"]]],["end","a"]]`,
		"a comment": `[["start","a"],["comment","--"],["end","a"]]`, "a control character": `[["start","a"],["text","\u0001"],["end","a"]]`,
		"an instruction": `[["pi","p","?>"],["start","a"],["end","a"]]`, "a declaration inside": `[["start","a"],["pi","xml",""],["end","a"]]`, "no such token": `[["cdata","a"]]`,
	} {
		if n, got := c.call("xml_write", tokens); n != invalid {
			t.Errorf("%s: %d %s", name, n, got)
		}
	}
}
