package config

var upstreamSpec = &spec{
	doc: "Servers that do the same, and how requests are spread over them. It has endpoint blocks, a dns block or a file block.", label: "name", many: true,
	args: []argSpec{
		forEachArg,
		{"protocol", typeString, `"http/1.1"`, "h2c is HTTP/2 in the clear, h2 needs tls, auto lets TLS decide (ALPN).", []string{"http/1.1", "h2c", "h2", "auto"}},
		{"balance", typeString, `"least_request"`, "How an endpoint is chosen.", []string{"round_robin", "least_request", "ewma", "random", "ring_hash", "maglev"}},
		{"hash_on", typeExpr, "none", "What ring_hash and maglev choose by.", nil},
		{"prefer", typeStringMap, "{}", "Labels of endpoints that are preferred while enough of them are healthy.", nil},
		{"slow_start", typeDuration, `"0s"`, "How long a new endpoint takes to get its full share.", nil},
		{"connect_timeout", typeDuration, `"5s"`, "For a new connection, TLS included.", nil},
		{"timeout", typeDuration, `"15s"`, "From the full request head to the response head. A route's own wins.", nil},
		{"idle_timeout", typeDuration, `"60s"`, "How long a connection is kept without a request.", nil},
		{"max_idle", typeNumber, "512", "How many such connections are kept for one endpoint.", nil},
		{"proxy_protocol", typeString, `""`, "The version of the PROXY header that is sent to the endpoint.", []string{"", "v1", "v2"}},
	},
	blocks: []nested{
		{"endpoint", endpointSpec}, {"dns", dnsSpec}, {"file", fileSpec}, {"tls", upstreamTLSSpec}, {"affinity", affinitySpec},
		{"health_check", healthCheckSpec}, {"outlier_detection", outlierSpec}, {"circuit_breaker", breakerSpec}, {"retry", retrySpec},
	},
}

var endpointSpec = &spec{
	doc: "A server: host:port or unix:/path.", label: "address", many: true,
	args: []argSpec{
		{"weight", typeNumber, "1", "Its share of the requests.", nil},
		{"labels", typeStringMap, "{}", "What prefer looks at.", nil},
	},
}

var dnsSpec = &spec{
	doc: "Endpoints are the addresses of a name.",
	args: []argSpec{
		{"name", typeString, required, "The name to look up.", nil},
		{"port", typeNumber, "required unless type is srv", "The port of every address.", nil},
		{"type", typeString, `"a"`, "A and AAAA records, or SRV records, which have ports of their own.", []string{"a", "srv"}},
		{"refresh", typeDuration, `"0s"`, "How often the name is looked up; 0s is what its records say (TTL).", nil},
	},
}

var fileSpec = &spec{
	doc: "Endpoints are listed in a file, which is read again when it changes.",
	args: []argSpec{
		{"path", typeString, required, "JSON: [{\"address\": \"host:port\", \"weight\": 1, \"labels\": {}}].", nil},
	},
}

var upstreamTLSSpec = &spec{
	doc: "TLS to the endpoints.",
	args: []argSpec{
		{"server_name", typeString, `""`, "The name that the endpoint's certificate has to have; \"\" is the host of its address.", nil},
		{"ca_file", typeString, `""`, "The authorities of the endpoints, as PEM; \"\" is the system's.", nil},
		{"cert_file", typeString, `""`, "The certificate that is shown to endpoints that ask for one.", nil},
		{"key_file", typeString, `""`, "Its private key.", nil},
		{"insecure_skip_verify", typeBool, "false", "Takes any certificate. Who can intercept the connection can read and change everything.", nil},
	},
}

var affinitySpec = &spec{
	doc: "Keeps a client at its endpoint by a cookie.",
	args: []argSpec{
		{"cookie", typeString, `"headgate"`, "The name of the cookie.", nil},
		{"ttl", typeDuration, `"0s"`, "How long it lasts; 0s is a session.", nil},
	},
}

