# METADATA
# description: What of a document somebody may see.
package headgate.fields

# without is the document without the fields at the paths, such as "user/ssn". In
# lists, "*" is every member.
without(document, paths) := json.remove(document, _expand(document, paths))

# only is the document with nothing but the fields at the paths.
only(document, paths) := json.filter(document, _expand(document, paths))

# visible is the document without what the roles may not see. Rules are
# {path: [role that may see it]}.
visible(document, rules, roles) := without(document, {path |
	some path, seers in rules
	every role in roles {
		not role in seers
	}
})

# _expand writes the paths with the indexes that the document has for "*".
_expand(document, paths) := {p | some path in paths; not contains(path, "*"); p := path} | {p |
	some path in paths
	contains(path, "*")
	parts := split(path, "/")
	walk(document, [at, _])
	count(at) == count(parts)
	every i, part in parts {
		_fits(part, at[i])
	}
	p := concat("/", [sprintf("%v", [a]) | some a in at])
}

_fits("*", _)

_fits(part, key) if part == sprintf("%v", [key])
