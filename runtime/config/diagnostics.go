package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostics are the problems found in a configuration, with the sources that
// they point into. The zero value has none.
type Diagnostics struct {
	list  hcl.Diagnostics
	files map[string][]byte
	seen  map[diagKey]bool
	// secret are the expressions whose values are sensitive.
	secret []hcl.Range
}

// diagKey is what makes two diagnostics the same: instances of one for_each
// block repeat what is wrong with the block.
type diagKey struct {
	summary, detail, file string
	start, end            int
}

// extra is what a diagnostic of ours carries beyond HCL's fields.
type extra struct {
	related *hcl.Range // the other place, such as the first of two equal names
	note    string     // what is at the other place
	hidden  bool       // the source line holds a sensitive value
}

// HasErrors reports whether there is an error among the diagnostics.
func (d *Diagnostics) HasErrors() bool { return d != nil && d.list.HasErrors() }

// Len returns the number of diagnostics, warnings included.
func (d *Diagnostics) Len() int {
	if d == nil {
		return 0
	}
	return len(d.list)
}

// Errors returns the number of errors.
func (d *Diagnostics) Errors() int {
	n := 0
	for i := range d.Len() {
		if d.list[i].Severity == hcl.DiagError {
			n++
		}
	}
	return n
}

// HCL returns the diagnostics in the order of their positions.
func (d *Diagnostics) HCL() hcl.Diagnostics {
	if d == nil {
		return nil
	}
	d.sort()
	return slices.Clone(d.list)
}

// Error makes Diagnostics with an error among them an error: its text is that of
// WriteText.
func (d *Diagnostics) Error() string { return strings.TrimRight(d.Text(), "\n") }

// Merge adds the diagnostics of other.
func (d *Diagnostics) Merge(other *Diagnostics) {
	if other == nil {
		return
	}
	for name, src := range other.files {
		d.file(name, src)
	}
	d.secret = append(d.secret, other.secret...)
	d.append(other.list)
}

func (d *Diagnostics) file(name string, src []byte) {
	if d.files == nil {
		d.files = map[string][]byte{}
	}
	d.files[name] = src
}

func (d *Diagnostics) append(list hcl.Diagnostics) {
	if d.seen == nil {
		d.seen = map[diagKey]bool{}
	}
	for _, x := range list {
		if d.withheld(x) {
			// The text may quote the value, or what was made of it.
			c := *x
			c.Detail = "The details are withheld because this expression uses a sensitive value."
			x = &c
		}
		k := diagKey{summary: x.Summary, detail: x.Detail}
		if x.Subject != nil {
			k.file, k.start, k.end = x.Subject.Filename, x.Subject.Start.Byte, x.Subject.End.Byte
		}
		if d.seen[k] {
			continue
		}
		d.seen[k] = true
		// The evaluation context holds the values of variables, sensitive ones
		// too. Nothing that prints a diagnostic gets to see it.
		c := *x
		c.EvalContext, c.Expression = nil, nil
		d.list = append(d.list, &c)
	}
}

func (d *Diagnostics) withheld(x *hcl.Diagnostic) bool {
	for _, r := range d.secret {
		if x.Subject != nil && x.Subject.Filename == r.Filename && x.Subject.Start.Byte >= r.Start.Byte && x.Subject.Start.Byte < r.End.Byte {
			return true
		}
	}
	return false
}

func (d *Diagnostics) add(x *hcl.Diagnostic) { d.append(hcl.Diagnostics{x}) }

// errorf adds an error at rng.
func (d *Diagnostics) errorf(rng hcl.Range, summary, format string, args ...any) {
	d.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng})
}

// twice adds an error at rng that also points to the place before it.
func (d *Diagnostics) twice(rng, first hcl.Range, summary, format string, args ...any) {
	d.add(&hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng,
		Extra: extra{related: &first, note: "the other one is at " + position(first)},
	})
}

func (d *Diagnostics) warnf(rng hcl.Range, summary, format string, args ...any) {
	x := &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(format, args...)}
	if rng.Filename != "" {
		x.Subject = &rng
	}
	d.add(x)
}

func (d *Diagnostics) sort() {
	slices.SortStableFunc(d.list, func(a, b *hcl.Diagnostic) int {
		var x, y hcl.Range
		if a.Subject != nil {
			x = *a.Subject
		}
		if b.Subject != nil {
			y = *b.Subject
		}
		return cmp.Or(cmp.Compare(x.Filename, y.Filename), cmp.Compare(x.Start.Byte, y.Start.Byte),
			cmp.Compare(a.Summary, b.Summary), cmp.Compare(a.Detail, b.Detail))
	})
}

func position(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

// JSON returns the diagnostics as a JSON array of objects with severity,
// summary, detail, file, line, column, end_line, end_column, snippet and
// related.
func (d *Diagnostics) JSON() []byte {
	type place struct {
		File   string `json:"file"`
		Line   int    `json:"line"`
		Column int    `json:"column"`
	}
	type one struct {
		Severity string `json:"severity"`
		Summary  string `json:"summary"`
		Detail   string `json:"detail,omitempty"`
		*place
		EndLine   int    `json:"end_line,omitempty"`
		EndColumn int    `json:"end_column,omitempty"`
		Snippet   string `json:"snippet,omitempty"`
		Related   *place `json:"related,omitempty"`
	}
	all := []one{}
	for _, x := range d.HCL() {
		o := one{Severity: severity(x), Summary: x.Summary, Detail: x.Detail}
		if r := x.Subject; r != nil {
			o.place = &place{r.Filename, r.Start.Line, r.Start.Column}
			o.EndLine, o.EndColumn = r.End.Line, r.End.Column
			if e, _ := x.Extra.(extra); !e.hidden {
				o.Snippet = string(lineAt(d.files[r.Filename], r.Start.Byte))
			}
		}
		if e, ok := x.Extra.(extra); ok && e.related != nil {
			o.Related = &place{e.related.Filename, e.related.Start.Line, e.related.Start.Column}
		}
		all = append(all, o)
	}
	b, err := json.Marshal(all)
	if err != nil {
		return []byte("[]") // strings and numbers always marshal
	}
	return b
}

// Text returns what WriteText writes, without color.
func (d *Diagnostics) Text() string {
	var b strings.Builder
	d.WriteText(&b, false)
	return b.String()
}

// WriteText writes each diagnostic as its position, what is wrong, the source
// line with the place underlined, and what to do about it. Values of variables
// are never shown.
func (d *Diagnostics) WriteText(w io.Writer, color bool) {
	paint := func(code, s string) string {
		if !color {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	for i, x := range d.HCL() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		code := "1;31"
		if x.Severity == hcl.DiagWarning {
			code = "1;33"
		}
		head := paint(code, severity(x)+":") + " " + paint("1", printable(x.Summary))
		if x.Subject != nil {
			head = printable(position(*x.Subject)) + ": " + head
		}
		fmt.Fprintln(w, head)
		e, _ := x.Extra.(extra)
		if x.Subject != nil && !e.hidden {
			writeSnippet(w, d.files[x.Subject.Filename], *x.Subject, func(s string) string { return paint(code, s) })
		}
		if x.Detail != "" {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(printable(x.Detail), "\n", "\n  "))
		}
		if e.related != nil {
			fmt.Fprintf(w, "  %s:\n", printable(e.note))
			writeSnippet(w, d.files[e.related.Filename], *e.related, func(s string) string { return paint("36", s) })
		}
	}
}

func severity(x *hcl.Diagnostic) string {
	if x.Severity == hcl.DiagWarning {
		return "warning"
	}
	return "error"
}
