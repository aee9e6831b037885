package headgate_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	headgate "github.com/headgate/headgate/sdk/go"
)

type inner struct {
	Name  string `headgate:"name,required"`
	Count int
}

type config struct {
	Text    string `headgate:"a_text,required"`
	MaxAge  time.Duration
	Ratio   float64
	On      bool
	List    []string
	Inner   inner
	Many    []inner
	ByName  map[string]inner
	Maybe   *inner
	Skipped string `headgate:"-"`
	_       string // must be left alone
}

func (c *config) Defaults() { c.Ratio = 0.5 }

func TestDecode(t *testing.T) {
	var got config
	err := headgate.Decode([]byte(`{
		"a_text": "x", "max_age": "1m30s", "on": true, "list": ["a", "b"], "inner": {"name": "i", "count": 2},
		"many": [{"name": "m"}], "by_name": {"k": {"name": "v"}}, "maybe": {"name": "p"}
	}`), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		Text: "x", MaxAge: 90 * time.Second, Ratio: 0.5, On: true, List: []string{"a", "b"}, Inner: inner{"i", 2},
		Many: []inner{{Name: "m"}}, ByName: map[string]inner{"k": {Name: "v"}}, Maybe: &inner{Name: "p"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	for text, want := range map[string][]string{
		``:   {"a_text is required"},
		`[]`: {"not a JSON object"},
		`{"a_text": 1, "max_age": 3, "nope": 1, "list": "x", "hidden": ""}`: {"a_text: 1 is not a string", "max_age: a duration", "no nope", "list: a list", "no hidden"},
		`{"a_text": "x", "max_age": "soon"}`:                                {`"soon" is not a duration`},
		`{"a_text": "x", "inner": {"count": 1.5}}`:                          {"inner.name is required", "inner.count: 1.5 is not a whole number"},
		`{"a_text": "x", "many": [{"name": "a"}, {"nam": "b"}]}`:            {"many[1].name is required", "no many[1].nam; known are name, count"},
		`{"a_text": "x", "by_name": {"k": 3}}`:                              {`by_name["k"]: an object`},
		`{"a_text": null}`:                                                  {"a_text is required"},
	} {
		err := headgate.Decode([]byte(text), &config{})
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %v, want one with %q", text, err, w)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a_text": "x", "many": [{}], "max_age": "1s"}`))
	f.Fuzz(func(t *testing.T, text []byte) { _ = headgate.Decode(text, &config{}) })
}
