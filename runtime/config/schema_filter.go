package config

var pluginSpec = &spec{
	doc: "A WebAssembly module whose filters routes and chains can use.", label: "name", many: true,
	args: []argSpec{
		{"source", typeString, required, "A path, https://... or oci://registry/repository, with :tag or @sha256:digest.", nil},
		{"sha256", typeString, `""`, "The digest of the module; required for https.", nil},
		{"public_key_file", typeString, `""`, "The key that must have signed the image, as cosign does; PEM. For oci.", nil},
		{"filter", typeString, `""`, "Which filter of a module that holds several; the root_id of proxy-wasm.", nil},
		{"vm_config", typeString, `""`, "The configuration of the virtual machine, for proxy-wasm.", nil},
		{"concurrency", typeNumber, "1", "Exchanges that may be inside one instance at once; 128 for proxy-wasm. A trap fails all of them.", nil},
		{"on_error", typeString, `"deny"`, "What a failure means: 500, or as if the filter were not there.", []string{"deny", "allow"}},
	},
	blocks: []nested{{"allow", allowSpec}, {"limits", pluginLimitsSpec}},
}

var allowSpec = &spec{
	doc: "What the plugin may do beyond looking at the request. Nothing, if it is not written.",
	args: []argSpec{
		{"fetch", typeAny, "[]", "Upstreams and URLs that it may call.", nil},
		{"state", typeStrings, "[]", "Namespaces of keys and counters.", nil},
		{"env", typeStrings, "[]", "Variables of the environment.", nil},
		{"auth", typeBool, "false", "Seeing and saying who the caller is: subject, consumer and claims.", nil},
		{"call", typeAny, "[]", "Plugins and policies whose published data it may read.", nil},
	},
	blocks: []nested{{"headers", &spec{
		doc: "Header fields that it sees and may change.",
		args: []argSpec{
			{"read", typeStrings, `["*"]`, "Names, or \"*\" for all.", nil},
			{"write", typeStrings, `["*"]`, "Names, or \"*\" for all.", nil},
		},
	}}},
}

var pluginLimitsSpec = &spec{
	doc: "What the plugin may use.",
	args: []argSpec{
		{"memory", typeSize, `"32MiB"`, "Linear memory and tables of one instance.", nil},
		{"cpu", typeDuration, `"20ms"`, "Time inside the guest for one call.", nil},
		{"deadline", typeDuration, `"5s"`, "For one call, with waiting for an instance and for the host.", nil},
		{"instances", typeNumber, "64", "How many there may be.", nil},
		{"start_cpu", typeDuration, `"10s"`, "For instantiation and configuration.", nil},
	},
}

var policySpec = &spec{
	doc: "A Rego policy, which filters can ask.", label: "name", many: true,
	args: []argSpec{
		{"rego", typeStrings, "required without bundle", "Files and folders; *_test.rego is left out.", nil},
		{"data", typeStrings, "[]", "JSON and YAML files.", nil},
		{"decide", typeString, required, "The rule that decides, such as \"data.authz.decision\". Its value is true, false or an object.", nil},
		{"response", typeString, "none", "The rule that decides about responses. Its value is true, false or an object.", nil},
		{"on_error", typeString, `"deny"`, "What a failure means: 500, or as if the filter were not there. An undefined decision is a denial.", []string{"deny", "allow"}},
		{"deadline", typeDuration, `"50ms"`, "For one decision.", nil},
		{"capabilities", typeString, "none", "A capabilities file of OPA: builtins that it does not list are not there.", nil},
		{"allow", typeStrings, "[]", "Of \"http.send\", \"net.lookup_ip_addr\" and \"opa.runtime\".", nil},
	},
	blocks: []nested{{"bundle", bundleSpec}, {"decision_log", decisionLogSpec}},
}

var bundleSpec = &spec{
	doc: "Policies and data from a server.",
	args: []argSpec{
		{"url", typeString, required, "Of the bundle: http, https, or a file.", nil},
		{"token", typeString, "none", "Sent as a bearer token.", nil},
		{"poll", typeDuration, `"30s"`, "How often it is asked for.", nil},
		{"long_poll", typeDuration, "none", "How long a server that can may wait for a new bundle before it answers.", nil},
		{"public_key_file", typeString, "none", "The key that must have signed the bundle; PEM. Without one, a signed bundle is refused.", nil},
		{"scope", typeString, "any", "The scope in the signature.", nil},
		{"algorithm", typeString, `"RS256"`, "Of the signature.", []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}},
	},
}

var decisionLogSpec = &spec{
	doc: "A log of decisions in OPA's format. Without the block there is none.",
	args: []argSpec{
		{"path", typeString, `"stdout"; none with a service`, "\"stdout\", \"stderr\" or a file.", nil},
		{"rate", typeNumber, "all", "The most decisions a second that are logged.", nil},
	},
	blocks: []nested{{"service", logServiceSpec}},
}

var logServiceSpec = &spec{
	doc: "A service that takes decisions as OPA sends them: gzipped JSON arrays.",
	args: []argSpec{
		{"url", typeString, required, "Where they are posted.", nil},
		{"token", typeString, "none", "Sent as a bearer token.", nil},
	},
}

var chainSpec = &spec{
	doc: "Filters under a name, for routes and other chains to use.", label: "name", many: true,
	args: []argSpec{
		forEachArg,
		{"use", typeRefs + "chain", "[]", "Chains that run before the filters of this one.", nil},
	},
	blocks: []nested{{"filter", filterSpec}},
}

var filterSpec = &spec{
	doc: "A step of a chain. The label is a plugin, a built-in filter, or \"policy\". All other arguments and blocks are the filter's own configuration, which its plugin describes.", label: "name", many: true, open: true,
	args: []argSpec{
		{"when", typeExpr, "true", "The filter is skipped if this is false.", nil},
		{"shadow", typeBool, "false", "The filter runs and changes nothing; metrics tell what it would have done.", nil},
		{"on_error", typeString, "that of the plugin or policy", "What a failure means: 500, or as if the filter were not there.", []string{"deny", "allow"}},
		{"policy", typeRef + "policy", "required for the filter \"policy\"", "The policy that decides.", nil},
		{"context_extensions", typeStringMap, "{}", "What the input of the policy has as attributes.contextExtensions.", nil},
		{"config", typeString, "none", "Alone, the configuration as it is, instead of an object made of the arguments.", nil},
	},
}

var (
	pluginSchema       = pluginSpec.schema()
	allowSchema        = allowSpec.schema()
	allowHeadersSchema = allowSpec.blocks[0].schema()
	pluginLimitsSchema = pluginLimitsSpec.schema()
	policySchema       = policySpec.schema()
	bundleSchema       = bundleSpec.schema()
	decisionLogSchema  = decisionLogSpec.schema()
	logServiceSchema   = logServiceSpec.schema()
	chainSchema        = chainSpec.schema()
)
