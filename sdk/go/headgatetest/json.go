package headgatetest

import (
	"encoding/json"
	"html"
	"slices"
	"strconv"
	"strings"

	"github.com/headgate/headgate/sdk/go/internal/host"
)

func (f *fake) document(source uint32, data []byte) []byte {
	if source == host.Data {
		return data
	}
	return f.bodies[source]
}

// JSONGet implements host.Host for paths of names, indexes and "#", the length of a
// list.
func (f *fake) JSONGet(source uint32, data []byte, path string) ([]byte, int32) {
	var v any
	if json.Unmarshal(f.document(source, data), &v) != nil {
		return nil, -4
	}
	for name := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			member, ok := in[name]
			if !ok {
				return nil, -1
			}
			v = member
		case []any:
			if name == "#" {
				v = len(in)
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) {
				return nil, -1
			}
			v = in[i]
		default:
			return nil, -1
		}
	}
	return host.Kind(encode(v))
}

// JSONSet implements host.Host for paths of names and indexes.
func (f *fake) JSONSet(source uint32, data []byte, path string, value []byte, remove bool) ([]byte, int32) {
	var v, to any
	if json.Unmarshal(f.document(source, data), &v) != nil || !remove && json.Unmarshal(value, &to) != nil {
		return nil, -4
	}
	out := encode(put(v, strings.Split(path, "."), to, remove))
	if source != host.Data {
		f.wrote[source], f.bodies[source] = true, out
	}
	return out, int32(len(out))
}

func put(v any, path []string, to any, remove bool) any {
	if len(path) == 0 {
		return to
	}
	name, rest := path[0], path[1:]
	if list, ok := v.([]any); ok {
		i, err := strconv.Atoi(name)
		switch {
		case err != nil || i < 0:
			return v
		case i >= len(list):
			return append(list, put(nil, rest, to, remove))
		case remove && len(rest) == 0:
			return slices.Delete(list, i, i+1)
		}
		list[i] = put(list[i], rest, to, remove)
		return list
	}
	members, ok := v.(map[string]any)
	if !ok {
		members = map[string]any{}
	}
	if remove && len(rest) == 0 {
		delete(members, name)
		return members
	}
	members[name] = put(members[name], rest, to, remove)
	return members
}

// JSONValid implements host.Host.
func (f *fake) JSONValid(source uint32, data []byte) bool {
	return json.Valid(f.document(source, data))
}

// Template implements host.Host. It escapes for JSON and HTML, and nothing else.
func (f *fake) Template(escape uint32, text string, data []byte) ([]byte, int32) {
	const escapeHTML, escapeJSON = 1, 2
	var out []byte
	for {
		before, rest, found := strings.Cut(text, "{{")
		out = append(out, before...)
		if !found {
			return out, int32(len(out))
		}
		path, after, closed := strings.Cut(rest, "}}")
		value, kind := f.JSONGet(host.Data, data, strings.TrimSpace(path))
		if !closed || kind == -4 {
			return nil, -4
		}
		switch {
		case escape == escapeJSON && kind < 0:
			out = append(out, "null"...)
		case escape == escapeJSON:
			out = append(out, host.JSON(value, kind)...)
		case escape == escapeHTML:
			out = append(out, html.EscapeString(string(value))...)
		default:
			out = append(out, value...)
		}
		text = after
	}
}
