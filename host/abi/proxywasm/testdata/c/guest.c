// A proxy-wasm plugin in plain C, against the text of the ABI, without a library.
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

IMPORT(proxy_get_header_map_value) uint32_t get_value(uint32_t map, const char *k, uint32_t kn, char **v, uint32_t *vn);
IMPORT(proxy_replace_header_map_value) uint32_t replace_value(uint32_t map, const char *k, uint32_t kn, const char *v, uint32_t vn);
IMPORT(proxy_add_header_map_value) uint32_t add_value(uint32_t map, const char *k, uint32_t kn, const char *v, uint32_t vn);
IMPORT(proxy_remove_header_map_value) uint32_t remove_value(uint32_t map, const char *k, uint32_t kn);
IMPORT(proxy_get_buffer_bytes) uint32_t get_buffer(uint32_t which, uint32_t start, uint32_t n, char **p, uint32_t *pn);
IMPORT(proxy_set_buffer_bytes) uint32_t set_buffer(uint32_t which, uint32_t start, uint32_t n, const char *p, uint32_t pn);
IMPORT(proxy_send_local_response) uint32_t reply(uint32_t code, const char *d, uint32_t dn, const char *b, uint32_t bn, const char *h, uint32_t hn, int32_t grpc);
IMPORT(proxy_log) uint32_t say(uint32_t level, const char *p, uint32_t n);

#define TEXT(s) (s), sizeof(s) - 1

// Memory for one callback at a time: what the host gives is used at once.
static char memory[1 << 20];
static uint32_t used;

EXPORT(malloc) void *allocate(uint32_t n) {
	n = (n + 15) & ~15u;
	if (used + n > sizeof memory) {
		if (n > sizeof memory)
			return 0;
		used = 0;
	}
	void *p = memory + used;
	used += n;
	return p;
}

EXPORT(proxy_abi_version_0_2_0) void version(void) {}
EXPORT(proxy_on_context_create) void on_context_create(uint32_t id, uint32_t parent) { used = 0; }
EXPORT(proxy_on_vm_start) uint32_t on_vm_start(uint32_t id, uint32_t n) { return 1; }

static char mode;

EXPORT(proxy_on_configure) uint32_t on_configure(uint32_t id, uint32_t n) {
	char *p;
	uint32_t size;
	if (n == 0 || get_buffer(7, 0, n, &p, &size) != 0)
		return 0;
	mode = p[0];
	return 1;
}

EXPORT(proxy_on_request_headers) uint32_t on_request_headers(uint32_t id, uint32_t n, uint32_t end) {
	char *a, *b;
	uint32_t an = 0, bn = 0;
	switch (mode) {
	case 'r': // reply
		reply(403, TEXT("details"), TEXT("no entry\n"), TEXT("\1\0\0\0\5\0\0\0\7\0\0\0x-why\0because\0"), -1);
		return 1;
	case 'p': // panic
		__builtin_trap();
	}
	if (get_value(0, TEXT(":path"), &a, &an) == 0 && get_value(0, TEXT("x-in"), &b, &bn) == 0) {
		char *both = allocate(an + bn + 1);
		for (uint32_t i = 0; i < an; i++)
			both[i] = a[i];
		both[an] = ' ';
		for (uint32_t i = 0; i < bn; i++)
			both[an + 1 + i] = b[i];
		replace_value(0, TEXT("x-c"), both, an + bn + 1);
		remove_value(0, TEXT("x-gone"));
		say(2, TEXT("a request"));
	} else {
		replace_value(0, TEXT("x-seen"), TEXT("yes"));
	}
	return 0;
}

EXPORT(proxy_on_request_body) uint32_t on_request_body(uint32_t id, uint32_t n, uint32_t end) {
	if (mode != 'b')
		return 0;
	if (!end)
		return 1;
	char *p;
	uint32_t size;
	if (get_buffer(0, 0, n, &p, &size) != 0)
		return 0;
	for (uint32_t i = 0; i < size; i++)
		if (p[i] >= 'a' && p[i] <= 'z')
			p[i] -= 32;
	set_buffer(0, 0, n, p, size);
	return 0;
}

EXPORT(proxy_on_response_headers) uint32_t on_response_headers(uint32_t id, uint32_t n, uint32_t end) {
	if (mode != 's') // a benchmark
		add_value(2, TEXT("x-from"), TEXT("c"));
	return 0;
}
