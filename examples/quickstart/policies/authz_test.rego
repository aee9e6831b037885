package quickstart.authz_test

import data.quickstart.authz

ask(method, headers) := {
	"attributes": {"request": {"http": {"method": method, "headers": headers}}},
	"parsed_path": ["orders"],
}

test_readers_read if {
	d := authz.decision with input as ask("GET", {"x-role": "Reader"})
	d == {"allowed": true, "headers": {"x-authz-role": "reader"}}
}

test_readers_do_not_write if {
	d := authz.decision with input as ask("POST", {"x-role": "reader"})
	d.allowed == false
	d.http_status == 403
	json.unmarshal(d.body).detail == "the role reader may not write orders"
}

test_admins_write if {
	every method in ["GET", "POST", "PUT", "DELETE"] {
		d := authz.decision with input as ask(method, {"x-role": "admin"})
		d.allowed
	}
}

test_nobody_reads if {
	d := authz.decision with input as ask("GET", {})
	d.allowed == false
	json.unmarshal(d.body) == {"error": "forbidden", "detail": "the role nobody may not read orders"}
}

test_unknown_roles_are_nobody if {
	not authz.allow with input as ask("GET", {"x-role": "root"})
}
