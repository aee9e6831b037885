package http1_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var repeated = regexp.MustCompile(`\{(.)\*(\d+)\}`)

// seeds are what the cases of the smuggling suite send over HTTP/1.1 (mark >), or
// what their backends answer (mark !).
func seeds(f *testing.F, mark string) (all []string) {
	files, err := filepath.Glob("../gateway/testdata/smuggling/*.case")
	if err != nil || len(files) == 0 {
		f.Fatal("there are no cases", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if filepath.Base(file) == "http2.case" {
			continue
		}
		for _, c := range strings.Split(string(text), "\n== ") {
			if s := bytesOf(f, c, mark); s != "" && len(s) < 4096 { // long ones slow the fuzzer down
				all = append(all, s)
			}
		}
	}
	return all
}

func bytesOf(f *testing.F, lines, mark string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		m, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if m != mark {
			continue
		}
		rest = repeated.ReplaceAllStringFunc(rest, func(s string) string {
			n, _ := strconv.Atoi(s[3 : len(s)-1])
			return strings.Repeat(s[1:2], n)
		})
		rest, open := strings.CutSuffix(rest, `\`)
		s, err := strconv.Unquote(`"` + strings.ReplaceAll(rest, `"`, `\"`) + `"`)
		if err != nil {
			f.Fatalf("%q: %v", rest, err)
		}
		if b.WriteString(s); !open {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}
