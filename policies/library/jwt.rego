# METADATA
# description: Scopes, audiences and issuers in the claims of a verified token.
package headgate.jwt

# scopes are those of the claim scope, a text with spaces (RFC 8693 section 4.2),
# or of scp, a list or such a text.
scopes(claims) := {s |
	some name in ["scope", "scp"]
	some s in _list(claims[name])
	s != ""
}

# has_scopes reports whether the claims have all of the wanted scopes.
has_scopes(claims, wanted) if {s | some s in wanted} - scopes(claims) == set()

# has_any_scope reports whether they have one of them.
has_any_scope(claims, wanted) if {
	some s in wanted
	s in scopes(claims)
}

# has_audience reports whether the token is for one of the names (RFC 7519
# section 4.1.3).
has_audience(claims, names) if {
	some a in _list(claims.aud)
	a in names
}

# issued_by reports whether one of the names issued the token.
issued_by(claims, names) if claims.iss in names

_list(v) := split(v, " ") if is_string(v)

_list(v) := v if is_array(v)
