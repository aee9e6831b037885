package policies

import "github.com/open-policy-agent/opa/v1/ast"

// keys are the member names of the input, made once. They are never changed;
// OPA shares its own constants in the same way.
var keys = struct {
	attributes, parsedPath, parsedQuery, parsedBody, truncatedBody, version, headgate,
	source, destination, sourcePrincipal, address, socketAddress, portValue, principal,
	request, time, http, id, method, headers, host, path, protocol, scheme, query, size, body,
	contextExtensions, metadataContext, filterMetadata, openPolicyAgent, decisionID,
	pseudoAuthority, pseudoMethod, pseudoPath, pseudoScheme,
	route, auth, remoteIP, subject, consumer, claims, allowed, key, filters, response, status,
	versionValue *ast.Term
}{
	attributes: key("attributes"), parsedPath: key("parsed_path"), parsedQuery: key("parsed_query"),
	parsedBody: key("parsed_body"), truncatedBody: key("truncated_body"), version: key("version"),
	headgate: key("headgate"),

	source: key("source"), destination: key("destination"), sourcePrincipal: key("source_principal"),
	address: key("address"), socketAddress: key("socketAddress"), portValue: key("portValue"), principal: key("principal"),

	request: key("request"), time: key("time"), http: key("http"), id: key("id"), method: key("method"),
	headers: key("headers"), host: key("host"), path: key("path"), protocol: key("protocol"),
	scheme: key("scheme"), query: key("query"), size: key("size"), body: key("body"),

	contextExtensions: key("contextExtensions"), metadataContext: key("metadataContext"),
	filterMetadata: key("filterMetadata"), openPolicyAgent: key(openPolicyAgent), decisionID: key("decision_id"),

	pseudoAuthority: key(":authority"), pseudoMethod: key(":method"), pseudoPath: key(":path"), pseudoScheme: key(":scheme"),

	route: key("route"), auth: key("auth"), remoteIP: key("remote_ip"),
	subject: key("subject"), consumer: key("consumer"), claims: key("claims"), allowed: key("allowed"), key: key("key"), filters: key("filters"), response: key("response"), status: key("status"),

	versionValue: ast.ObjectTerm(
		ast.Item(ast.StringTerm("encoding"), ast.StringTerm("protojson")),
		ast.Item(ast.StringTerm("ext_authz"), ast.StringTerm("v3")),
	),
}

func key(s string) *ast.Term { return ast.StringTerm(s) }
