// What plugins do, for the benchmark of what fuel costs.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))

static volatile uint32_t sum;
static uint8_t blob[8192];
static uint32_t table[256];

__attribute__((constructor)) static void fill(void)
{
	for (size_t i = 0; i < sizeof blob; i++)
		blob[i] = "a header field, and another one; "[i % 33];
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		table[i] = c;
	}
}

EXPORT("crc32") void do_crc32(void)
{
	uint32_t c = ~0u;
	for (size_t i = 0; i < sizeof blob; i++)
		c = table[(c ^ blob[i]) & 255] ^ c >> 8;
	sum += ~c;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

EXPORT("sort") void do_sort(void)
{
	static uint32_t list[1000];
	uint32_t x = 1;
	for (int i = 0; i < 1000; i++)
		list[i] = x = x * 1664525 + 1013904223;
	qsort(list, 1000, sizeof *list, compare);
	sum += list[0];
}

static const char document[] =
	"{\"id\":12345,\"name\":\"some user\",\"roles\":[\"reader\",\"writer\",\"admin\"],"
	"\"limits\":{\"minute\":600,\"day\":100000},\"address\":{\"street\":\"Example Road 1\"}}";

static const char *value(const char *p)
{
	switch (*p) {
	case '{':
	case '[':
		while (*p != '}' && *p != ']') {
			p = value(p + 1);
			if (*p == ':')
				p = value(p + 1);
		}
		return p + 1;
	case '"':
		for (p++; *p != '"'; p++)
			if (*p == '\\')
				p++;
		sum++;
		return p + 1;
	}
	while (*p >= '0' && *p <= '9')
		p++;
	return p;
}

EXPORT("json") void do_json(void) { sum += value(document) - document; }

static uint32_t fib_of(uint32_t n) { return n < 2 ? n : fib_of(n - 1) + fib_of(n - 2); }

EXPORT("fib") void do_fib(void)
{
	static volatile uint32_t n = 18;
	sum += fib_of(n);
}

EXPORT("matrix") void do_matrix(void)
{
	static double a[24][24], b[24][24], c[24][24];
	for (int i = 0; i < 24; i++)
		for (int j = 0; j < 24; j++)
			a[i][j] = i + j, b[i][j] = i - j;
	for (int i = 0; i < 24; i++)
		for (int j = 0; j < 24; j++) {
			double s = 0;
			for (int k = 0; k < 24; k++)
				s += a[i][k] * b[k][j];
			c[i][j] = s;
		}
	sum += (uint32_t)c[3][4];
}

EXPORT("base64") void do_base64(void)
{
	static char out[sizeof blob / 3 * 4 + 4];
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *o = out;
	for (size_t i = 0; i + 2 < sizeof blob; i += 3) {
		uint32_t v = blob[i] << 16 | blob[i + 1] << 8 | blob[i + 2];
		*o++ = digits[v >> 18];
		*o++ = digits[v >> 12 & 63];
		*o++ = digits[v >> 6 & 63];
		*o++ = digits[v & 63];
	}
	sum += out[17];
}

EXPORT("headers") void do_headers(void)
{
	static char buf[256];
	strcpy(buf, "Accept: */*\r\nUser-Agent: curl/8\r\nX-A: one, two, three\r\nCookie: a=b; c=d\r\nHost: example.com\r\n");
	for (char *p = buf; *p;) {
		char *end = strstr(p, "\r\n"), *colon = memchr(p, ':', end - p);
		for (char *q = p; q < colon; q++)
			if (*q >= 'A' && *q <= 'Z')
				*q += 32;
		char *copy = malloc(end - colon);
		memcpy(copy, colon + 1, end - colon - 1);
		copy[end - colon - 1] = 0;
		sum += strlen(copy) + (strncmp(p, "cookie", 6) == 0);
		free(copy);
		p = end + 2;
	}
}

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

EXPORT("sha256") void do_sha256(void)
{
	static uint32_t k[64], w[64], h[8];
	for (int i = 0; i < 64; i++)
		k[i] = i * 2654435761u;
	for (size_t at = 0; at < sizeof blob; at += 64) {
		uint32_t s[8];
		for (int i = 0; i < 16; i++)
			memcpy(&w[i], blob + at + 4 * i, 4);
		for (int i = 16; i < 64; i++) {
			uint32_t a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
			uint32_t b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
			w[i] = w[i - 16] + a + w[i - 7] + b;
		}
		memcpy(s, h, sizeof s);
		for (int i = 0; i < 64; i++) {
			uint32_t a = turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25);
			uint32_t t = s[7] + a + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
			uint32_t b = turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22);
			uint32_t m = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
			s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + t;
			s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = t + b + m;
		}
		for (int i = 0; i < 8; i++)
			h[i] += s[i];
	}
	sum += h[0];
}
