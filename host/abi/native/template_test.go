package native

import (
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	c := newCaller(t, &Env{})
	data := `{"name":"<Ada & \"Co\">","n":1.50,"list":["a",2],"none":null,"ok":true}`
	for _, v := range []struct {
		escape     int
		text, want string
	}{
		{escapeNone, "no places", "no places"},
		{escapeNone, "{{name}}, {{ n }}{{list.1}}{{list}}{{none}}{{nothing}}.", `<Ada & "Co">, 1.502["a",2].`},
		{escapeHTML, "<b>{{name}}</b>", "<b>&lt;Ada &amp; &#34;Co&#34;&gt;</b>"},
		{escapeXML, "<b>{{name}}</b>", "<b>&lt;Ada &amp; &#34;Co&#34;&gt;</b>"},
		{escapeJSON, `{"a":{{name}},"b":{{list}},"c":{{nothing}},"d":{{ok}},"e":{{n}}}`, `{"a":"\u003cAda \u0026 \"Co\"\u003e","b":["a",2],"c":null,"d":true,"e":1.50}`},
		{escapeURL, "?q={{name}}", "?q=%3CAda+%26+%22Co%22%3E"},
	} {
		if n, got := c.call("template", v.escape, v.text, data); got != v.want {
			t.Errorf("%d %s: %d\n%s\nwant\n%s", v.escape, v.text, n, got, v.want)
		}
	}
	for name, v := range map[string]struct {
		escape     int
		text, data string
		want       int64
	}{
		"no such way": {5, "", data, invalid}, "no JSON": {0, "", "x", invalid}, "open": {0, "{{n", data, invalid}, "no path": {0, "{{}}", data, invalid},
		"a modifier": {0, "{{@this}}", data, invalid}, "many places": {0, strings.Repeat("{{n}}", 1001), data, large},
		"much to write": {0, strings.Repeat("{{a}}", 500), `{"a":"` + strings.Repeat("x", 4000) + `"}`, large},
	} {
		if n, got := c.call("template", v.escape, v.text, v.data); n != v.want {
			t.Errorf("%s: %d %.40s, want %d", name, n, got, v.want)
		}
	}
}
