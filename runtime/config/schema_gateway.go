package config

var gatewaySpec = &spec{
	doc: "Settings of the whole gateway. There is at most one such block.",
	args: []argSpec{
		{"trusted_proxies", typeStrings, "[]", "Networks whose X-Forwarded-*, Forwarded and PROXY headers are believed. From all others these are replaced.", nil},
		{"request_id", typeString, `"x-request-id"`, "The header of the request id: kept from trusted proxies, otherwise a new UUIDv7. \"\" disables it.", nil},
		{"body_memory", typeSize, `"256MiB"`, "Ceiling for all buffered bodies together. Beyond it requests get 503.", nil},
		{"plugin_memory", typeSize, `"1GiB"`, "Ceiling for the memory of all plugin instances together. A change takes effect at the next start.", nil},
	},
	blocks: []nested{
		{"admin", adminSpec}, {"log", logSpec}, {"access_log", accessLogSpec}, {"tracing", tracingSpec}, {"state", stateSpec},
		{"shutdown", shutdownSpec}, {"limits", gatewayLimitsSpec}, {"debug", debugSpec},
	},
}

var adminSpec = &spec{
	doc: "The admin API.",
	args: []argSpec{
		{"address", typeString, `"127.0.0.1:9901"`, "Where it listens; \"off\" disables it.", nil},
		{"token", typeString, `""`, "The bearer token that every request but probes has to carry. Required if the address is not loopback.", nil},
	},
}

var logSpec = &spec{
	doc: "The log of the gateway itself, on standard error.",
	args: []argSpec{
		{"level", typeString, `"info"`, "The least severe messages that are written.", []string{"debug", "info", "warn", "error"}},
		{"format", typeString, `"text"`, "One line of key=value pairs, or one JSON object a message.", []string{"text", "json"}},
	},
}

var accessLogSpec = &spec{
	doc: "The log of requests. Without the block there is none.",
	args: []argSpec{
		{"format", typeExpr, `"json"`, "\"json\", or \"common\" or \"combined\" as web servers of old write them, or a template with values of the request and the response.", nil},
		{"path", typeString, `"stdout"`, "\"stdout\", \"stderr\" or a file.", nil},
	},
}

var tracingSpec = &spec{
	doc: "Traces by OpenTelemetry. Without the block there are none.",
	args: []argSpec{
		{"otlp", typeString, required, "The OTLP endpoint over HTTP, such as \"http://127.0.0.1:4318\".", nil},
		{"sample", typeNumber, "0.01", "The share of requests that are traced, unless a parent says so.", nil},
	},
}

var stateSpec = &spec{
	doc: "Where counters and keys are kept that outlive a request.",
	args: []argSpec{
		{"redis", typeString, `""`, "The URL of a Redis that gateways share; \"\" keeps the state in this process.", nil},
	},
}

var shutdownSpec = &spec{
	doc: "How the gateway goes.",
	args: []argSpec{
		{"delay", typeDuration, `"0s"`, "How long /ready fails before anything else happens.", nil},
		{"drain", typeDuration, `"30s"`, "How long requests and connections may take to end before they are cut.", nil},
	},
}

var gatewayLimitsSpec = &spec{
	doc: "What clients may send, and how much at once.",
	args: []argSpec{
		{"max_header_bytes", typeSize, `"64KiB"`, "The size of a request head. A larger one gets 431.", nil},
		{"max_headers", typeNumber, "128", "The number of header fields. More get 431.", nil},
		{"max_body", typeSize, `"0"`, "The size of a request body; a larger one gets 413. 0 is no limit. A route's own wins.", nil},
		{"max_connections", typeNumber, "0", "Connections at once; beyond it they get 503 and are closed. 0 is no limit.", nil},
		{"max_requests", typeNumber, "0", "Requests in flight; beyond it they get 503 with Retry-After. 0 is no limit.", nil},
	},
}

var debugSpec = &spec{
	doc: "Help for debugging.",
	args: []argSpec{
		{"header", typeString, `""`, "A request with this header gets a server-timing header with the time of each filter and of the upstream. \"\" disables it.", nil},
	},
}

var (
	gatewaySchema       = gatewaySpec.schema()
	adminSchema         = adminSpec.schema()
	logSchema           = logSpec.schema()
	accessLogSchema     = accessLogSpec.schema()
	stateSchema         = stateSpec.schema()
	shutdownSchema      = shutdownSpec.schema()
	gatewayLimitsSchema = gatewayLimitsSpec.schema()
	debugSchema         = debugSpec.schema()
)
