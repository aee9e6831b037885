package headgate.graphql_test

import data.headgate.graphql as gql

test_depth if {
	gql.depth("{ a }") == 1
	gql.depth("{ a { b { c } } d { e } }") == 3
	gql.depth("query q { a ...f } fragment f on T { b { c } }") == 3
	gql.depth("{ a { ... on T { b } } }") == 3
}

test_no_document if {
	not gql.depth("{ a ")
	gql.fields("{") == 0
	gql.operations("{") == set()
	not gql.introspects("{")
}

test_fields if gql.fields("{ a { b c } b }") == 4

test_operations if {
	gql.operations("{ a }") == {"query"}
	gql.operations("mutation m { a } query q { b }") == {"mutation", "query"}
}

test_introspects if {
	gql.introspects("{ __schema { types { name } } }")
	not gql.introspects("{ a { __typename } }")
}
