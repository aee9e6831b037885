package exchange

import "strings"

// Cookie returns the first value of a cookie of the request, without the quotes
// that RFC 6265 section 4.1.1 allows around it.
func (r *Request) Cookie(name string) (value string, ok bool) {
	h := &r.Head
	for i := range h.Len() {
		id, _, field := h.At(i)
		if id != NameCookie {
			continue
		}
		for rest := String(field); rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			k, v, ok := strings.Cut(pair, "=")
			if ok && strings.Trim(k, " \t") == name {
				v = strings.Trim(v, " \t")
				if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
					v = v[1 : len(v)-1]
				}
				return v, true
			}
		}
	}
	return "", false
}
