/* headgate.h: filters for Headgate in C and C++, as sdk/ABI.md has them.
 *
 * A plugin is one or more hg_filter, which HG_PLUGIN in one of its files names.
 * Everything that a function returns as hg_str is valid until the call into the
 * plugin ends; what has to live longer is copied with hg_keep. A plugin serves one
 * call at a time, but several exchanges may be open at once: what belongs to one of
 * them goes to hg_exchange.state.
 */
#ifndef HEADGATE_H
#define HEADGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types ---- */

/* hg_str is some bytes. p is NULL if there is nothing, which is not the same as
 * nothing in it. */
typedef struct hg_str {
	const char *p;
	size_t n;
} hg_str;

/* hg_verdict is what a filter decides about a request. */
typedef enum hg_verdict {
	HG_REPLIED = 0,  /* the exchange has the filter's own answer; see hg_reply */
	HG_CONTINUE = 1, /* go on */
	HG_FAILED = 2,   /* give the exchange up; see hg_fail */
} hg_verdict;

/* hg_exchange is a request and its response, as one filter sees them. */
typedef struct hg_exchange {
	void *config; /* what configure returned */
	void *state;  /* the filter's own, from request to done */
	const struct hg_filter *filter;
	bool open;
} hg_exchange;

/* What a filter needs, for hg_filter.features. */
enum {
	HG_BUFFER_REQUEST = 1,  /* the request's body as a whole */
	HG_BUFFER_RESPONSE = 2, /* the response's */
	HG_TRAILERS = 4,
};

/* hg_filter is one filter of a plugin. All but name and request may be NULL. */
typedef struct hg_filter {
	const char *name;
	uint32_t features;
	/* configure makes what requests find in hg_exchange.config. It refuses a
	 * configuration with hg_fail, and with returning false. */
	bool (*configure)(hg_str json, void **config);
	hg_verdict (*request)(hg_exchange *x);
	/* response runs if request continued, and there is a response. */
	void (*response)(hg_exchange *x);
	/* done runs once at the end of every exchange, to free its state. */
	void (*done)(hg_exchange *x);
} hg_filter;

/* The kinds of header fields and of bodies. */
typedef enum hg_kind { HG_REQUEST, HG_RESPONSE, HG_REQUEST_TRAILER, HG_RESPONSE_TRAILER } hg_kind;

/* The levels of the log. */
typedef enum hg_level { HG_DEBUG = -1, HG_INFO, HG_WARN, HG_ERROR } hg_level;

/* What functions return when they can't do what they are asked. Those of fetch have
 * meanings of their own, beside them. */
enum {
	HG_ABSENT = -1,    /* there is nothing; of fetch: not granted */
	HG_DENIED = -2,    /* not granted; of fetch: not a request */
	HG_TOO_LARGE = -3, /* too large; of fetch: no connection */
	HG_INVALID = -4,   /* makes no sense; of fetch: no answer in time */
	HG_FETCH_DENIED = -1,
	HG_FETCH_INVALID = -2,
	HG_FETCH_FAILED = -3,
	HG_FETCH_TIMEOUT = -4,
	HG_FETCH_TOO_LARGE = -5,
};

/* ---- The functions of the gateway ---- */

#define HG_IMPORT(module, function) __attribute__((import_module(module), import_name(function))) extern
#define HG_HANDLER(function) HG_IMPORT("http_handler", function)
#define HG_EXTRA(function) HG_IMPORT("headgate_v1", function)

HG_HANDLER("enable_features") uint32_t hg_raw_enable_features(uint32_t features);
HG_HANDLER("get_config") uint32_t hg_raw_get_config(void *buf, uint32_t limit);
HG_HANDLER("log_enabled") uint32_t hg_raw_log_enabled(int32_t level);
HG_HANDLER("log") void hg_raw_log(int32_t level, const void *message, uint32_t len);
HG_HANDLER("get_method") uint32_t hg_raw_get_method(void *buf, uint32_t limit);
HG_HANDLER("set_method") void hg_raw_set_method(const void *p, uint32_t len);
HG_HANDLER("get_uri") uint32_t hg_raw_get_uri(void *buf, uint32_t limit);
HG_HANDLER("set_uri") void hg_raw_set_uri(const void *p, uint32_t len);
HG_HANDLER("get_protocol_version") uint32_t hg_raw_get_protocol_version(void *buf, uint32_t limit);
HG_HANDLER("get_source_addr") uint32_t hg_raw_get_source_addr(void *buf, uint32_t limit);
HG_HANDLER("get_header_names") uint64_t hg_raw_get_header_names(uint32_t kind, void *buf, uint32_t limit);
HG_HANDLER("get_header_values")
uint64_t hg_raw_get_header_values(uint32_t kind, const void *name, uint32_t len, void *buf, uint32_t limit);
HG_HANDLER("set_header_value")
void hg_raw_set_header_value(uint32_t kind, const void *name, uint32_t len, const void *value, uint32_t value_len);
HG_HANDLER("add_header_value")
void hg_raw_add_header_value(uint32_t kind, const void *name, uint32_t len, const void *value, uint32_t value_len);
HG_HANDLER("remove_header") void hg_raw_remove_header(uint32_t kind, const void *name, uint32_t len);
HG_HANDLER("read_body") uint64_t hg_raw_read_body(uint32_t kind, void *buf, uint32_t limit);
HG_HANDLER("write_body") void hg_raw_write_body(uint32_t kind, const void *p, uint32_t len);
HG_HANDLER("get_status_code") uint32_t hg_raw_get_status_code(void);
HG_HANDLER("set_status_code") void hg_raw_set_status_code(uint32_t status);

