package main

import (
	"encoding/json"

	headgate "github.com/headgate/headgate/sdk/go"
)

// documents does to a request's body what the fields of its header say.
type documents struct {
	// Own works on a copy in the plugin's memory.
	Own bool
}

// Request implements headgate.Filter.
func (c *documents) Request(x *headgate.Exchange) headgate.Verdict {
	doc := x.JSONBody()
	if c.Own {
		doc = x.ParseJSON(x.Body())
	}
	said := map[string]any{"valid": doc.Valid()}
	for _, path := range x.Header.Values("x-set") {
		value := json.RawMessage(x.Header.Get("x-value"))
		said["set"] = text(doc.Set(path, value))
	}
	for _, path := range x.Header.Values("x-delete") {
		said["delete"] = text(doc.Delete(path))
	}
	for _, path := range x.Header.Values("x-get") {
		v, ok, err := doc.Get(path)
		said["get"] = []any{v.JSON(), ok, text(err)}
	}
	if x.Header.Has("x-forward") {
		if c.Own {
			x.SetBody(doc.Bytes())
		}
		return headgate.Continue
	}
	return answer(x, said)
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}
