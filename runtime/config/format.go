package config

import (
	"bytes"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns src in the canonical layout. Comments are kept. A file that
// does not parse is left alone; the diagnostics say why. JSON is returned as it
// is.
func Format(src []byte, filename string) ([]byte, *Diagnostics) {
	d := &Diagnostics{}
	d.file(filename, src)
	if strings.HasSuffix(filename, ".json") {
		return src, d
	}
	if diags := checkNative(src, filename); diags.HasErrors() {
		d.append(diags)
		return src, d
	}
	_, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	d.append(diags)
	if diags.HasErrors() {
		return src, d
	}
	// One pass moves comments and brackets into columns that the next pass
	// aligns again, so it is repeated until nothing moves.
	out := src
	for bytes.Contains(out, []byte("\r\n")) {
		out = bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n"))
	}
	for range 8 {
		next := hclwrite.Format(out)
		if bytes.Equal(next, out) {
			break
		}
		out = next
	}
	return out, d
}