HG_EXTRA("get_all_headers") uint64_t hg_raw_get_all_headers(uint32_t kind, void *buf, uint32_t limit);
HG_EXTRA("config_id") uint32_t hg_raw_config_id(void);
HG_EXTRA("get_filter") uint32_t hg_raw_get_filter(void *buf, uint32_t limit);
HG_EXTRA("get_request_id") uint32_t hg_raw_get_request_id(void *buf, uint32_t limit);
HG_EXTRA("value") int64_t hg_raw_value(uint32_t index, void *buf, uint32_t limit);
HG_EXTRA("auth_get") int32_t hg_raw_auth_get(void *buf, uint32_t limit);
HG_EXTRA("auth_set") int32_t hg_raw_auth_set(const void *p, uint32_t len);
HG_EXTRA("publish") int32_t hg_raw_publish(const void *p, uint32_t len);
HG_EXTRA("published") int32_t hg_raw_published(const void *name, uint32_t len, void *buf, uint32_t limit);
HG_EXTRA("json_get")
int64_t hg_raw_json_get(uint32_t source, const void *data, uint32_t len, const void *path, uint32_t path_len, void *buf, uint32_t limit);
HG_EXTRA("json_set")
int32_t hg_raw_json_set(uint32_t source, const void *data, uint32_t len, const void *path, uint32_t path_len, const void *value,
	uint32_t value_len, void *buf, uint32_t limit);
HG_EXTRA("json_valid") uint32_t hg_raw_json_valid(uint32_t source, const void *data, uint32_t len);
HG_EXTRA("template")
int32_t hg_raw_template(uint32_t escape, const void *text, uint32_t len, const void *data, uint32_t data_len, void *buf, uint32_t limit);
HG_EXTRA("xml_tokens") int32_t hg_raw_xml_tokens(uint32_t source, const void *data, uint32_t len, void *buf, uint32_t limit);
HG_EXTRA("xml_write") int32_t hg_raw_xml_write(const void *tokens, uint32_t len, void *buf, uint32_t limit);
HG_EXTRA("metric")
int32_t hg_raw_metric(uint32_t op, const void *name, uint32_t len, const void *labels, uint32_t labels_len, double v);
HG_EXTRA("hash") int32_t hg_raw_hash(uint32_t algorithm, const void *data, uint32_t len, void *buf, uint32_t limit);
HG_EXTRA("hmac")
int32_t hg_raw_hmac(uint32_t algorithm, const void *key, uint32_t key_len, const void *data, uint32_t len, void *buf, uint32_t limit);
HG_EXTRA("equal") int32_t hg_raw_equal(const void *a, uint32_t a_len, const void *b, uint32_t b_len);
HG_EXTRA("random") void hg_raw_random(void *buf, uint32_t len);
HG_EXTRA("seal")
int32_t hg_raw_seal(const void *key, uint32_t key_len, const void *data, uint32_t len, const void *extra, uint32_t extra_len, void *buf,
	uint32_t limit);
HG_EXTRA("open")
int32_t hg_raw_open(const void *key, uint32_t key_len, const void *data, uint32_t len, const void *extra, uint32_t extra_len, void *buf,
	uint32_t limit);
HG_EXTRA("jws_verify")
int32_t hg_raw_jws_verify(const void *keys, uint32_t keys_len, const void *token, uint32_t len, const void *algorithms,
	uint32_t algorithms_len, void *buf, uint32_t limit);
HG_EXTRA("jws_sign")
int32_t hg_raw_jws_sign(const void *key, uint32_t key_len, const void *algorithm, uint32_t algorithm_len, const void *payload,
	uint32_t len, void *buf, uint32_t limit);
HG_EXTRA("trace_attribute") int32_t hg_raw_trace_attribute(const void *name, uint32_t len, const void *value, uint32_t value_len);
HG_EXTRA("fail") void hg_raw_fail(const void *message, uint32_t len);
HG_EXTRA("fetch")
int32_t hg_raw_fetch(const void *method, uint32_t method_len, const void *url, uint32_t url_len, const void *fields, uint32_t fields_len,
	const void *body, uint32_t body_len, uint32_t timeout_ms);
