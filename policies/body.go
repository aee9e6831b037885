package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/headgate/headgate/runtime/exchange"
)

// bodyError says that a policy would have read a body that can't be parsed. The
// request is refused: to decide without a body that a more lenient backend may
// understand would let it slip past the policy.
type bodyError struct {
	status int
	reason string
}

func (e *bodyError) Error() string { return e.reason }

// parsedPath is the path's segments, decoded. An encoded slash stays inside its
// segment, as everywhere in the gateway.
func (b *builder) parsedPath() *ast.Term {
	path := strings.TrimLeft(b.x.Request.Path, "/")
	segments := make([]*ast.Term, 0, strings.Count(path, "/")+1)
	for s := range strings.SplitSeq(path, "/") {
		if strings.IndexByte(s, '%') >= 0 {
			if d, err := url.PathUnescape(s); err == nil {
				s = d
			}
		}
		segments = append(segments, b.text(s))
	}
	return ast.ArrayTerm(segments...)
}

// pairs parses a query or a form into an object of arrays. A pair with a bad
// escape keeps its raw text: a policy that looks for it must not miss it.
func (b *builder) pairs(raw string) *ast.Term {
	if raw == "" {
		return ast.InternedEmptyObject
	}
	type entry struct {
		name   string
		values []*ast.Term
	}
	var list []entry
	index := map[string]int{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		name := unescape(k)
		i, ok := index[name]
		if !ok {
			i = len(list)
			index[name] = i
			list = append(list, entry{name: name})
		}
		list[i].values = append(list[i].values, b.text(unescape(v)))
	}
	parts := make([]part, len(list))
	for i, e := range list {
		parts[i] = part{b.text(e.name), ast.ArrayTerm(e.values...)}
	}
	return ast.ObjectTerm(parts...)
}

func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	d, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return d
}

// parsedBody is the content as a value: null if there is none, if it is not
// complete, or if its type is not one that is parsed.
func (b *builder) parsedBody(h *exchange.Head, content []byte, whole bool) (*ast.Term, error) {
	if !whole || len(content) == 0 {
		return ast.InternedNullTerm, nil
	}
	var buf [2][]byte
	types := h.Values(buf[:0], "content-type")
	if len(types) == 0 {
		return ast.InternedNullTerm, nil
	}
	if len(types) > 1 {
		return nil, &bodyError{400, "more than one content-type"}
	}
	media, params, err := mime.ParseMediaType(exchange.String(types[0]))
	if err != nil && media == "" {
		media, _, _ = strings.Cut(strings.ToLower(exchange.String(types[0])), ";")
		media = strings.TrimSpace(media)
	}
	var parse func() (*ast.Term, error)
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		parse = func() (*ast.Term, error) { return b.json(content) }
	case media == "application/x-www-form-urlencoded":
		parse = func() (*ast.Term, error) { return b.pairs(exchange.String(content)), nil }
	case media == "multipart/form-data":
		parse = func() (*ast.Term, error) { return b.multipart(content, params["boundary"]) }
	default:
		return ast.InternedNullTerm, nil
	}
	if enc, ok := h.Get("content-encoding"); ok && !exchange.EqualFold(enc, "identity") {
		return nil, &bodyError{415, "the body is encoded and can't be parsed"}
	}
	return parse()
}

func (b *builder) json(content []byte) (*ast.Term, error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, &bodyError{400, "the body is no valid JSON: " + err.Error()}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, &bodyError{400, "more than one JSON value in the body"}
	}
	return b.value(v)
}

// value converts decoded JSON.
func (b *builder) value(v any) (*ast.Term, error) {
	switch v := v.(type) {
	case nil:
		return ast.InternedNullTerm, nil
	case bool:
		return ast.InternedTerm(v), nil
	case json.Number:
		if !reasonable(string(v)) {
			return nil, &bodyError{400, "a number in the body is out of range"}
		}
		return ast.NumberTerm(v), nil
	case string:
		b.size += len(v)
		return ast.StringTerm(v), nil
	case []any:
		items := make([]*ast.Term, len(v))
		for i := range v {
			t, err := b.value(v[i])
			if err != nil {
				return nil, err
			}
			items[i] = t
		}
		return ast.ArrayTerm(items...), nil
	case map[string]any:
		parts := make([]part, 0, len(v))
		for k, e := range v {
			t, err := b.value(e)
			if err != nil {
				return nil, err
			}
			b.size += len(k)
			parts = append(parts, part{ast.StringTerm(k), t})
		}
		return ast.ObjectTerm(parts...), nil
	}
	return nil, fmt.Errorf("unexpected %T in JSON", v)
}

// reasonable bounds what arithmetic of arbitrary precision is let loose on:
// 1e999999999 is a few bytes to send and gigabytes to compute with.
func reasonable(n string) bool {
	if len(n) > 400 {
		return false
	}
	i := strings.IndexAny(n, "eE")
	if i < 0 {
		return true
	}
	e, err := strconv.Atoi(n[i+1:])
	return err == nil && -400 < e && e < 400
}

// multipart is an object from field name to the values of its parts. A part of
// type JSON is parsed, others are text.
func (b *builder) multipart(content []byte, boundary string) (*ast.Term, error) {
	if boundary == "" {
		return nil, &bodyError{400, "multipart without a boundary"}
	}
	r := multipart.NewReader(bytes.NewReader(content), boundary)
	fields := map[string][]*ast.Term{}
	var names []string
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &bodyError{400, "the body is no valid multipart: " + err.Error()}
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return nil, &bodyError{400, "the body is no valid multipart: " + err.Error()}
		}
		name := p.FormName()
		if name == "" {
			continue
		}
		value := b.text(exchange.String(data))
		if media, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); media == "application/json" {
			if value, err = b.json(data); err != nil {
				return nil, err
			}
		}
		if _, ok := fields[name]; !ok {
			names = append(names, name)
		}
		fields[name] = append(fields[name], value)
	}
	slices.Sort(names)
	parts := make([]part, len(names))
	for i, n := range names {
		parts[i] = part{b.text(n), ast.ArrayTerm(fields[n]...)}
	}
	return ast.ObjectTerm(parts...), nil
}
