package headgate_test

import (
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

type redacts struct{ Field string }

func (c *redacts) Request(x *headgate.Exchange) headgate.Verdict {
	own := x.ParseJSON([]byte(`{"a":{"b":[1,"two",true,null]}}`))
	if v, ok, err := own.Get("a.b.1"); !ok || err != nil || v.String() != "two" || string(v.JSON()) != `"two"` {
		return x.Fail(err)
	}
	if n, _, _ := own.Get("a.b.#"); n.String() != "4" || own.Text("a.b.9") != "" {
		return x.Reply(500, "", "length "+n.String())
	}
	if err := own.Set("a.b.0", 7); err != nil || string(own.Bytes()) != `{"a":{"b":[7,"two",true,null]}}` {
		return x.Reply(500, "", string(own.Bytes()))
	}
	body := x.JSONBody()
	if _, ok, err := body.Get(c.Field); err != nil || !ok {
		return x.Reply(400, "", "")
	}
	if err := body.Delete(c.Field); err != nil {
		return x.Fail(err)
	}
	return headgate.Continue
}

func TestJSON(t *testing.T) {
	headgate.Register("redacts", func(c redacts) (headgate.Filter, error) { return &c, nil }, headgate.BufferRequest)
	f := headgatetest.New(t, "redacts", `{"field":"user.email"}`)
	if x := f.RequestBody("POST", "/", `{"user":{"email":"a@example.com","id":1}}`); x.Verdict != headgate.Continue || x.RequestText() != `{"user":{"id":1}}` {
		t.Errorf("%v %s %s %s", x.Verdict, x.Failure, x.RequestText(), x.ResponseBody())
	}
	for _, body := range []string{"{}", "no JSON", "[1]"} {
		if x := f.RequestBody("POST", "/", body); x.Status() != 400 {
			t.Errorf("%s: %d", body, x.Status())
		}
	}
}

type fills struct{}

func (*fills) Request(x *headgate.Exchange) headgate.Verdict {
	data := map[string]any{"user": map[string]any{"name": "<a>"}}
	page, err := x.Template(headgate.EscapeHTML, "<p>{{user.name}}{{none}}</p>", data)
	if err != nil {
		return x.Fail(err)
	}
	text, err := x.Template(headgate.EscapeJSON, `{"n":{{user.name}},"x":{{none}}}`, data)
	if err != nil {
		return x.Fail(err)
	}
	if _, err := x.Template(headgate.EscapeNone, "{{open", data); err != headgate.ErrDocumentInvalid {
		return x.Reply(500, "", "")
	}
	return x.Reply(200, "text/html", page+text)
}

func TestTemplate(t *testing.T) {
	headgate.Register("fills", func(c fills) (headgate.Filter, error) { return &c, nil })
	if x := headgatetest.New(t, "fills", "{}").Request("GET", "/"); x.ResponseBody() != `<p>&lt;a&gt;</p>{"n":"\u003ca\u003e","x":null}` {
		t.Error(x.ResponseBody(), x.Failure)
	}
}