HG_EXTRA("fetch_many") int32_t hg_raw_fetch_many(const void *requests, uint32_t len);
HG_EXTRA("fetch_answer") int32_t hg_raw_fetch_answer(uint32_t index);
HG_EXTRA("fetch_headers") uint64_t hg_raw_fetch_headers(void *buf, uint32_t limit);
HG_EXTRA("fetch_body") uint32_t hg_raw_fetch_body(void *buf, uint32_t limit);
HG_EXTRA("state_get")
int32_t hg_raw_state_get(const void *ns, uint32_t ns_len, const void *key, uint32_t key_len, void *buf, uint32_t limit);
HG_EXTRA("state_set")
int32_t hg_raw_state_set(const void *ns, uint32_t ns_len, const void *key, uint32_t key_len, const void *value, uint32_t value_len,
	uint32_t ttl_ms);
HG_EXTRA("state_delete") int32_t hg_raw_state_delete(const void *ns, uint32_t ns_len, const void *key, uint32_t key_len);
HG_EXTRA("state_swap")
int32_t hg_raw_state_swap(const void *ns, uint32_t ns_len, const void *key, uint32_t key_len, const void *old, uint32_t old_len,
	const void *value, uint32_t value_len, uint32_t ttl_ms);
HG_EXTRA("state_take")
int32_t hg_raw_state_take(const void *ns, uint32_t ns_len, const void *key, uint32_t key_len, uint32_t algorithm, uint32_t events,
	uint32_t window_ms, uint32_t burst, uint32_t cost, uint32_t *out);

/* ---- Text and memory ---- */

/* hg_s makes an hg_str of a C string. */
static inline hg_str hg_s(const char *s) {
	hg_str r = {s, s ? strlen(s) : 0};
	return r;
}

static inline hg_str hg_bytes(const void *p, size_t n) {
	hg_str r = {(const char *)p, n};
	return r;
}

static inline bool hg_equal(hg_str a, hg_str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline bool hg_is(hg_str a, const char *b) { return hg_equal(a, hg_s(b)); }
static inline bool hg_starts(hg_str a, const char *prefix) {
	size_t n = strlen(prefix);
	return a.n >= n && memcmp(a.p, prefix, n) == 0;
}

/* A block of memory that lives until the call into the plugin ends. */
typedef struct hg_block {
	struct hg_block *next;
	size_t size, used;
} hg_block;

__attribute__((weak)) hg_block *hg_blocks;

/* hg_alloc returns memory that is freed when the call into the plugin ends. Running
 * out of it ends the instance, as a trap does. */
__attribute__((weak)) void *hg_alloc(size_t n) {
	n = (n + 15) & ~(size_t)15;
	hg_block *b = hg_blocks;
	if (!b || b->size - b->used < n) {
		size_t size = n > 4096 ? n : 4096;
		b = (hg_block *)malloc(sizeof(hg_block) + size);
		if (!b)
			__builtin_trap();
		b->next = hg_blocks;
		b->size = size;
		b->used = 0;
		hg_blocks = b;
	}
	char *p = (char *)(b + 1) + b->used;
	b->used += n;
	return p;
}

/* hg_release frees what hg_alloc gave; the first block stays. */
__attribute__((weak)) void hg_release(void) {
	while (hg_blocks && (hg_blocks->next || hg_blocks->size > 4096)) {
		hg_block *next = hg_blocks->next;
		free(hg_blocks);
		hg_blocks = next;
	}
	if (hg_blocks)
		hg_blocks->used = 0;
}

/* hg_give gives back what the end of the last hg_alloc did not need. */
static inline void hg_give(void *p, size_t had, size_t needs) {
	had = (had + 15) & ~(size_t)15;
	needs = (needs + 15) & ~(size_t)15;
	if (hg_blocks && (char *)p + had == (char *)(hg_blocks + 1) + hg_blocks->used)
		hg_blocks->used -= had - needs;
}

/* hg_keep copies text for longer; free(.p) ends it. A NUL follows it. */
static inline hg_str hg_keep(hg_str s) {
	hg_str r = {NULL, s.n};
	if (!s.p)
		return r;
	char *p = (char *)malloc(s.n + 1);
	if (!p)
		__builtin_trap();
	memcpy(p, s.p, s.n);
	p[s.n] = 0;
	r.p = p;
	return r;
}

/* hg_join puts texts together, for as long as hg_alloc does. A NUL follows it. */
static inline hg_str hg_join(const hg_str *parts, size_t count) {
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		n += parts[i].n;
	char *p = (char *)hg_alloc(n + 1), *at = p;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].n)
			memcpy(at, parts[i].p, parts[i].n);
		at += parts[i].n;
	}
	*at = 0;
	return hg_bytes(p, n);
}

/* hg_number writes a number in decimal. A NUL follows it. */
static inline hg_str hg_number(int64_t v) {
	char *end = (char *)hg_alloc(24) + 23, *p = end;
	*end = 0;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do
		*--p = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*--p = '-';
	return hg_bytes(p, (size_t)(end - p));
}

/* HG_READ calls a function of the gateway with a buffer that is large enough.
 * call uses buf and limit, and gives the length. */
