package headgate.tenant_test

import data.headgate.tenant

test_isolated if {
	tenant.isolated({"org": "acme"}, "org", "acme")
	tenant.isolated({"org": ["acme"]}, "org", "acme")
	not tenant.isolated({"org": "acme"}, "org", "other")
	not tenant.isolated({"org": ["acme", "other"]}, "org", "acme")
}

test_no_tenant if {
	not tenant.isolated({}, "org", "acme")
	not tenant.isolated({"org": ""}, "org", "")
	not tenant.isolated({"org": [""]}, "org", "")
	not tenant.member({"org": [""]}, "org", "")
}

test_member if {
	tenant.member({"org": ["acme", "other"]}, "org", "acme")
	not tenant.member({"org": ["other"]}, "org", "acme")
}

test_of_host if {
	tenant.of_host("Acme.example.com:8080", "example.com") == "acme"
	not tenant.of_host("example.com", "example.com")
	not tenant.of_host("a.acme.example.com", "example.com")
	not tenant.of_host("acme.evil-example.com", "example.com")
}
