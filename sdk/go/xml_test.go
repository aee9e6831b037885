package headgate_test

import (
	"reflect"
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

type reads struct{ got []headgate.XMLToken }

func (r *reads) Request(x *headgate.Exchange) headgate.Verdict {
	var err error
	if r.got, err = x.XML(); err != nil {
		return x.Reply(400, "", err.Error())
	}
	out, err := x.WriteXML(r.got)
	if err != nil {
		return x.Fail(err)
	}
	x.SetBody(out)
	return headgate.Continue
}

func TestXML(t *testing.T) {
	r := &reads{}
	headgate.Register("reads", func(struct{}) (headgate.Filter, error) { return r, nil }, headgate.BufferRequest)
	f := headgatetest.New(t, "reads", "{}")
	doc := `<?xml version="1.0"?><s:a x="1&amp;2"><b></b><!--note-->text &lt;</s:a>`
	x := f.RequestBody("POST", "/", doc)
	want := []headgate.XMLToken{
		{Kind: headgate.XMLInstruction, Name: "xml", Text: `version="1.0"`},
		{Kind: headgate.XMLStart, Name: "s:a", Attr: [][2]string{{"x", "1&2"}}},
		{Kind: headgate.XMLStart, Name: "b", Attr: [][2]string{}}, {Kind: headgate.XMLEnd, Name: "b"},
		{Kind: headgate.XMLComment, Text: "note"}, {Kind: headgate.XMLText, Text: "text <"}, {Kind: headgate.XMLEnd, Name: "s:a"},
	}
	if !reflect.DeepEqual(r.got, want) || x.RequestText() != doc {
		t.Errorf("%+v\n%s\n%s", r.got, x.RequestText(), x.Failure)
	}
	for _, bad := range []string{"", "<a>", "text", "<a></b>"} {
		if x := f.RequestBody("POST", "/", bad); x.Status() != 400 && x.Failure == "" {
			t.Errorf("%q is taken: %+v", bad, r.got)
		}
	}
}
