package router

import "slices"

// index is a map of strings that takes a tenth of a map's memory while it is
// small: most hosts have few paths, and most paths few ways on.
type index[V any] struct {
	few  []entry[V]
	many map[string]V
}

type entry[V any] struct {
	tag   uint64
	key   string
	value V
}

// fewEntries is up to where a scan is as fast as a map.
const fewEntries = 16

// tag is the end of a key, where paths differ most. A key up to tagSize is told
// from others of its length by it alone: nothing has to be fetched from where
// the text of the key lies.
func tag(key string) uint64 {
	n := len(key)
	switch {
	case n >= 4:
		return uint64(word(key, max(0, n-tagSize)))<<32 | uint64(word(key, n-4))
	case n > 0:
		return uint64(key[0])<<16 | uint64(key[n/2])<<8 | uint64(key[n-1])
	}
	return 0
}

const tagSize = 8

// word returns four bytes of s, in one load.
func word(s string, at int) uint32 {
	s = s[at : at+4]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func (e *entry[V]) is(key string, tag uint64) bool {
	return e.tag == tag && len(e.key) == len(key) && (len(key) <= tagSize || e.key == key)
}

func (x *index[V]) empty() bool { return x.few == nil && x.many == nil }

func (x *index[V]) get(key string) (v V) {
	if x.many != nil {
		return x.many[key]
	}
	if x.few == nil {
		return v
	}
	t := tag(key)
	for i := range x.few {
		if x.few[i].is(key, t) {
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
	t := tag(key)
	for i := range x.few {
		if x.few[i].is(key, t) {
			x.few[i].value = v
			return
		}
	}
	if len(x.few) < fewEntries {
		x.few = append(x.few, entry[V]{t, key, v})
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
	x.few = slices.Clone(x.few) // at its size, without the room to grow
	for i := range x.few {
		x.few[i].value = f(x.few[i].value)
	}
	for k, v := range x.many {
		x.many[k] = f(v)
	}
}
