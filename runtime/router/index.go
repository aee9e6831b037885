package router

import "slices"

// index is a map of strings that takes a tenth of a map's memory while it is
// small: most hosts have few paths, and most paths few ways on.
type index[V any] struct {
	few  []entry[V]
	many map[string]V
}

type entry[V any] struct {
	key   string
	value V
}

// fewEntries is up to where a scan is as fast as a map.
const fewEntries = 8

func (x *index[V]) empty() bool { return x.few == nil && x.many == nil }

func (x *index[V]) get(key string) (v V) {
	if x.many != nil {
		return x.many[key]
	}
	for i := range x.few {
		if x.few[i].key == key {
			return x.few[i].value
		}
	}
	return v
}

func (x *index[V]) put(key string, v V) {
	if x.many != nil {
		x.many[key] = v
		return
	}
	for i := range x.few {
		if x.few[i].key == key {
			x.few[i].value = v
			return
		}
	}
	if len(x.few) < fewEntries {
		x.few = append(x.few, entry[V]{key, v})
		return
	}
	x.many = map[string]V{key: v}
	for _, e := range x.few {
		x.many[e.key] = e.value
	}
	x.few = nil
}

// each calls f with every value and keeps what it returns.
func (x *index[V]) each(f func(V) V) {
	x.few = slices.Clip(x.few)
	for i := range x.few {
		x.few[i].value = f(x.few[i].value)
	}
	for k, v := range x.many {
		x.many[k] = f(v)
	}
}