#define HG_READ(result, call)                      \
	do {                                           \
		uint32_t limit = 512;                      \
		for (;;) {                                 \
			char *buf = (char *)hg_alloc(limit);   \
			uint32_t hg_n = (uint32_t)(call);      \
			if (hg_n <= limit) {                   \
				hg_give(buf, limit, hg_n);         \
				(result) = hg_bytes(buf, hg_n);    \
				break;                             \
			}                                      \
			hg_give(buf, limit, 0);                \
			limit = hg_n;                          \
		}                                          \
	} while (0)

/* HG_READ_MAYBE is HG_READ for calls that may give a negative number, which
 * becomes code; result.p is NULL then. */
#define HG_READ_MAYBE(result, code, call)          \
	do {                                           \
		uint32_t limit = 512;                      \
		for (;;) {                                 \
			char *buf = (char *)hg_alloc(limit);   \
			int64_t hg_r = (int64_t)(call);        \
			uint32_t hg_n = (uint32_t)hg_r;        \
			if (hg_r < 0) {                        \
				hg_give(buf, limit, 0);            \
				(code) = (int32_t)hg_r;            \
				(result) = hg_bytes(NULL, 0);      \
				break;                             \
			}                                      \
			if (hg_n <= limit) {                   \
				hg_give(buf, limit, hg_n);         \
				(code) = (int32_t)(hg_r >> 32);    \
				(result) = hg_bytes(buf, hg_n);    \
				break;                             \
			}                                      \
			hg_give(buf, limit, 0);                \
			limit = hg_n;                          \
		}                                          \
	} while (0)

/* ---- Messages ---- */

/* hg_list is texts one after the other, each with a NUL behind it. */
typedef struct hg_list {
	hg_str rest;
} hg_list;

/* hg_next takes the next text of a list. */
static inline bool hg_next(hg_list *l, hg_str *text) {
	if (l->rest.n == 0)
		return false;
	const char *end = (const char *)memchr(l->rest.p, 0, l->rest.n);
	if (!end)
		return false;
	*text = hg_bytes(l->rest.p, (size_t)(end - l->rest.p));
	l->rest.n -= text->n + 1;
	l->rest.p = end + 1;
	return true;
}

/* hg_values are all values of a field. */
static inline hg_list hg_values(hg_kind kind, const char *name) {
	hg_list l;
	uint32_t len = (uint32_t)strlen(name);
	HG_READ(l.rest, hg_raw_get_header_values(kind, name, len, buf, limit));
	return l;
}

/* hg_header is the first value of a field; p is NULL if there is none. */
static inline hg_str hg_header(hg_kind kind, const char *name) {
	hg_str value = {NULL, 0};
	hg_list l = hg_values(kind, name);
	hg_next(&l, &value);
	return value;
}

/* hg_headers are the name, in lower case, and the value of every field in order. */
static inline hg_list hg_headers(hg_kind kind) {
	hg_list l;
	HG_READ(l.rest, hg_raw_get_all_headers(kind, buf, limit));
	return l;
}

static inline void hg_fail(const char *message) { hg_raw_fail(message, (uint32_t)strlen(message)); }

/* hg_clean fails the exchange, and spares the instance, for a value that the
 * gateway would not take. */
static inline bool hg_clean(hg_str value) {
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			hg_fail("a value for a header has a control character");
			return false;
		}
	}
	return true;
}

/* hg_set_header replaces all values of a field, hg_add_header adds one. */
static inline void hg_set_header(hg_kind kind, const char *name, hg_str value) {
	if (hg_clean(value))
		hg_raw_set_header_value(kind, name, (uint32_t)strlen(name), value.p, (uint32_t)value.n);
}
static inline void hg_add_header(hg_kind kind, const char *name, hg_str value) {
	if (hg_clean(value))
		hg_raw_add_header_value(kind, name, (uint32_t)strlen(name), value.p, (uint32_t)value.n);
}
static inline void hg_remove_header(hg_kind kind, const char *name) { hg_raw_remove_header(kind, name, (uint32_t)strlen(name)); }

#define HG_GETTER(name)                      \
	static inline hg_str hg_##name(void) {   \
		hg_str r;                            \
		HG_READ(r, hg_raw_get_##name(buf, limit)); \
		return r;                            \
	}
HG_GETTER(method)
HG_GETTER(uri) /* path and query */
HG_GETTER(protocol_version)
HG_GETTER(source_addr) /* address and port of the client */
HG_GETTER(request_id)

static inline void hg_set_method(hg_str m) { hg_raw_set_method(m.p, (uint32_t)m.n); }
static inline void hg_set_uri(hg_str u) { hg_raw_set_uri(u.p, (uint32_t)u.n); }
static inline uint32_t hg_status(void) { return hg_raw_get_status_code(); }
static inline void hg_set_status(uint32_t status) { hg_raw_set_status_code(status); }

/* hg_body is the body of a message, whose feature the filter has. */
static inline hg_str hg_body(hg_kind kind) {
	size_t size = 4096, n = 0;
	char *p = (char *)hg_alloc(size);
	for (;;) {
		uint64_t r = hg_raw_read_body(kind, p + n, (uint32_t)(size - n));
		n += (uint32_t)r;
		if (r >> 32)
			return hg_bytes(p, n);
		if (n == size) {
			char *more = (char *)hg_alloc(2 * size);
			memcpy(more, p, n);
			p = more;
			size *= 2;
		}
	}
}

