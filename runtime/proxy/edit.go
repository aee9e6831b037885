package proxy

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
)

// text evaluates e to a string. ok is false for null.
func text(x *exchange.Exchange, e exchange.Expr) (s string, ok bool, err error) {
	v, err := e(x)
	if err != nil {
		return "", false, err
	}
	switch v.Kind {
	case exchange.KindNull:
		return "", false, nil
	case exchange.KindString:
		return v.Text, true, nil
	case exchange.KindBool:
		return strconv.FormatBool(v.Bool), true, nil
	case exchange.KindNumber:
		return strconv.FormatFloat(v.Num, 'f', -1, 64), true, nil
	}
	return "", false, fmt.Errorf("a list or an object where a string is needed")
}

// editHeaders applies edits in order. A value that may not stand in a header is
// an error: a client must not be able to place a line break through one.
func editHeaders(x *exchange.Exchange, h *exchange.Head, edits []HeaderEdit) error {
	for i := range edits {
		e := &edits[i]
		if e.Op == Remove {
			h.Del(e.Name)
			continue
		}
		s, ok, err := text(x, e.Value)
		if err != nil {
			return fmt.Errorf("header %q: %w", e.Name, err)
		}
		if ok && !exchange.ValidValue(s) {
			return fmt.Errorf("header %q: the value has a control character", e.Name)
		}
		switch {
		case e.Op == Set && !ok:
			h.Del(e.Name)
		case e.Op == Set:
			h.Set(e.Name, s)
		case ok:
			h.Add(e.Name, s)
		}
	}
	return nil
}

// rewrite changes the request's path, host and query.
func rewrite(x *exchange.Exchange, rw *Rewrite) error {
	r := &x.Request
	path, host := r.Path, r.Authority
	if rw.Path != nil {
		s, _, err := text(x, rw.Path)
		if err != nil {
			return fmt.Errorf("rewrite.path: %w", err)
		}
		if !strings.HasPrefix(s, "/") {
			return fmt.Errorf("rewrite.path: the result does not start with /")
		}
		if path, err = router.NormalizePath(nil, s); err != nil {
			return fmt.Errorf("rewrite.path: %w", err)
		}
	}
	if rw.Host != nil {
		s, ok, err := text(x, rw.Host)
		if err != nil {
			return fmt.Errorf("rewrite.host: %w", err)
		}
		if ok {
			if s == "" {
				return fmt.Errorf("rewrite.host: the result is empty")
			}
			if _, err := router.NormalizeHost(s, &x.Arena); err != nil {
				return fmt.Errorf("rewrite.host: %w", err)
			}
			host = s
		}
	}
	query := r.RawQuery
	for i := range rw.Query {
		q := &rw.Query[i]
		s, ok, err := text(x, q.Value)
		if err != nil {
			return fmt.Errorf("rewrite.query %q: %w", q.Name, err)
		}
		query = setQuery(query, q.Name, s, ok)
	}
	r.Path, r.Authority, r.RawQuery = path, host, query
	return nil
}

// setQuery replaces the parameter name in a raw query, or removes it. The other
// parameters keep their order and their encoding.
func setQuery(raw, name, value string, set bool) string {
	var b strings.Builder
	put := func(s string) {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(s)
	}
	for part := range strings.SplitSeq(raw, "&") {
		key, _, _ := strings.Cut(part, "=")
		if k, err := url.QueryUnescape(key); part == "" || err == nil && k == name {
			continue
		}
		put(part)
	}
	if set {
		put(url.QueryEscape(name) + "=" + url.QueryEscape(value))
	}
	return b.String()
}
