package headgate.paths_test

import data.headgate.paths

table := [
	{"methods": ["GET", "PUT"], "path": "/orders/{id}", "role": "clerk"},
	{"path": "/public/**", "role": "any"},
	{"methods": ["GET"], "path": "/"},
]

test_allows if {
	paths.allows(table, "GET", ["orders", "7"])
	paths.allows(table, "DELETE", ["public", "a", "b"])
	paths.allows(table, "DELETE", ["public"])
	paths.allows(table, "GET", [""])
	not paths.allows(table, "DELETE", ["orders", "7"])
	not paths.allows(table, "GET", ["orders"])
	not paths.allows(table, "GET", ["orders", "7", "items"])
	not paths.allows(table, "GET", ["orders", ""])
	not paths.allows(table, "GET", ["other"])
}

test_entries if [e.role | some e in paths.entries(table, "PUT", ["orders", "7"])] == ["clerk"]

test_variables if {
	paths.variables("/a/{x}/b/{y}", ["a", "1", "b", "2"]) == {"x": "1", "y": "2"}
	paths.variables("/a/{x}", ["b", "1"]) == {}
}
