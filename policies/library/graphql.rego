# METADATA
# description: How much a GraphQL request asks for, before it is run.
package headgate.graphql

# depth is how deeply fields are nested, at most: named fragments count as if each
# stood in the deepest place. It is undefined for what is no GraphQL document, so
# that "depth(q) <= 5" refuses it.
depth(query) := max(array.concat([0], operations)) + sum(fragments) if {
	document := graphql.parse_query(query)
	operations := [_depth(o) | some o in document.Operations]
	fragments := [_depth(f) | some f in object.get(document, "Fragments", [])]
}

# fields is how many fields are asked for, each time they are written.
fields(query) := count([1 |
	document := graphql.parse_query(query)
	walk(document, [path, _])
	path[count(path) - 1] == "Name"
	_selected(path)
])

# operations are the kinds of operation that a request has: query, mutation,
# subscription.
operations(query) := {o.Operation |
	document := graphql.parse_query(query)
	some o in document.Operations
}

# introspects reports whether a request asks for the schema.
introspects(query) if {
	document := graphql.parse_query(query)
	walk(document, [path, name])
	path[count(path) - 1] == "Name"
	_selected(path)
	name in {"__schema", "__type"}
}

_depth(node) := max([n |
	walk(node, [path, _])
	n := count([1 | some p in path; p == "SelectionSet"])
])

# _selected: the name is that of a field, .../SelectionSet/0/Name.
_selected(path) if path[count(path) - 3] == "SelectionSet"
