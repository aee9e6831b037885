package golden

import (
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

// part is one part of a file that says what came out.
type part struct{ name, text string }

// outcome is what came out of an exchange, in the order of outputs.
type outcome []part

// add appends a part unless it is empty.
func (o *outcome) add(name, text string) {
	if text = strings.TrimSpace(text); text != "" {
		*o = append(*o, part{name, text + "\n"})
	}
}

// addMessage appends a message, whose trailing newlines count.
func (o *outcome) addMessage(name string, m *message) { *o = append(*o, part{name, m.String()}) }

// expected returns what the file says should come out, laid out as what does.
func (f *File) expected() (refused string, out []outcome) {
	out = make([]outcome, len(f.exchanges))
	next := 0
	for i, p := range f.archive.Files {
		if next < len(f.exchanges) && f.exchanges[next].part == i {
			next++
		}
		kind, _, _ := strings.Cut(p.Name, " ")
		switch {
		case kind == partRefused:
			refused = strings.TrimSpace(string(p.Data)) + "\n"
		case next > 0 && slices.Contains(outputs(), kind):
			out[next-1] = append(out[next-1], canonical(p))
		}
	}
	for _, o := range out {
		slices.SortStableFunc(o, func(a, b part) int { return order(a.name) - order(b.name) })
	}
	return refused, out
}

func order(name string) int {
	kind, _, _ := strings.Cut(name, " ")
	return slices.Index(outputs(), kind)
}

// canonical lays a part out as outcome.add and addMessage do.
func canonical(p txtar.File) part {
	text := string(p.Data)
	if p.Name != partUpstream && p.Name != partResponse {
		return part{p.Name, strings.TrimSpace(text) + "\n"}
	}
	m, err := parseMessage(text)
	if err != nil {
		return part{p.Name, text} // shown as it is, in a difference
	}
	for i := range m.fields {
		m.fields[i][0] = strings.ToLower(m.fields[i][0])
	}
	return part{p.Name, m.String()}
}
