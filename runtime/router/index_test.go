package router

import (
	"fmt"
	"strings"
	"testing"
)

// An index keeps keys of every length apart, however much they have in common,
// while it is small and when it has grown.
func TestIndex(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
	}{
		{"lengths", []string{"", "a", "aa", "aaa", "aaaa", "aaaaa", "aaaaaa", "aaaaaaa", "aaaaaaaa", "aaaaaaaaa"}},
		{"zero bytes", []string{"", "\x00", "\x00\x00", "\x00\x00\x00", "\x00\x00\x00\x00", "\x00\x00\x00\x00\x00"}},
		{"three bytes", []string{"abc", "abd", "aac", "bbc", "ab", "bc", "ba", "cb"}},
		{"four to eight bytes", []string{"abcd", "abce", "xbcd", "abcde", "abxde", "abcdef", "abxdef", "abcdefg", "abcxefg", "abcdefgh", "abcxefgh", "xbcdefgh"}},
		{"equal ends", []string{"a/12345678", "b/12345678", "a/b/12345678", "12345678"}},
		{"equal beginnings", []string{"/a/long/path/1", "/a/long/path/2", "/a/long/path/", "/a/long/path"}},
		{"as many as are scanned", numbered(fewEntries)},
		{"one more", numbered(fewEntries + 1)},
		{"many", numbered(1000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var x index[int]
			if !x.empty() || x.get("") != 0 {
				t.Error("not empty at first")
			}
			for i, k := range c.keys {
				if v := x.get(k); v != 0 {
					t.Errorf("%q has the value of %q", k, c.keys[v-1])
				}
				x.put(k, -1)
				x.put(k, i+1)
			}
			calls := 0
			x.each(func(v int) int { calls++; return v + len(c.keys) })
			if x.empty() || calls != len(c.keys) {
				t.Errorf("%d values for %d keys", calls, len(c.keys))
			}
			for i, k := range c.keys {
				if v := x.get(strings.Clone(k)); v != i+1+len(c.keys) {
					t.Errorf("%q: %d, want %d", k, v, i+1+len(c.keys))
				}
				if v := x.get(k + "?"); v != 0 {
					t.Errorf("%q was never put", k+"?")
				}
			}
		})
	}
}

func numbered(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("/path%d", i))
	}
	return list
}
