// An http-wasm handler in plain C: it reads two header fields and sets one.
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("http_handler"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

IMPORT(get_header_values) uint64_t get_values(uint32_t kind, const char *name, uint32_t n, char *buf, uint32_t limit);
IMPORT(set_header_value) void set_value(uint32_t kind, const char *name, uint32_t n, const char *v, uint32_t vn);

static char buf[4096];

EXPORT(handle_request) uint64_t request(void) {
	uint64_t host = get_values(0, "host", 4, buf, sizeof buf);
	uint64_t agent = get_values(0, "user-agent", 10, buf, sizeof buf);
	if (host + agent != 0)
		set_value(0, "x-seen", 6, "yes", 3);
	return 1;
}

EXPORT(handle_response) void response(uint32_t ctx, uint32_t failed) {}