/* hg_write_body replaces the body with its first call, and appends after that. */
static inline void hg_write_body(hg_kind kind, hg_str body) { hg_raw_write_body(kind, body.p, (uint32_t)body.n); }

/* hg_reply answers the request: return hg_reply(...). */
static inline hg_verdict hg_reply(uint32_t status, const char *content_type, hg_str body) {
	hg_raw_set_status_code(status);
	if (content_type)
		hg_set_header(HG_RESPONSE, "content-type", hg_s(content_type));
	hg_write_body(HG_RESPONSE, body);
	return HG_REPLIED;
}

static inline void hg_log(hg_level level, hg_str message) {
	if (hg_raw_log_enabled(level))
		hg_raw_log(level, message.p, (uint32_t)message.n);
}

/* ---- Values and documents ---- */

/* The kinds of values. */
enum { HG_NULL = 1, HG_BOOL, HG_NUMBER, HG_STRING, HG_JSON };

/* hg_value is an expression of the configuration for this request; kind, which may
 * be NULL, is one of those above or a negative number. */
static inline hg_str hg_value(uint32_t index, int32_t *kind) {
	hg_str r;
	int32_t code;
	HG_READ_MAYBE(r, code, hg_raw_value(index, buf, limit));
	if (kind)
		*kind = code;
	return r;
}

/* Which document is meant: a body whose feature the filter has, or data. */
typedef enum hg_source { HG_REQUEST_BODY, HG_RESPONSE_BODY, HG_DATA } hg_source;

static inline hg_str hg_json_from(hg_source source, hg_str data, const char *path, int32_t *kind) {
	hg_str r;
	int32_t code;
	uint32_t len = (uint32_t)strlen(path);
	HG_READ_MAYBE(r, code, hg_raw_json_get(source, data.p, (uint32_t)data.n, path, len, buf, limit));
	if (kind)
		*kind = code;
	return r;
}

/* hg_json is the value at a path in a document, a string as it is and others as
 * JSON; p is NULL if there is none. */
static inline hg_str hg_json(hg_str document, const char *path) { return hg_json_from(HG_DATA, document, path, NULL); }

/* hg_json_set is the document with another value, which is JSON, at a path. */
static inline hg_str hg_json_set(hg_str document, const char *path, hg_str value) {
	hg_str r;
	int32_t code;
	uint32_t len = (uint32_t)strlen(path);
	HG_READ_MAYBE(r, code,
		hg_raw_json_set(HG_DATA, document.p, (uint32_t)document.n, path, len, value.p, (uint32_t)value.n, buf, limit));
	(void)code;
	return r;
}

/* hg_json_edit changes a body in place; value.p of NULL removes. 0, or a negative
 * number. */
static inline int32_t hg_json_edit(hg_source body, const char *path, hg_str value) {
	int32_t n = hg_raw_json_set(body, NULL, 0, path, (uint32_t)strlen(path), value.p, value.p ? (uint32_t)value.n : UINT32_MAX, NULL, 0);
	return n < 0 ? n : 0;
}

static inline bool hg_json_valid(hg_source source, hg_str data) { return hg_raw_json_valid(source, data.p, (uint32_t)data.n); }

/* hg_xml is an XML document as the JSON array of its tokens, which hg_json reads;
 * hg_xml_write is the opposite. p is NULL for what is not one. */
static inline hg_str hg_xml(hg_source source, hg_str data) {
	hg_str r;
	int32_t code;
	HG_READ_MAYBE(r, code, hg_raw_xml_tokens(source, data.p, (uint32_t)data.n, buf, limit));
	(void)code;
	return r;
}
static inline hg_str hg_xml_write(hg_str tokens) {
	hg_str r;
	int32_t code;
	HG_READ_MAYBE(r, code, hg_raw_xml_write(tokens.p, (uint32_t)tokens.n, buf, limit));
	(void)code;
	return r;
}

/* How values are written into a template. */
enum { HG_PLAIN, HG_AS_HTML, HG_AS_JSON, HG_AS_QUERY, HG_AS_XML };

/* hg_template is a text in which {{path}} stands for a value of a JSON document; p is
 * NULL if either is not one. */
static inline hg_str hg_template(uint32_t escape, hg_str text, hg_str document) {
	hg_str r;
	int32_t code;
	HG_READ_MAYBE(r, code,
		hg_raw_template(escape, text.p, (uint32_t)text.n, document.p, (uint32_t)document.n, buf, limit));
	(void)code;
	return r;
}

/* ---- Who the caller is, and what filters tell each other ---- */

/* hg_auth is a JSON object with subject, consumer and claims; p is NULL, and code a
 * negative number, if allow.auth is not granted. */
