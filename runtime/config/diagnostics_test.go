package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	_, d := load(t, "listener \"a\" {\n\taddress = \":80\"\n}\nroute \"r\" {\n\tupstream = upstream.ordrs\n}\nupstream \"orders\" {\n\tendpoint \"h:1\" {}\n}\nupstream \"orders\" {}\n")
	text := d.Text()
	for _, want := range []string{
		"x.hcl:5:13: error: Unknown upstream\n" +
			"    5 | \tupstream = upstream.ordrs\n" +
			"      | \t           ^^^^^^^^^^^^^^\n" +
			"  There is no upstream \"ordrs\". Did you mean \"orders\"?\n",
		"x.hcl:10:1: error: Duplicate upstream\n",
		"the other one is at ", "x.hcl:7:1:\n    7 | upstream \"orders\" {\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var list []map[string]any
	if err := json.Unmarshal(d.JSON(), &list); err != nil || len(list) != 2 {
		t.Fatal(err, list)
	}
	if list[0]["line"] != 5.0 || list[0]["column"] != 13.0 || list[0]["severity"] != "error" {
		t.Errorf("%v", list[0])
	}
	if list[1]["related"] == nil {
		t.Errorf("%v", list[1])
	}
	var b strings.Builder
	d.WriteText(&b, true)
	if !strings.Contains(b.String(), "\x1b[1;31m") {
		t.Error("no color")
	}
}

func TestTerminal(t *testing.T) {
	_, d := load(t, "route \"\x1b[2J\" { }\n")
	if strings.Contains(d.Text(), "\x1b") {
		t.Errorf("%q", d.Text())
	}
}
