# METADATA
# description: Tables of methods and path templates.
package headgate.paths

# allows reports whether an entry of the table fits the method and the segments of
# the path, which are input.parsed_path:
# {"methods": ["GET"], "path": "/orders/{id}"}. Without methods, any will do. In a
# template, {name} is one segment and a last segment ** any number.
allows(table, method, segments) if {
	some entry in table
	_method(entry, method)
	matches(entry.path, segments)
}

# entries are those that fit.
entries(table, method, segments) := [entry |
	some entry in table
	_method(entry, method)
	matches(entry.path, segments)
]

# matches reports whether the path fits the template.
matches(template, segments) if {
	parts := split(trim_prefix(template, "/"), "/")
	parts[count(parts) - 1] != "**"
	count(parts) == count(segments)
	_fit(parts, segments)
}

matches(template, segments) if {
	parts := split(trim_prefix(template, "/"), "/")
	parts[count(parts) - 1] == "**"
	fixed := array.slice(parts, 0, count(parts) - 1)
	count(segments) >= count(fixed)
	_fit(fixed, segments)
}

# variables are the values of the template's names in a path that fits it.
variables(template, segments) := {name: segments[i] |
	matches(template, segments)
	some i, part in split(trim_prefix(template, "/"), "/")
	_variable(part)
	name := substring(part, 1, count(part) - 2)
}

_fit(parts, segments) if {
	every i, part in parts {
		_segment(part, segments[i])
	}
}

_segment(part, part)

_segment(part, segment) if {
	_variable(part)
	segment != ""
}

_variable(part) if {
	startswith(part, "{")
	endswith(part, "}")
}

_method(entry, _) if not entry.methods

_method(entry, method) if method in entry.methods
