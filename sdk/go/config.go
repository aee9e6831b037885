package headgate

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Defaulter is a configuration with defaults other than zero values. Its
// pointer implements it.
type Defaulter interface {
	// Defaults sets them; what is configured replaces them.
	Defaults()
}

// Decode fills the struct that into points to from a JSON object. A field takes
// the member that its tag names, `headgate:"name"` or `headgate:"name,required"`;
// without a tag it is the field's name in snake_case, and `headgate:"-"` leaves
// it out. A Value may be an
// expression; a time.Duration is a string such as "250ms". Members that no field
// takes are errors, and all errors are reported at once.
func Decode(config []byte, into any) error {
	v := reflect.ValueOf(into).Elem()
	if v.Kind() != reflect.Struct {
		return fmt.Errorf("a configuration is a struct, not %s", v.Type())
	}
	if len(config) == 0 {
		config = []byte("{}")
	}
	return errors.Join(decodeStruct("", config, v)...)
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	valueType     = reflect.TypeFor[Value]()
	unmarshalType = reflect.TypeFor[json.Unmarshaler]()
)

func decodeStruct(path string, raw []byte, v reflect.Value) []error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		if path == "" {
			return []error{errors.New("the configuration is not a JSON object")}
		}
		return []error{fmt.Errorf("%s: an object is needed", strings.TrimSuffix(path, "."))}
	}
	if d, ok := v.Addr().Interface().(Defaulter); ok {
		d.Defaults()
	}
	var errs []error
	var known []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, required := tag(f)
		if name == "" {
			continue
		}
		known = append(known, name)
		m, ok := members[name]
		delete(members, name)
		if !ok || string(m) == "null" {
			if required {
				errs = append(errs, fmt.Errorf("%s is required", path+name))
			}
			continue
		}
		errs = append(errs, decodeValue(path+name, m, v.Field(i))...)
	}
	var unknown []string
	for name := range members {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		errs = append(errs, fmt.Errorf("there is no %s; known are %s", path+name, strings.Join(known, ", ")))
	}
	return errs
}

// tag returns the member of a field, "" for none.
func tag(f reflect.StructField) (name string, required bool) {
	t := f.Tag.Get("headgate")
	if !f.IsExported() || t == "-" {
		return "", false
	}
	name, option, _ := strings.Cut(t, ",")
	if name == "" {
		name = snake(f.Name)
	}
	return name, option == "required"
}

func snake(s string) string {
	var b strings.Builder
	var before rune
	for _, r := range s {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return b.String()
}

func decodeValue(path string, raw json.RawMessage, v reflect.Value) []error {
	t := v.Type()
	if _, ok := isExpression(raw); ok && t != valueType {
		return []error{fmt.Errorf("%s: this has to be known when the configuration is loaded, and takes no expression", path)}
	}
	switch {
	case t == durationType:
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return []error{fmt.Errorf(`%s: a duration such as "250ms" is needed`, path)}
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return []error{fmt.Errorf(`%s: %q is not a duration such as "250ms"`, path, s)}
		}
		v.SetInt(int64(d))
		return nil
	case reflect.PointerTo(t).Implements(unmarshalType):
	case t.Kind() == reflect.Struct:
		return decodeStruct(path+".", raw, v)
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		return decodeValue(path, raw, v.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return decodeSlice(path, raw, v)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		return decodeMap(path, raw, v)
	}
	if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
		return []error{fmt.Errorf("%s: %s is not %s", path, raw, kindText(t))}
	}
	return nil
}

func decodeSlice(path string, raw json.RawMessage, v reflect.Value) (errs []error) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return []error{fmt.Errorf("%s: a list is needed", path)}
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		errs = append(errs, decodeValue(fmt.Sprintf("%s[%d]", path, i), item, out.Index(i))...)
	}
	v.Set(out)
	return errs
}

func decodeMap(path string, raw json.RawMessage, v reflect.Value) (errs []error) {
	var items map[string]json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return []error{fmt.Errorf("%s: an object is needed", path)}
	}
	out := reflect.MakeMap(v.Type())
	for key, item := range items {
		e := reflect.New(v.Type().Elem()).Elem()
		errs = append(errs, decodeValue(fmt.Sprintf("%s[%q]", path, key), item, e)...)
		out.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e)
	}
	v.Set(out)
	return errs
}

func kindText(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number in range"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number in range and not negative"
	}
	return "a " + t.String()
}
