package native

import (
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
)

// Names is a set of header field names: some names, some prefixes, or all. The
// zero value has none.
type Names struct {
	all      bool
	exact    map[string]bool
	prefixes []string
}

// NewNames makes a set of names in any case, "x-*" for a prefix, "*" for all.
func NewNames(list []string) Names {
	n := Names{exact: make(map[string]bool, len(list))}
	for _, s := range list {
		s = strings.ToLower(s)
		prefix, isPrefix := strings.CutSuffix(s, "*")
		switch {
		case s == "*":
			n.all = true
		case isPrefix:
			n.prefixes = append(n.prefixes, prefix)
		default:
			n.exact[s] = true
		}
	}
	return n
}

// has reports whether the name, in lower case, is in the set.
func (n *Names) has(lower []byte) bool {
	if n.all || n.exact[string(lower)] {
		return true
	}
	for _, p := range n.prefixes {
		if strings.HasPrefix(exchange.String(lower), p) {
			return true
		}
	}
	return false
}
