package config

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/test/need"
)

// TestBombs loads a few lines that describe more than any memory holds.
func TestBombs(t *testing.T) {
	doubled := "a0 = \"xxxxxxxxxxxxxxxx\"\n"
	for i := range 30 {
		doubled += fmt.Sprintf("a%d = \"${local.a%d}${local.a%d}${local.a%d}\"\n", i+1, i, i, i)
	}
	lists := "a0 = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
	for i := range 30 {
		lists += fmt.Sprintf("a%d = [local.a%d, local.a%d, local.a%d]\n", i+1, i, i, i)
	}
	many := `ten = split(",", "1,2,3,4,5,6,7,8,9,10")
long = [for i in local.ten: [for j in local.ten: [for k in local.ten: "${i}${j}${k}"]]]
kilo = join(",", [for a in local.ten: join(",", [for b in local.ten: join(",", [for c in local.ten: "${a}${b}${c}"])])])
`
	for name, text := range map[string]string{
		"texts":    "locals {\n" + doubled + "}",
		"lists":    "locals {\n" + lists + "}",
		"loops":    "locals {\n" + many + `x = [for a in local.long: [for b in split(",", local.kilo): [for c in split(",", local.kilo): [for d in split(",", local.kilo): d]]]]` + "\n}",
		"template": "locals {\n" + many + `x = "%{for a in split(",", local.kilo)}%{for b in split(",", local.kilo)}${local.kilo}%{endfor}%{endfor}"` + "\n}",
		"filtered": "locals {\n" + many + `x = [for a in split(",", local.kilo): a if length([for b in split(",", local.kilo): b if length([for c in split(",", local.kilo): c]) > 0]) > 0]` + "\n}",
		"replace":  "locals {\n" + many + `x = replace(local.kilo, "", replace(local.kilo, "", local.kilo))` + "\n}",
		"join":     "locals {\n" + many + `x = join(join(local.kilo, split(",", local.kilo)), split(",", local.kilo))` + "\n}",
		"format":   "locals {\n" + many + `x = format(replace(local.kilo, ",", "%[1]s"), replace(local.kilo, ",", local.kilo))` + "\n}",
		"indent":   "locals {\n" + many + `x = indent(1000000000, "a\nb")` + "\n}",
		"blocks": "locals {\n" + many + `}
upstream "u" {
  for_each = toset(split(",", local.kilo))
  dynamic "endpoint" {
    for_each = toset(split(",", local.kilo))
    labels   = ["127.0.0.1:${endpoint.value}"]
    content {}
  }
}`,
		"each": "locals {\n" + many + `}
route "r" {
  for_each = { for a in split(",", local.kilo): a => replace(local.kilo, "1", "12345678") }
  path = "/${each.key}"
  respond { body = "` + strings.Repeat("${each.value}", 300) + `" }
}`,
	} {
		t.Run(name, func(t *testing.T) {
			if name == "blocks" {
				need.Full(t) // as many blocks as there may be take their time
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			_, d := Load(Source{Paths: []string{write(t, map[string]string{"x.hcl": text})}})
			runtime.ReadMemStats(&after)
			if !strings.Contains(d.Text(), "too large") && !strings.Contains(d.Text(), "Too many blocks") {
				t.Errorf("no complaint:\n%.500s", d.Text())
			}
			if took, made := time.Since(began), (after.TotalAlloc-before.TotalAlloc)>>20; took > time.Minute || made > 4096 {
				t.Errorf("took %s and made %d MiB", took, made)
			} else {
				t.Logf("took %s and made %d MiB", took, made)
			}
		})
	}
}

// TestBoundsAreWide loads what large configurations do.
func TestBoundsAreWide(t *testing.T) {
	rows := make([]string, 5000)
	for i := range rows {
		rows[i] = fmt.Sprintf("tenant-%d=10.%d.%d.1:8080", i, i/250, i%250)
	}
	dir := write(t, map[string]string{
		"tenants.txt": strings.Join(rows, "\n"),
		"x.hcl": `
locals {
  rows    = [for line in split("\n", file("tenants.txt")): split("=", line)]
  tenants = { for r in local.rows: r[0] => { address = r[1], host = lower("${r[0]}.example.com") } }
}
upstream "u" {
  for_each = { for k, v in local.tenants: k => v if endswith(k, "7") }
  endpoint "10.0.0.1:80" {}
}
route "r" {
  for_each = { for k, v in local.tenants: k => v if endswith(k, "7") }
  hosts    = [each.value.host, local.tenants[each.key].host == "" ? "x" : "y-${each.key}"]
  upstream = upstream.u[each.key]
}
`,
	})
	began := time.Now()
	if _, d := Load(Source{Paths: []string{dir}}); d.HasErrors() {
		t.Error(d.Text())
	}
	t.Log(time.Since(began))
}
