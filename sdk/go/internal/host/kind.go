package host

import (
	"encoding/json"
	"strconv"
)

// JSON is the opposite of Kind; nil for what is no kind.
func JSON(text []byte, kind int32) json.RawMessage {
	switch {
	case kind == ValueNull:
		return json.RawMessage("null")
	case kind == ValueString:
		p, _ := json.Marshal(string(text)) // a string always has a JSON text
		return p
	case kind > 0:
		return text
	}
	return nil
}

// Kind takes a JSON value apart as the gateway does it.
func Kind(p []byte) (text []byte, kind int32) {
	var v any
	if json.Unmarshal(p, &v) != nil {
		return nil, ValueNull
	}
	switch v := v.(type) {
	case nil:
		return nil, ValueNull
	case bool:
		return strconv.AppendBool(nil, v), ValueBool
	case float64:
		return strconv.AppendFloat(nil, v, 'f', -1, 64), ValueNumber
	case string:
		return []byte(v), ValueString
	}
	return p, ValueJSON
}
