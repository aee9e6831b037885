# METADATA
# description: Nobody reaches the data of another tenant.
package headgate.tenant

# isolated reports whether the claims name the tenant, and no other. A claim that
# is absent or empty is no tenant's.
isolated(claims, claim, tenant) if {
	tenant != ""
	_tenants(claims[claim]) == {tenant}
}

# member reports whether the tenant is one of those that the claims name.
member(claims, claim, tenant) if {
	tenant != ""
	tenant in _tenants(claims[claim])
}

# of_host is the tenant of a host such as acme.example.com with the suffix
# "example.com": the one label before it.
of_host(host, suffix) := tenant if {
	name := split(lower(host), ":")[0]
	endswith(name, concat("", [".", suffix]))
	tenant := trim_suffix(name, concat("", [".", suffix]))
	tenant != ""
	not contains(tenant, ".")
}

_tenants(v) := {v} if {
	is_string(v)
	v != ""
}

_tenants(v) := {t | some t in v} if is_array(v)
