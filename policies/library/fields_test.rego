package headgate.fields_test

import data.headgate.fields

document := {"id": 7, "user": {"name": "ada", "ssn": "1"}, "items": [{"price": 1, "cost": 2}, {"price": 3, "cost": 4}]}

test_without if {
	fields.without(document, ["user/ssn", "nothing"]) == {
		"id": 7, "user": {"name": "ada"},
		"items": [{"price": 1, "cost": 2}, {"price": 3, "cost": 4}],
	}
	fields.without(document, ["items/*/cost"]).items == [{"price": 1}, {"price": 3}]
}

test_only if fields.only(document, ["id", "items/*/price"]) == {"id": 7, "items": [{"price": 1}, {"price": 3}]}

rules := {"user/ssn": ["admin"], "items/*/cost": ["admin", "buyer"]}

test_visible if {
	fields.visible(document, rules, ["admin"]) == document
	fields.visible(document, rules, ["buyer"]).user == {"name": "ada"}
	fields.visible(document, rules, ["buyer"]).items == document.items
	fields.visible(document, rules, []).items == [{"price": 1}, {"price": 3}]
}
