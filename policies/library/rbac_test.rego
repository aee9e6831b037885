package headgate.rbac_test

import data.headgate.rbac

bindings := {"ada": ["admin"], "bob": ["reader"]}

parents := {"admin": ["writer"], "writer": ["reader"]}

permissions := {
	"reader": [{"action": "read", "resource": "orders"}],
	"writer": [{"action": "write", "resource": "orders"}],
	"admin": [{"action": "*", "resource": "users"}],
}

test_roles_include if rbac.roles(bindings, parents, "ada") == {"admin", "writer", "reader"}

test_roles_of_nobody if rbac.roles(bindings, parents, "eve") == set()

test_allows if {
	roles := rbac.roles(bindings, parents, "ada")
	rbac.allows(roles, permissions, "read", "orders")
	rbac.allows(roles, permissions, "delete", "users")
	not rbac.allows(roles, permissions, "delete", "orders")
}

test_reader_only_reads if {
	roles := rbac.roles(bindings, parents, "bob")
	rbac.allows(roles, permissions, "read", "orders")
	not rbac.allows(roles, permissions, "write", "orders")
}
