package policies

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// masks are the rules of package system.log that decide what of a decision is
// logged. They get the event as input.
type masks struct {
	mask, drop *rego.PreparedEvalQuery // nil if there is no such rule
}

// masksOf prepares the rules data.system.log.mask and data.system.log.drop; nil
// if there are none.
func masksOf(ctx context.Context, c *ast.Compiler, opts []func(*rego.Rego)) (*masks, error) {
	var m masks
	for name, q := range map[string]**rego.PreparedEvalQuery{"mask": &m.mask, "drop": &m.drop} {
		ref := ast.MustParseRef("data.system.log." + name)
		if len(c.GetRulesForVirtualDocument(ref)) == 0 {
			continue
		}
		p, err := prepare(ctx, ref, opts)
		if err != nil {
			return nil, err
		}
		*q = &p
	}
	if m.mask == nil && m.drop == nil {
		return nil, nil
	}
	return &m, nil
}

// apply changes the line and reports whether it is logged at all. After an error
// it must not be: what was to be masked would show.
func (m *masks) apply(ctx context.Context, l *logLine) (keep bool, err error) {
	input, err := asJSON(l)
	if err != nil {
		return false, err
	}
	if m.drop != nil {
		v, err := value(ctx, m.drop, input)
		if err != nil {
			return false, fmt.Errorf("system.log.drop: %w", err)
		}
		switch v {
		case true:
			return false, nil
		case nil, false:
		default:
			return false, fmt.Errorf("system.log.drop is no boolean but %v", v)
		}
	}
	if m.mask == nil {
		return true, nil
	}
	v, err := value(ctx, m.mask, input)
	if err != nil {
		return false, fmt.Errorf("system.log.mask: %w", err)
	}
	list, ok := v.([]any)
	if v != nil && !ok {
		return false, fmt.Errorf("system.log.mask is no set but %v", v)
	}
	for _, r := range list {
		if err := l.mask(r); err != nil {
			return false, fmt.Errorf("system.log.mask: %w", err)
		}
	}
	return true, nil
}

func asJSON(v any) (out any, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	return out, d.Decode(&out)
}

// value evaluates a query to JSON; nil if it is undefined.
func value(ctx context.Context, q *rego.PreparedEvalQuery, input any) (any, error) {
	rs, err := q.Eval(ctx, rego.EvalInput(input))
	if err != nil || len(rs) == 0 || len(rs[0].Expressions) == 0 {
		return nil, err
	}
	return rs[0].Expressions[0].Value, nil
}

// mask applies one rule: a path to remove, or an object {op, path, value}.
func (l *logLine) mask(rule any) error {
	path, ok := rule.(string)
	upsert := false
	var value any
	if o, is := rule.(map[string]any); is {
		op, _ := o["op"].(string)
		path, ok = o["path"].(string)
		upsert, value = op == "upsert", o["value"]
		if op != "remove" && op != "upsert" {
			return fmt.Errorf("op is %q; remove and upsert are known", op)
		}
	}
	if !ok || !strings.HasPrefix(path, "/") {
		return fmt.Errorf("%v is no path such as /input/password", rule)
	}
	keys := strings.Split(path[1:], "/")
	for i := range keys {
		k, err := url.PathUnescape(keys[i])
		if err != nil {
			return err
		}
		keys[i] = k
	}
	var root *any
	switch keys[0] {
	case "input":
		root = &l.Input
	case "result":
		root = &l.Result
	case "nd_builtin_cache":
		return nil // there is none
	default:
		return fmt.Errorf("%s is neither in input nor in result", path)
	}
	switch {
	case !edit(root, keys[1:], upsert, value):
	case upsert:
		l.Masked = append(l.Masked, path)
	default:
		l.Erased = append(l.Erased, path)
	}
	return nil
}

// edit removes or sets the value at keys, and reports whether there was one.
func edit(at *any, keys []string, upsert bool, value any) bool {
	if *at == nil {
		return false
	}
	if len(keys) == 0 {
		*at = value
		return true
	}
	switch v := (*at).(type) {
	case map[string]any:
		child, ok := v[keys[0]]
		if len(keys) == 1 {
			if upsert {
				v[keys[0]] = value
				return true
			}
			delete(v, keys[0])
			return ok
		}
		if !ok || !edit(&child, keys[1:], upsert, value) {
			return false
		}
		v[keys[0]] = child
		return true
	case []any:
		i, err := strconv.Atoi(keys[0])
		if err != nil || i < 0 || i >= len(v) {
			return false
		}
		if len(keys) == 1 && !upsert {
			v[i] = nil
			return true
		}
		return edit(&v[i], keys[1:], upsert, value)
	}
	return false
}