static inline hg_str hg_auth(int32_t *code) {
	hg_str r;
	int32_t c;
	HG_READ_MAYBE(r, c, hg_raw_auth_get(buf, limit));
	if (code)
		*code = c;
	return r;
}
static inline int32_t hg_set_auth(hg_str identity) { return hg_raw_auth_set(identity.p, (uint32_t)identity.n); }

/* hg_publish gives a JSON object to later filters and the log. */
static inline int32_t hg_publish(hg_str object) { return hg_raw_publish(object.p, (uint32_t)object.n); }

/* hg_published is what another filter published. */
static inline hg_str hg_published(const char *name, int32_t *code) {
	hg_str r;
	int32_t c;
	uint32_t len = (uint32_t)strlen(name);
	HG_READ_MAYBE(r, c, hg_raw_published(name, len, buf, limit));
	if (code)
		*code = c;
	return r;
}

/* ---- Requests of the filter's own ---- */

/* hg_fetch_request is a request; all but url may be left out. fields are names and
 * values with a NUL behind each. */
typedef struct hg_fetch_request {
	hg_str method, url, fields, body;
	uint32_t timeout_ms;
} hg_fetch_request;

/* hg_fetch sends a request and waits for the answer. It returns the status, or one
 * of HG_FETCH_*. The answer is there until the next one. */
static inline int32_t hg_fetch(const hg_fetch_request *q) {
	return hg_raw_fetch(q->method.p, (uint32_t)q->method.n, q->url.p, (uint32_t)q->url.n, q->fields.p, (uint32_t)q->fields.n, q->body.p,
		(uint32_t)q->body.n, q->timeout_ms);
}
static inline hg_list hg_fetch_headers(void) {
	hg_list l;
	HG_READ(l.rest, hg_raw_fetch_headers(buf, limit));
	return l;
}
static inline hg_str hg_fetch_body(void) {
	hg_str r;
	HG_READ(r, hg_raw_fetch_body(buf, limit));
	return r;
}

/* hg_fetch_many sends up to 16 requests at once and waits for all answers. It returns
 * how many there are, or a negative number; hg_fetch_answer makes one of them that of
 * hg_fetch_headers and hg_fetch_body, and returns what hg_fetch would. */
static inline int32_t hg_fetch_many(const hg_fetch_request *q, size_t count) {
	hg_str *parts = (hg_str *)hg_alloc(5 * count * sizeof(*parts));
	uint32_t *sizes = (uint32_t *)hg_alloc(5 * count * sizeof(*sizes));
	for (size_t i = 0; i < count; i++, q++) {
		hg_str *p = parts + 5 * i;
		uint32_t *n = sizes + 5 * i;
		p[1] = q->method;
		p[2] = q->url;
		p[3] = q->fields;
		p[4] = q->body;
		for (int k = 0; k < 4; k++)
			n[k] = (uint32_t)p[k + 1].n;
		n[4] = q->timeout_ms;
		p[0] = hg_bytes(n, 5 * sizeof(*n));
	}
	hg_str all = hg_join(parts, 5 * count);
	return hg_raw_fetch_many(all.p, (uint32_t)all.n);
}
static inline int32_t hg_fetch_answer(uint32_t index) { return hg_raw_fetch_answer(index); }

/* ---- Cryptography ---- */

/* The hashes. */
enum { HG_SHA256, HG_SHA384, HG_SHA512, HG_SHA1, HG_MD5 };

/* hg_hash and hg_hmac are raw bytes; p is NULL for a hash that there is not. */
static inline hg_str hg_hash(uint32_t algorithm, hg_str data) {
	hg_str r;
	int32_t code;
	HG_READ_MAYBE(r, code, hg_raw_hash(algorithm, data.p, (uint32_t)data.n, buf, limit));
	(void)code;
	return r;
}
static inline hg_str hg_hmac(uint32_t algorithm, hg_str key, hg_str data) {
	hg_str r;
	int32_t code;
	HG_READ_MAYBE(r, code, hg_raw_hmac(algorithm, key.p, (uint32_t)key.n, data.p, (uint32_t)data.n, buf, limit));
	(void)code;
	return r;
}

/* hg_same compares in a time that does not tell where they differ. */
static inline bool hg_same(hg_str a, hg_str b) { return hg_raw_equal(a.p, (uint32_t)a.n, b.p, (uint32_t)b.n) == 1; }

/* hg_random fills memory with what nobody can guess. */
static inline void hg_random(void *p, size_t n) { hg_raw_random(p, (uint32_t)n); }

/* hg_seal is AES-GCM with a key of 16, 24 or 32 bytes: nonce, ciphertext and tag.
 * hg_open is the opposite; p is NULL if it was not sealed with this key and extra. */
static inline hg_str hg_seal(hg_str key, hg_str data, hg_str extra) {
	hg_str r;
	int32_t code;
	HG_READ_MAYBE(r, code,
		hg_raw_seal(key.p, (uint32_t)key.n, data.p, (uint32_t)data.n, extra.p, (uint32_t)extra.n, buf, limit));
	(void)code;
	return r;
}
static inline hg_str hg_open(hg_str key, hg_str data, hg_str extra) {
	hg_str r;
	int32_t code;
	HG_READ_MAYBE(r, code,
		hg_raw_open(key.p, (uint32_t)key.n, data.p, (uint32_t)data.n, extra.p, (uint32_t)extra.n, buf, limit));
	(void)code;
	return r;
}

