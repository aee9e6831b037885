package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// maxSnippet is how much of a source line is shown.
const maxSnippet = 200

// writeSnippet writes the line of src that rng starts in, and underlines rng.
func writeSnippet(w io.Writer, src []byte, rng hcl.Range, paint func(string) string) {
	line := lineAt(src, rng.Start.Byte)
	if line == nil {
		return
	}
	begin := bytes.LastIndexByte(src[:rng.Start.Byte], '\n') + 1
	from := rng.Start.Byte - begin
	to := min(rng.End.Byte-begin, len(line))
	if rng.End.Line != rng.Start.Line {
		to = len(bytes.TrimRight(line, " \t\r"))
	}
	if from > maxSnippet {
		return // a line of generated JSON; the column has to do
	}
	from, to = min(from, len(line)), min(to, maxSnippet)
	shown := line
	if len(shown) > maxSnippet {
		shown = shown[:maxSnippet]
	}
	// Tabs stay tabs in the indentation of the underline, so that it stands
	// below what it marks whatever their width.
	var pad strings.Builder
	for _, r := range string(shown[:min(from, len(shown))]) {
		if r == '\t' {
			pad.WriteByte('\t')
		} else {
			pad.WriteByte(' ')
		}
	}
	width := 1
	if to > from {
		width = max(1, utf8.RuneCount(shown[from:to]))
	}
	gutter := fmt.Sprintf("%5d", rng.Start.Line)
	fmt.Fprintf(w, "%s | %s\n", gutter, printable(strings.TrimRight(string(shown), "\r")))
	fmt.Fprintf(w, "%s | %s%s\n", strings.Repeat(" ", len(gutter)), pad.String(), paint(strings.Repeat("^", width)))
}

// lineAt returns the line of src that holds the byte at offset, nil if src has
// no such byte.
func lineAt(src []byte, offset int) []byte {
	if src == nil || offset < 0 || offset > len(src) {
		return nil
	}
	begin := bytes.LastIndexByte(src[:offset], '\n') + 1
	end := bytes.IndexByte(src[offset:], '\n')
	if end < 0 {
		return src[begin:]
	}
	return src[begin : offset+end]
}

// printable replaces what a terminal would act on: a configuration file must
// not be able to rewrite the screen that shows what is wrong with it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
