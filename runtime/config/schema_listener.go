package config

var listenerSpec = &spec{
	doc: "A socket that takes requests, or connections to pass on.", label: "name", many: true,
	args: []argSpec{
		{"address", typeString, required, "host:port, unix:/path, or fd:NAME for a socket of systemd's.", nil},
		{"protocols", typeStrings, `["http/1.1", "h2"]`, "Of \"http/1.1\", \"h2\" and, with tls, \"h3\". Without tls, h2 means prior knowledge.", nil},
		{"proxy_protocol", typeBool, "false", "Connections from gateway.trusted_proxies begin with a PROXY header, version 1 or 2.", nil},
		{"grpc_web", typeBool, "false", "Requests of gRPC-Web are translated to gRPC.", nil},
	},
	blocks: []nested{{"timeouts", listenerTimeoutsSpec}, {"tls", listenerTLSSpec}, {"tcp", tcpSpec}},
}

var listenerTimeoutsSpec = &spec{
	doc: "How long a client may take.",
	args: []argSpec{
		{"header", typeDuration, `"10s"`, "For a whole request head; then 408.", nil},
		{"idle", typeDuration, `"75s"`, "Between two requests.", nil},
		{"stream_idle", typeDuration, `"5m"`, "Without a byte in either direction of a running exchange.", nil},
	},
}

var listenerTLSSpec = &spec{
	doc: "Ends TLS at this listener.",
	args: []argSpec{
		{"certificates", typeRefs + "certificate", required, "Chosen by the server name that the client asks for and the kinds of keys that it knows; the first is shown to those who ask for another name, or none.", nil},
		{"min_version", typeString, `"1.2"`, "The oldest version of TLS.", []string{"1.2", "1.3"}},
		{"max_version", typeString, `"1.3"`, "The newest version of TLS.", []string{"1.2", "1.3"}},
	},
	blocks: []nested{{"client_auth", clientAuthSpec}},
}

var clientAuthSpec = &spec{
	doc: "Certificates of clients.",
	args: []argSpec{
		{"mode", typeString, `"none"`, "Whether clients are asked for a certificate, and whether they need one.", []string{"none", "request", "require"}},
		{"ca_file", typeString, `""`, "The authorities whose certificates are taken, as PEM. Required unless the mode is none.", nil},
		{"forward", typeBool, "false", "Upstreams get the certificate as x-forwarded-client-cert.", nil},
	},
}

var tcpSpec = &spec{
	doc: "Passes connections on as they are, instead of serving HTTP.",
	args: []argSpec{
		{"upstream", typeRef + "upstream", "none: what no sni block takes is closed", "Where connections go.", nil},
	},
	blocks: []nested{{"sni", sniSpec}},
}

var sniSpec = &spec{
	doc: "Connections whose TLS handshake asks for a server name. TLS is not ended.", label: "server name", many: true,
	args: []argSpec{{"upstream", typeRef + "upstream", required, "Where they go.", nil}},
}

var certificateSpec = &spec{
	doc: "A certificate and its key: from files, or from an ACME server.", label: "name", many: true,
	args: []argSpec{
		{"cert_file", typeString, "required without acme", "The certificate and its chain, as PEM. Read again when it changes.", nil},
		{"key_file", typeString, "required without acme", "The private key, as PEM. Read again when it changes.", nil},
		{"domains", typeStrings, "required with acme", "The names of the certificate.", nil},
	},
	blocks: []nested{{"acme", acmeSpec}},
}

var acmeSpec = &spec{
	doc: "Obtains the certificate, and renews it.",
	args: []argSpec{
		{"directory", typeString, `"https://acme-v02.api.letsencrypt.org/directory"`, "The ACME server.", nil},
		{"email", typeString, `""`, "Where the server may write to.", nil},
		{"storage", typeString, `"acme"`, "The directory for the account, keys and certificates.", nil},
		{"ca_file", typeString, `""`, "The authority of the ACME server's own certificate; \"\" is the system's.", nil},
		{"challenge", typeString, `"tls-alpn-01"`, "How the names are proven: by TLS on port 443, or by HTTP on every plain listener.", []string{"tls-alpn-01", "http-01"}},
	},
}

var (
	listenerSchema         = listenerSpec.schema()
	listenerTimeoutsSchema = listenerTimeoutsSpec.schema()
	listenerTLSSchema      = listenerTLSSpec.schema()
	clientAuthSchema       = clientAuthSpec.schema()
	tcpSchema              = tcpSpec.schema()
	sniSchema              = sniSpec.schema()
	certificateSchema      = certificateSpec.schema()
	acmeSchema             = acmeSpec.schema()
)