/* hg_verify is the payload of a token that one of the keys signed, a JWK set, a JWK or
 * PEM; p is NULL if none did. algorithms are names with commas between them. */
static inline hg_str hg_verify(hg_str keys, hg_str token, const char *algorithms) {
	hg_str r, a = hg_s(algorithms);
	int32_t code;
	HG_READ_MAYBE(r, code,
		hg_raw_jws_verify(keys.p, (uint32_t)keys.n, token.p, (uint32_t)token.n, a.p, (uint32_t)a.n, buf, limit));
	(void)code;
	return r;
}

/* hg_sign makes a token; p is NULL for a key or an algorithm that there is not. */
static inline hg_str hg_sign(hg_str key, const char *algorithm, hg_str payload) {
	hg_str r, a = hg_s(algorithm);
	int32_t code;
	HG_READ_MAYBE(r, code,
		hg_raw_jws_sign(key.p, (uint32_t)key.n, a.p, (uint32_t)a.n, payload.p, (uint32_t)payload.n, buf, limit));
	(void)code;
	return r;
}

/* ---- What is seen from outside ---- */

/* What hg_metric does. */
enum { HG_COUNT, HG_SET, HG_CHANGE, HG_OBSERVE };

/* hg_metric adds to a counter, sets or changes a gauge, or puts seconds into a
 * histogram. labels are names and values with a NUL behind each. 0, or a negative
 * number. */
static inline int32_t hg_metric(uint32_t op, const char *name, hg_str labels, double v) {
	return hg_raw_metric(op, name, (uint32_t)strlen(name), labels.p, (uint32_t)labels.n, v);
}

/* hg_attribute notes a fact about the exchange for the access log: 0, or a negative
 * number. */
static inline int32_t hg_attribute(const char *name, hg_str value) {
	return hg_raw_trace_attribute(name, (uint32_t)strlen(name), value.p, (uint32_t)value.n);
}

/* ---- State ---- */

/* hg_get is the value of a key; p is NULL if there is none, and code, which may be
 * NULL, HG_ABSENT or HG_DENIED. */
static inline hg_str hg_get(const char *ns, hg_str key, int32_t *code) {
	hg_str r;
	int32_t c;
	uint32_t len = (uint32_t)strlen(ns);
	HG_READ_MAYBE(r, c, hg_raw_state_get(ns, len, key.p, (uint32_t)key.n, buf, limit));
	if (code)
		*code = c;
	return r;
}

/* hg_set gives a key a value for some milliseconds; 0: as long as there is room. It
 * returns 0, HG_DENIED or HG_TOO_LARGE. */
static inline int32_t hg_set(const char *ns, hg_str key, hg_str value, uint32_t ttl_ms) {
	return hg_raw_state_set(ns, (uint32_t)strlen(ns), key.p, (uint32_t)key.n, value.p, (uint32_t)value.n, ttl_ms);
}

/* hg_delete forgets a key; 1 if it was there. */
static inline int32_t hg_delete(const char *ns, hg_str key) {
	return hg_raw_state_delete(ns, (uint32_t)strlen(ns), key.p, (uint32_t)key.n);
}

/* hg_swap is hg_set for a key that has the value old, or none if old.p is NULL: 1 if
 * it had. Of many that ask at once, one gets 1. */
static inline int32_t hg_swap(const char *ns, hg_str key, hg_str old, hg_str value, uint32_t ttl_ms) {
	return hg_raw_state_swap(ns, (uint32_t)strlen(ns), key.p, (uint32_t)key.n, old.p, old.p ? (uint32_t)old.n : UINT32_MAX, value.p,
		(uint32_t)value.n, ttl_ms);
}

/* The algorithms of hg_limit. */
enum { HG_GCRA, HG_FIXED_WINDOW, HG_SLIDING_WINDOW };

/* hg_limit is a number of events in a span of time. */
typedef struct hg_limit {
	uint32_t algorithm, events, window_ms, burst;
} hg_limit;

/* hg_taken is what became of an event. */
typedef struct hg_taken {
	uint32_t remaining, wait_ms, reset_ms;
} hg_taken;

/* hg_take counts an event of a cost: 1 if the limit allows it, else 0, or a negative
 * number. */
static inline int32_t hg_take(const char *ns, hg_str key, hg_limit l, uint32_t cost, hg_taken *taken) {
	uint32_t out[3] = {0, 0, 0};
	int32_t n = hg_raw_state_take(ns, (uint32_t)strlen(ns), key.p, (uint32_t)key.n, l.algorithm, l.events, l.window_ms, l.burst, cost, out);
	if (taken) {
		taken->remaining = out[0];
		taken->wait_ms = out[1];
		taken->reset_ms = out[2];
	}
	return n;
}

/* ---- The module's side ---- */

