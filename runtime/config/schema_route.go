package config

var routeSpec = &spec{
	doc: "Which requests are taken, what filters see them, and what happens to them. It has exactly one of upstream, split, redirect, respond and compose.", label: "name", many: true,
	args: []argSpec{
		forEachArg,
		{"listeners", typeRefs + "listener", "every HTTP listener", "Where requests come in.", nil},
		{"hosts", typeStrings, "any", "Names, or *.NAME for one or more labels before it. Ports and case don't matter.", nil},
		{"path", typeString, "any", "The path, with {NAME} for one segment and {NAME...} for the rest; path.NAME is what is there. At most one of path, path_prefix and path_regex.", nil},
		{"path_prefix", typeString, "any", "A path and everything below it, by whole segments.", nil},
		{"path_regex", typeString, "any", "An RE2 expression for the whole path.", nil},
		{"methods", typeStrings, "any", "GET includes HEAD.", nil},
		{"priority", typeNumber, "0", "The higher one wins between routes that are equal in host, path, methods, listeners and number of conditions.", nil},
		{"use", typeRefs + "chain", "[]", "Chains that run before the route's own filters.", nil},
		{"timeout", typeDuration, `"0s"`, "From the full request head to the response head; 0s is the upstream's.", nil},
		{"buffer", typeSize, `"1MiB"`, "How much of a body is read ahead for filters, policies, conditions and mirrors.", nil},
		{"max_body", typeSize, "gateway.limits.max_body", "The size of a request body; a larger one gets 413. 0 is no limit.", nil},
		{"upstream", typeRef + "upstream", "none", "Where requests go.", nil},
	},
	blocks: []nested{
		{"match", matchSpec}, {"filter", filterSpec}, {"split", splitSpec}, {"redirect", redirectSpec}, {"respond", respondSpec},
		{"compose", composeSpec}, {"rewrite", rewriteSpec}, {"request_headers", headerEditsSpec}, {"response_headers", headerEditsSpec}, {"mirror", mirrorSpec},
	},
}

var matchSpec = &spec{
	doc: "Further conditions. All have to hold.",
	args: []argSpec{
		{"remote_ip", typeStrings, "any", "Networks of the client.", nil},
	},
	blocks: []nested{
		{"header", conditionSpec("A request header.", "name")}, {"query", conditionSpec("A parameter of the query.", "name")},
		{"cookie", conditionSpec("A cookie.", "name")}, {"json", conditionSpec("A part of the request body, up to the route's buffer.", "gjson path")},
	},
}

func conditionSpec(doc, label string) *spec {
	return &spec{
		doc: doc + " It has exactly one argument. What is absent passes present = false only.", label: label, many: true,
		args: []argSpec{
			{"equals", typeAny, "", "The value is this.", nil},
			{"not", typeAny, "", "The value is there, and is not this.", nil},
			{"prefix", typeString, "", "The value begins so.", nil},
			{"suffix", typeString, "", "The value ends so.", nil},
			{"contains", typeString, "", "This is somewhere in the value.", nil},
			{"regex", typeString, "", "An RE2 expression for the whole value.", nil},
			{"present", typeBool, "", "Whether there is a value.", nil},
		},
	}
}

var splitSpec = &spec{
	doc:    "Shares the requests among upstreams.",
	blocks: []nested{{"to", toSpec}},
}

var toSpec = &spec{
	doc: "One of the upstreams.", label: "name", many: true,
	args: []argSpec{
		{"upstream", typeRef + "upstream", required, "Where requests go.", nil},
		{"weight", typeNumber, "1", "The share.", nil},
	},
}

var redirectSpec = &spec{
	doc: "Answers with a Location.",
	args: []argSpec{
		{"url", typeExpr, required, "Where clients are sent.", nil},
		{"status", typeNumber, "308", "301, 302, 303, 307 or 308.", nil},
	},
}

var respondSpec = &spec{
	doc: "Answers without an upstream.",
	args: []argSpec{
		{"status", typeNumber, "200", "From 200 to 599.", nil},
		{"body", typeExpr, `""`, "The body.", nil},
		{"headers", typeExprMap, "{}", "The headers.", nil},
	},
}

var composeSpec = &spec{
	doc: "Answers with what several upstreams say.", open: true,
}

var rewriteSpec = &spec{
	doc: "Changes where a request goes.",
	args: []argSpec{
		{"path", typeExpr, "the path as it is", "Variables are encoded as a path needs it.", nil},
		{"host", typeExpr, "the client's Host", "The Host that the upstream sees.", nil},
		{"query", typeExprMap, "{}", "Parameters to set; null removes one.", nil},
	},
}

var headerEditsSpec = &spec{
	doc: "Changes headers: removes, then sets, then adds.",
	args: []argSpec{
		{"set", typeExprMap, "{}", "Replaces what there is. null removes it, so that a client's own value never survives.", nil},
		{"add", typeExprMap, "{}", "Adds another field.", nil},
		{"remove", typeStrings, "[]", "Removes fields.", nil},
	},
}

var mirrorSpec = &spec{
	doc: "Sends copies of requests to a second upstream, whose answers nobody sees. A copy never delays or fails the request. Bodies longer than the route's buffer are not copied.",
	args: []argSpec{
		{"upstream", typeRef + "upstream", required, "Where copies go.", nil},
		{"percent", typeNumber, "100", "The share of requests that are copied.", nil},
	},
}

var (
	routeSchema       = routeSpec.schema()
	matchSchema       = matchSpec.schema()
	conditionSchema   = matchSpec.blocks[0].schema()
	splitSchema       = splitSpec.schema()
	toSchema          = toSpec.schema()
	mirrorSchema      = mirrorSpec.schema()
	redirectSchema    = redirectSpec.schema()
	respondSchema     = respondSpec.schema()
	rewriteSchema     = rewriteSpec.schema()
	headerEditsSchema = headerEditsSpec.schema()
)
