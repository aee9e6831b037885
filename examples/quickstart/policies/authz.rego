# Who may do what. The role comes from a header, which anybody can send: good
# for a first look, not for the world. Behind a filter that checks tokens it
# comes from input.headgate.auth instead.
package quickstart.authz

import input.attributes.request.http as request

default allow := false

allow if permissions[role][_] == action

# One word for what the request wants to do.
action := "read" if request.method in {"GET", "HEAD", "OPTIONS"}

else := "write"

permissions := {
	"reader": ["read"],
	"admin": ["read", "write"],
}

role := lower(object.get(request.headers, "x-role", "nobody"))

# An object instead of a boolean: the policy answers in its own words, and tells
# the backend which role it saw.
decision := {"allowed": true, "headers": {"x-authz-role": role}} if allow

else := {
	"allowed": false,
	"http_status": 403,
	"headers": {"content-type": "application/json"},
	"body": json.marshal({
		"error": "forbidden",
		"detail": sprintf("the role %s may not %s %s", [role, action, input.parsed_path[0]]),
	}),
}