/* Configurations and open exchanges, by their numbers. */
typedef struct hg_configured {
	const hg_filter *filter;
	void *config;
} hg_configured;

__attribute__((weak)) hg_configured *hg_configs;
__attribute__((weak)) uint32_t hg_config_count;
__attribute__((weak)) hg_exchange **hg_exchanges;
__attribute__((weak)) uint32_t hg_exchange_count;

static inline const hg_filter *hg_choose(const hg_filter *const *filters, size_t count, hg_str name) {
	if (name.n == 0 && count == 1)
		return filters[0];
	for (size_t i = 0; i < count; i++)
		if (hg_is(name, filters[i]->name))
			return filters[i];
	return NULL;
}

static inline uint32_t hg_configure(const hg_filter *const *filters, size_t count, uint32_t id) {
	hg_str name, json;
	HG_READ(name, hg_raw_get_filter(buf, limit));
	HG_READ(json, hg_raw_get_config(buf, limit));
	const hg_filter *f = hg_choose(filters, count, name);
	uint32_t refused = 1;
	if (!f) {
		hg_fail("the module has no such filter; say which with filter");
	} else {
		void *config = NULL;
		if (!f->configure || f->configure(json, &config)) {
			if (id >= hg_config_count) {
				uint32_t n = 2 * id + 4;
				hg_configured *more = (hg_configured *)realloc(hg_configs, n * sizeof(*more));
				if (!more)
					__builtin_trap();
				memset(more + hg_config_count, 0, (n - hg_config_count) * sizeof(*more));
				hg_configs = more;
				hg_config_count = n;
			}
			hg_configs[id].filter = f;
			hg_configs[id].config = config;
			if (f->features)
				hg_raw_enable_features(f->features);
			refused = 0;
		}
	}
	hg_release();
	return refused;
}

/* hg_begin takes a number for an exchange. */
static inline uint32_t hg_begin(void) {
	uint32_t i = 0;
	while (i < hg_exchange_count && hg_exchanges[i]->open)
		i++;
	if (i == hg_exchange_count) {
		hg_exchange **more = (hg_exchange **)realloc(hg_exchanges, (i + 1) * sizeof(*more));
		hg_exchange *x = (hg_exchange *)malloc(sizeof(*x));
		if (!more || !x)
			__builtin_trap();
		hg_exchanges = more;
		hg_exchanges[i] = x;
		hg_exchange_count = i + 1;
	}
	hg_configured *c = &hg_configs[hg_raw_config_id()];
	hg_exchanges[i]->filter = c->filter;
	hg_exchanges[i]->config = c->config;
	hg_exchanges[i]->state = NULL;
	hg_exchanges[i]->open = true;
	return i;
}

static inline void hg_end(uint32_t number) {
	hg_exchange *x = hg_exchanges[number];
	if (x->filter->done)
		x->filter->done(x);
	x->open = false;
	hg_release();
}

static inline uint64_t hg_handle_request(void) {
	uint32_t number = hg_begin();
	hg_exchange *x = hg_exchanges[number];
	hg_verdict v = x->filter->request(x);
	if (v == HG_CONTINUE && (x->filter->response || x->state)) {
		hg_release();
		return (uint64_t)number << 32 | 1;
	}
	if (v == HG_FAILED)
		hg_fail("no reason given"); /* the first reason counts */
	hg_end(number);
	return v == HG_CONTINUE ? 3 : 0;
}

static inline void hg_handle_response(uint32_t number) {
	hg_exchange *x = hg_exchanges[number];
	if (x->filter->response)
		x->filter->response(x);
	hg_end(number);
}

/* HG_PLUGIN names the filters of a plugin: HG_PLUGIN(&one, &two) in one file. */
#define HG_EXPORT(function) __attribute__((export_name(function), used))
#ifdef __cplusplus
#define HG_C extern "C"
#else
#define HG_C
#endif
#define HG_PLUGIN(...)                                                                                                   \
	static const hg_filter *const hg_filters[] = {__VA_ARGS__};                                                         \
	HG_C HG_EXPORT("headgate_configure") uint32_t hg_export_configure(uint32_t id);                                     \
	HG_C HG_EXPORT("handle_request") uint64_t hg_export_request(void);                                                  \
	HG_C HG_EXPORT("handle_response") void hg_export_response(uint32_t number, uint32_t is_error);                      \
	HG_C HG_EXPORT("headgate_done") void hg_export_done(uint32_t number);                                               \
	uint32_t hg_export_configure(uint32_t id) {                                                                         \
		return hg_configure(hg_filters, sizeof(hg_filters) / sizeof(*hg_filters), id);                                  \
	}                                                                                                                   \
	uint64_t hg_export_request(void) { return hg_handle_request(); }                                                    \
	void hg_export_response(uint32_t number, uint32_t is_error) {                                                       \
		(void)is_error;                                                                                                 \
		hg_handle_response(number);                                                                                     \
	}                                                                                                                   \
	void hg_export_done(uint32_t number) { hg_end(number); }                                                            \
	typedef int hg_plugin_is_there

#ifdef __cplusplus
}
#endif

#endif
