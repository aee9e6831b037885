# METADATA
# description: Roles and what they permit.
package headgate.rbac

# roles of a user with those they include. Bindings are {user: [role]}, parents
# {role: [role that it includes]}.
roles(bindings, parents, user) := graph.reachable(_graph(bindings, parents, user), object.get(bindings, user, []))

# allows reports whether one of the roles permits the action on the resource.
# Permissions are {role: [{"action": "read", "resource": "orders"}]}; "*" is any.
allows(roles, permissions, action, resource) if {
	some role in roles
	some p in permissions[role]
	_matches(p.action, action)
	_matches(p.resource, resource)
}

_graph(bindings, parents, user) := {role: object.get(parents, role, []) |
	some role in array.concat(object.get(bindings, user, []), [r | some list in parents; some r in list])
}

_matches("*", _)

_matches(x, x)
