package host

import (
	"encoding/json"
	"strconv"
)

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
