/* conformance is the plugin that sdk/conformance plays exchanges against, in C: what
 * it does in each mode, README.md of that folder says. */
#include "../headgate.h"

typedef struct mode {
	const char *name;
	hg_verdict (*request)(hg_exchange *x);
	void (*response)(hg_exchange *x);
} mode;

#define S(text) hg_bytes(text, sizeof(text) - 1)
#define JOIN(...) hg_join((hg_str[]){__VA_ARGS__}, sizeof((hg_str[]){__VA_ARGS__}) / sizeof(hg_str))

/* append adds to a text that hg_alloc gave. */
static void append(hg_str *to, hg_str more) { *to = JOIN(*to, more); }

static hg_verdict headers(hg_exchange *x) {
	(void)x;
	hg_str joined = S(""), all = S(""), value;
	hg_list l = hg_values(HG_REQUEST, "X-Multi");
	for (bool first = true; hg_next(&l, &value); first = false) {
		if (!first)
			append(&joined, S("|"));
		append(&joined, value);
	}
	hg_set_header(HG_REQUEST, "x-joined", joined);
	hg_str has = JOIN(hg_s(hg_header(HG_REQUEST, "x-empty").p ? "true " : "false "), hg_s(hg_header(HG_REQUEST, "x-none").p ? "true" : "false"));
	hg_set_header(HG_REQUEST, "x-has", has);
	l = hg_headers(HG_REQUEST);
	hg_str name;
	while (hg_next(&l, &name) && hg_next(&l, &value)) {
		if (all.n)
			append(&all, S(" "));
		append(&all, JOIN(name, S("="), value));
	}
	hg_set_header(HG_REQUEST, "x-all", all);
	hg_set_header(HG_REQUEST, "x-set", S("new"));
	hg_add_header(HG_REQUEST, "x-add", S("one"));
	hg_add_header(HG_REQUEST, "x-add", S("two"));
	hg_remove_header(HG_REQUEST, "x-remove");
	hg_set_header(HG_RESPONSE, "x-early", S("set before there was a response"));
	return HG_CONTINUE;
}

static void headers_response(hg_exchange *x) {
	(void)x;
	hg_set_header(HG_RESPONSE, "x-status", hg_number(hg_status()));
	hg_remove_header(HG_RESPONSE, "x-remove");
}

static hg_verdict message(hg_exchange *x) {
	(void)x;
	hg_str text = JOIN(hg_method(), S(" "), hg_uri(), S(" "), hg_protocol_version(), S(" "), hg_source_addr(), S(" "), hg_request_id());
	hg_set_header(HG_REQUEST, "x-message", text);
	hg_set_method(S("PUT"));
	hg_set_uri(S("/changed?x=%20"));
	return HG_CONTINUE;
}

static void message_response(hg_exchange *x) {
	(void)x;
	hg_set_status(299);
}

static hg_verdict reply(hg_exchange *x) {
	(void)x;
	hg_set_header(HG_RESPONSE, "x-why", S("because"));
	return hg_reply(418, "text/plain", S("no\0 way\n"));
}

static hg_verdict keep(hg_exchange *x) {
	x->state = (void *)hg_keep(hg_uri()).p;
	return HG_CONTINUE;
}

static void keep_response(hg_exchange *x) { hg_set_header(HG_RESPONSE, "x-path", hg_s((const char *)x->state)); }

static hg_str upper(hg_str s) {
	char *p = (char *)hg_alloc(s.n + 1);
	for (size_t i = 0; i < s.n; i++)
		p[i] = s.p[i] >= 'a' && s.p[i] <= 'z' ? (char)(s.p[i] - 32) : s.p[i];
	return hg_bytes(p, s.n);
}

static hg_verdict body(hg_exchange *x) {
	(void)x;
	hg_write_body(HG_REQUEST, upper(hg_body(HG_REQUEST)));
	return HG_CONTINUE;
}

static void body_response(hg_exchange *x) {
	(void)x;
	hg_write_body(HG_RESPONSE, JOIN(upper(hg_body(HG_RESPONSE)), S("!")));
}