var healthCheckSpec = &spec{
	doc: "Asks endpoints whether they are well. Without the block nobody does.",
	args: []argSpec{
		{"type", typeString, `"http"`, "What is asked.", []string{"http", "tcp", "grpc"}},
		{"path", typeString, `"/"`, "The path of the request.", nil},
		{"host", typeString, `""`, "The Host of the request.", nil},
		{"headers", typeStringMap, "{}", "Further header fields of the request.", nil},
		{"expect", typeAny, "[200]", "The statuses that mean well.", nil},
		{"contains", typeString, `""`, "What the body has to contain.", nil},
		{"interval", typeDuration, `"5s"`, "The time between two checks.", nil},
		{"timeout", typeDuration, `"1s"`, "How long an answer may take.", nil},
		{"healthy", typeNumber, "2", "Good answers in a row that bring an endpoint back.", nil},
		{"unhealthy", typeNumber, "3", "Bad ones that take it out.", nil},
		{"panic", typeNumber, "50", "Below this percentage of healthy endpoints all are used; with 0, none, and requests get 503.", nil},
	},
}

var outlierSpec = &spec{
	doc: "Takes endpoints out for a while whose answers are worse than those of others.",
	args: []argSpec{
		{"consecutive_errors", typeNumber, "5", "5xx, failed connects, resets and timeouts in a row.", nil},
		{"success_rate", typeNumber, "0", "Percent; endpoints below it go. 0 is off.", nil},
		{"latency_factor", typeNumber, "0", "Times the median of the others; slower endpoints go. 0 is off.", nil},
		{"interval", typeDuration, `"10s"`, "How often rate and latency are looked at.", nil},
		{"eject", typeDuration, `"30s"`, "For how long, times the number of ejections in a row, at most ten times.", nil},
		{"max_ejected_percent", typeNumber, "50", "How many of the endpoints may be out.", nil},
	},
}

var breakerSpec = &spec{
	doc: "Stops asking an upstream that fails, and bounds what is asked at once. Requests get 503.",
	args: []argSpec{
		{"error_percent", typeNumber, "50", "The share of 5xx, failed connects, resets and timeouts that opens the breaker.", nil},
		{"min_requests", typeNumber, "20", "Fewer in the window open nothing.", nil},
		{"window", typeDuration, `"10s"`, "What is looked at.", nil},
		{"open", typeDuration, `"5s"`, "How long nothing is asked before a few requests probe.", nil},
		{"max_connections", typeNumber, "0", "Connections to the upstream; 0 is no limit.", nil},
		{"max_pending", typeNumber, "0", "Requests that wait for a connection; 0 is no limit.", nil},
		{"max_requests", typeNumber, "0", "Requests at once; 0 is no limit.", nil},
		{"adaptive", typeBool, "false", "Bounds concurrency by how latency changes with it.", nil},
	},
}

var retrySpec = &spec{
	doc: "Further tries of a request that failed. Without the block there is one more for a request of which nothing was written.",
	args: []argSpec{
		{"attempts", typeNumber, "1", "Tries after the first.", nil},
		{"on", typeStrings, `["connect", "reset"]`, "What is tried again: connect, reset, timeout, and statuses such as \"502\".", nil},
		{"methods", typeStrings, `["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]`, "Which requests may be sent twice.", nil},
		{"per_try", typeDuration, `"0s"`, "The timeout of one try; 0s is that of the request.", nil},
		{"backoff", typeDuration, `"25ms"`, "The pause before the first further try; it grows, with jitter.", nil},
		{"budget_percent", typeNumber, "20", "The share of requests in flight that may be further tries.", nil},
		{"hedge", typeDuration, `"0s"`, "Starts a second try after this long, and takes the first answer; 0s is off.", nil},
	},
}

var (
	upstreamSchema    = upstreamSpec.schema()
	upstreamTLSSchema = upstreamTLSSpec.schema()
	endpointSchema    = endpointSpec.schema()
	affinitySchema    = affinitySpec.schema()
	healthCheckSchema = healthCheckSpec.schema()
	outlierSchema     = outlierSpec.schema()
	dnsSchema         = dnsSpec.schema()
	fileSchema        = fileSpec.schema()
	breakerSchema     = breakerSpec.schema()
	retrySchema       = retrySpec.schema()
)
