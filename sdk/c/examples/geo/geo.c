/* geo tags requests with the country of the client's network, from a table in the
 * module. */
#include "../../headgate.h"

/* network is an IPv4 network and its country. */
typedef struct network {
	uint32_t address;
	uint8_t bits;
	char country[3];
} network;

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* networks is in the order of addresses, the larger network first, so that the last
 * one that fits is the smallest. A table of your own comes from a registry's file. */
static const network networks[] = {
	{V4(10, 0, 0, 0), 8, "ZZ"},
	{V4(192, 0, 2, 0), 24, "DE"},
	{V4(192, 0, 2, 128), 25, "FR"},
	{V4(198, 51, 100, 0), 24, "US"},
	{V4(203, 0, 113, 0), 24, "AU"},
};

/* parse reads an address such as 192.0.2.1 or 192.0.2.1:80. */
static bool parse(hg_str text, uint32_t *address) {
	uint32_t part = 0, digits = 0, dots = 0;
	*address = 0;
	for (size_t i = 0; i <= text.n; i++) {
		char c = i < text.n ? text.p[i] : ':';
		if (c >= '0' && c <= '9' && digits < 3) {
			part = part * 10 + (uint32_t)(c - '0');
			digits++;
			continue;
		}
		if (digits == 0 || part > 255 || (c != '.' && c != ':'))
			return false;
		*address = *address << 8 | part;
		if (c == ':')
			return dots == 3;
		part = digits = 0;
		if (++dots > 3)
			return false;
	}
	return false;
}

/* country returns the country of an address, or NULL. */
static const char *country(uint32_t address) {
	size_t low = 0, high = sizeof(networks) / sizeof(*networks);
	while (low < high) { /* the first network behind the address */
		size_t middle = (low + high) / 2;
		if (networks[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	while (low-- > 0) {
		const network *n = &networks[low];
		if (n->bits == 0 || (n->address ^ address) >> (32 - n->bits) == 0)
			return n->country;
	}
	return NULL;
}

/* settings are what the filter block says. */
typedef struct settings {
	hg_str header, unknown, deny;
} settings;

static bool configure(hg_str json, void **config) {
	settings *s = (settings *)calloc(1, sizeof(*s));
	if (!s)
		return false;
	hg_str header = hg_json(json, "header"), unknown = hg_json(json, "unknown");
	s->header = hg_keep(header.p ? header : hg_s("x-country"));
	s->unknown = hg_keep(unknown.p ? unknown : hg_s("unknown"));
	s->deny = hg_keep(hg_json(json, "deny"));
	*config = s;
	return true;
}

static hg_verdict request(hg_exchange *x) {
	const settings *s = (const settings *)x->config;
	uint32_t address;
	const char *found = parse(hg_source_addr(), &address) ? country(address) : NULL;
	hg_str code = found ? hg_s(found) : s->unknown;
	hg_set_header(HG_REQUEST, s->header.p, code); /* in place of the client's own */
	for (size_t i = 0; s->deny.p; i++) {
		hg_str denied = hg_json(s->deny, hg_number((int64_t)i).p);
		if (!denied.p)
			break;
		if (hg_equal(denied, code))
			return hg_reply(403, "text/plain", hg_s("not here\n"));
	}
	return HG_CONTINUE;
}

static const hg_filter geo = {.name = "geo", .configure = configure, .request = request};

HG_PLUGIN(&geo);