static hg_verdict logs(hg_exchange *x) {
	(void)x;
	for (int i = 0; i < 4; i++)
		hg_log((hg_level)(HG_DEBUG + i), JOIN(S("line "), hg_number(i)));
	return HG_CONTINUE;
}

static hg_verdict fail(hg_exchange *x) {
	(void)x;
	hg_fail("on purpose");
	return HG_FAILED;
}

static hg_verdict fetch(hg_exchange *x) {
	(void)x;
	hg_fetch_request q = {
		.method = hg_header(HG_REQUEST, "x-method"),
		.url = hg_header(HG_REQUEST, "x-url"),
		.fields = S("content-type\0text/plain\0"),
		.body = S("a body"),
		.timeout_ms = 1000,
	};
	int32_t status = hg_fetch(&q);
	switch (status) {
	case HG_FETCH_DENIED: return hg_reply(502, "text/plain", S("denied"));
	case HG_FETCH_INVALID: return hg_reply(502, "text/plain", S("invalid"));
	case HG_FETCH_FAILED: return hg_reply(502, "text/plain", S("failed"));
	case HG_FETCH_TIMEOUT: return hg_reply(502, "text/plain", S("timeout"));
	case HG_FETCH_TOO_LARGE: return hg_reply(502, "text/plain", S("large"));
	}
	hg_list l = hg_fetch_headers();
	hg_str name, value, answer = S("");
	while (hg_next(&l, &name) && hg_next(&l, &value)) {
		if (hg_is(name, "x-answer")) {
			answer = value;
			break;
		}
	}
	return hg_reply((uint32_t)status, "text/plain", JOIN(answer, S(" "), hg_fetch_body()));
}

static void say(hg_str *said, hg_str what, int32_t code, bool ok) {
	if (said->n)
		append(said, S("\n"));
	const char *how = code == HG_DENIED ? " denied" : code == HG_TOO_LARGE ? " large" : ok ? " true" : " false";
	append(said, JOIN(what, hg_s(how)));
}

static hg_verdict keys(hg_exchange *x) {
	(void)x;
	hg_str named = hg_header(HG_REQUEST, "x-namespace"), said = S(""), k = S("k"), none = {NULL, 0}, v;
	const char *ns = JOIN(named).p; /* with a NUL behind it */
	int32_t n;
	v = hg_get(ns, k, &n);
	say(&said, JOIN(S("get "), v), n, v.p);
	n = hg_swap(ns, k, none, S("1"), 60000);
	say(&said, S("create"), n, n == 1);
	n = hg_swap(ns, k, none, S("2"), 60000);
	say(&said, S("create"), n, n == 1);
	n = hg_swap(ns, k, S("0"), S("2"), 60000);
	say(&said, S("swap"), n, n == 1);
	n = hg_swap(ns, k, S("1"), S("2"), 60000);
	say(&said, S("swap"), n, n == 1);
	v = hg_get(ns, k, &n);
	say(&said, JOIN(S("get "), v), n, v.p);
	n = hg_delete(ns, k);
	say(&said, S("delete"), n, n >= 0);
	char *large = (char *)hg_alloc(2000);
	memset(large, 'k', 2000);
	n = hg_set(ns, hg_bytes(large, 2000), none, 0);
	say(&said, S("set"), n, n == 0);
	n = hg_set(ns, S("kept"), S("a value"), 0);
	say(&said, S("set"), n, n == 0);
	return hg_reply(200, "text/plain", said);
}

static hg_verdict rate(hg_exchange *x) {
	(void)x;
	hg_limit l = {HG_FIXED_WINDOW, 2, 60000, 0};
	hg_taken t;
	int32_t n = hg_take("rates", S("k"), l, 1, &t);
	if (n < 0)
		return HG_FAILED;
	hg_str text = JOIN(hg_s(n ? "true " : "false "), hg_number(t.remaining), S(" "), hg_number(t.wait_ms), S(" "), hg_number(t.reset_ms));
	return hg_reply(200, "text/plain", text);
}

static hg_verdict document(hg_exchange *x) {
	(void)x;
	static const char *const paths[] = {"a.b.0", "a.b.1", "a.b.2", "a.b.3", "a.b", "a.c"};
	hg_str d = S("{\"a\": {\"b\": [1, \"two\", null, true]}}"), said = S("");
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		append(&said, JOIN(hg_s(i ? "\n" : ""), hg_s(paths[i]), S(" "), hg_json(d, paths[i])));
	return hg_reply(200, "text/plain", said);
}

