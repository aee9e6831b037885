package config

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
)

// Change is the difference between a block that is in force and the same block
// in another configuration.
type Change struct {
	// Op is "add", "remove" or "change".
	Op   string `json:"op"`
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
	// At is the file and line in the new configuration; in the old one if it is
	// removed.
	At string `json:"at"`
	// Arguments and Blocks are what changes in a block that stays.
	Arguments []ArgumentChange `json:"arguments,omitempty"`
	Blocks    []Change         `json:"blocks,omitempty"`
}

// ArgumentChange is the difference between two values of an argument. One that
// is not there is nil.
type ArgumentChange struct {
	Name string `json:"name"`
	Old  any    `json:"old,omitempty"`
	New  any    `json:"new,omitempty"`
}

// Plan returns what tells next from running. Where a block stands and in what
// order blocks are makes no difference, but for filters.
func Plan(running, next []*Node) []Change {
	return planBlocks(running, next, func(n *Node, _ int) string { return n.Type + " " + n.Name })
}

func planBlocks(running, next []*Node, key func(n *Node, i int) string) []Change {
	index := func(list []*Node) (keys []string, byKey map[string]*Node) {
		byKey = map[string]*Node{}
		count := map[string]int{}
		for _, n := range list {
			id := n.Type + " " + n.Name
			k := key(n, count[id])
			count[id]++
			for i := 1; byKey[k] != nil; i++ { // locals, and other blocks without names
				k = fmt.Sprintf("%s #%d", key(n, count[id]), i)
			}
			keys, byKey[k] = append(keys, k), n
		}
		return keys, byKey
	}
	oldKeys, old := index(running)
	newKeys, fresh := index(next)
	var out []Change
	for _, k := range newKeys {
		n := fresh[k]
		o := old[k]
		if o == nil {
			out = append(out, Change{Op: "add", Type: n.Type, Name: n.Name, At: n.At})
			continue
		}
		c := Change{Op: "change", Type: n.Type, Name: n.Name, At: n.At, Arguments: planArguments(o.Arguments, n.Arguments)}
		c.Blocks = planBlocks(o.Blocks, n.Blocks, func(n *Node, i int) string { return fmt.Sprintf("%s %s %d", n.Type, n.Name, i) })
		if filters(o) != filters(n) {
			c.Arguments = append(c.Arguments, ArgumentChange{"order of filters", filters(o), filters(n)})
		}
		if len(c.Arguments)+len(c.Blocks) > 0 {
			out = append(out, c)
		}
	}
	for _, k := range oldKeys {
		if fresh[k] == nil {
			o := old[k]
			out = append(out, Change{Op: "remove", Type: o.Type, Name: o.Name, At: o.At})
		}
	}
	return out
}

// filters are the names of the filters of a block in their order.
func filters(n *Node) string {
	var names []string
	for _, b := range n.Blocks {
		if b.Type == "filter" {
			names = append(names, b.Name)
		}
	}
	return fmt.Sprint(names)
}

func planArguments(running, next map[string]any) []ArgumentChange {
	var out []ArgumentChange
	names := slices.Sorted(maps.Keys(running))
	for name := range next {
		if _, ok := running[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if o, n := plainJSON(running[name]), plainJSON(next[name]); !reflect.DeepEqual(o, n) {
			out = append(out, ArgumentChange{name, o, n})
		}
	}
	return out
}

// plainJSON is v as it is after a journey through JSON.
func plainJSON(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(b, &out) != nil {
		return v
	}
	return out
}

// WritePlan writes changes for people to read.
func WritePlan(w io.Writer, changes []Change) {
	count := map[string]int{}
	for i := range changes {
		count[changes[i].Op]++
		changes[i].write(w, "")
	}
	if len(changes) == 0 {
		fmt.Fprintln(w, "Nothing changes.")
		return
	}
	fmt.Fprintf(w, "\n%d to add, %d to change, %d to remove.\n", count["add"], count["change"], count["remove"])
}

func (c *Change) write(w io.Writer, indent string) {
	sign := map[string]string{"add": "+", "change": "~", "remove": "-"}[c.Op]
	name := ""
	if c.Name != "" {
		name = fmt.Sprintf(" %q", c.Name)
	}
	fmt.Fprintf(w, "%s%s %s%s  # %s\n", indent, sign, c.Type, name, c.At)
	for _, a := range c.Arguments {
		switch {
		case a.Old == nil:
			fmt.Fprintf(w, "%s    + %s = %s\n", indent, a.Name, valueText(a.New))
		case a.New == nil:
			fmt.Fprintf(w, "%s    - %s = %s\n", indent, a.Name, valueText(a.Old))
		default:
			fmt.Fprintf(w, "%s    ~ %s = %s -> %s\n", indent, a.Name, valueText(a.Old), valueText(a.New))
		}
	}
	for i := range c.Blocks {
		c.Blocks[i].write(w, indent+"    ")
	}
}

func valueText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}
