package headgate.jwt_test

import data.headgate.jwt

claims := {"iss": "https://id.example", "aud": ["orders", "users"], "scope": "read write", "scp": ["extra"]}

test_scopes if jwt.scopes(claims) == {"read", "write", "extra"}

test_no_scopes if {
	jwt.scopes({}) == set()
	jwt.scopes({"scope": ""}) == set()
	jwt.scopes({"scope": 7}) == set()
}

test_has_scopes if {
	jwt.has_scopes(claims, ["read", "extra"])
	jwt.has_scopes(claims, [])
	not jwt.has_scopes(claims, ["read", "delete"])
	not jwt.has_scopes({}, ["read"])
}

test_has_any_scope if {
	jwt.has_any_scope(claims, {"delete", "write"})
	not jwt.has_any_scope(claims, ["delete"])
}

test_has_audience if {
	jwt.has_audience(claims, ["orders"])
	jwt.has_audience({"aud": "orders"}, {"orders"})
	not jwt.has_audience(claims, ["payments"])
	not jwt.has_audience({}, ["orders"])
}

test_issued_by if {
	jwt.issued_by(claims, ["https://id.example"])
	not jwt.issued_by({}, ["https://id.example"])
}