static hg_str hex(hg_str s) {
	char *p = (char *)hg_alloc(2 * s.n);
	for (size_t i = 0; i < s.n; i++) {
		p[2 * i] = "0123456789abcdef"[(unsigned char)s.p[i] >> 4];
		p[2 * i + 1] = "0123456789abcdef"[s.p[i] & 15];
	}
	return hg_bytes(p, 2 * s.n);
}

static hg_verdict more(hg_exchange *x) {
	(void)x;
	hg_str key = S("0123456789abcdef"), sealed = hg_seal(key, S("secret"), S("with"));
	hg_fetch_request both[] = {{.url = S("upstream://app/one")}, {.url = S("upstream://app/two")}};
	hg_str answers = S("");
	int32_t n = hg_fetch_many(both, 2);
	for (int32_t i = 0; i < n; i++) {
		hg_str status = hg_number(hg_fetch_answer((uint32_t)i));
		append(&answers, JOIN(S("\n"), status, S(" "), hg_fetch_body()));
	}
	bool noted = hg_attribute("tier", S("gold")) == 0, counted = hg_metric(HG_COUNT, "seen", S("tier\0gold\0"), 1) == 0;
	hg_str text = JOIN(S("hash "), hex(hg_hash(HG_SHA256, S("abc"))), S("\nhmac "), hex(hg_hmac(HG_SHA256, key, S("abc"))), S("\nopen "),
		hg_open(key, sealed, S("with")), S("\nother "), hg_s(hg_open(key, sealed, S("out")).p ? "opened" : "nothing"), S("\nsame "),
		hg_s(hg_same(key, key) ? "true" : "false"), S("\ntemplate "), hg_template(HG_AS_HTML, S("<b>{{a}}</b>"), S("{\"a\": \"<\"}")),
		S("\nnoted "), hg_s(noted ? "true" : "false"), S(" counted "), hg_s(counted ? "true" : "false"), answers);
	return hg_reply(200, "text/plain", text);
}

static hg_verdict grow(hg_exchange *x) {
	(void)x;
	int64_t n = 0;
	for (int i = 0; i < 64; i++) {
		hg_str one = hg_number(i);
		char *p = (char *)hg_alloc(one.n * 1024);
		for (int j = 0; j < 1024; j++)
			memcpy(p + (size_t)j * one.n, one.p, one.n);
		n += (int64_t)(one.n * 1024);
	}
	hg_set_header(HG_REQUEST, "x-grown", hg_number(n));
	return HG_CONTINUE;
}

static const mode modes[] = {
	{"headers", headers, headers_response}, {"message", message, message_response}, {"reply", reply, NULL},
	{"state", keep, keep_response}, {"body", body, body_response}, {"log", logs, NULL}, {"fail", fail, NULL},
	{"fetch", fetch, NULL}, {"keys", keys, NULL}, {"rate", rate, NULL}, {"json", document, NULL}, {"grow", grow, NULL},
	{"more", more, NULL},
};

static bool configure(hg_str json, void **config) {
	hg_str name = hg_json(json, "mode");
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (hg_is(name, modes[i].name)) {
			*config = (void *)&modes[i];
			return true;
		}
	}
	hg_fail(JOIN(S("there is no mode "), name).p);
	return false;
}

static hg_verdict request(hg_exchange *x) { return ((const mode *)x->config)->request(x); }

static void response(hg_exchange *x) {
	const mode *m = (const mode *)x->config;
	if (m->response)
		m->response(x);
}

static void done(hg_exchange *x) { free(x->state); }

static const hg_filter conformance = {
	.name = "conformance", .configure = configure, .request = request, .response = response, .done = done};
static const hg_filter buffered = {
	.name = "buffered",
	.features = HG_BUFFER_REQUEST | HG_BUFFER_RESPONSE,
	.configure = configure,
	.request = request,
	.response = response,
	.done = done,
};

HG_PLUGIN(&conformance, &buffered);
