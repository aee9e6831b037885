// The functions of the gateway, as sdk/ABI.md lists them, and how their results are
// read.

@external("http_handler", "enable_features") export declare function enable_features(features: u32): u32;
@external("http_handler", "get_config") export declare function get_config(buf: usize, limit: u32): u32;
@external("http_handler", "log_enabled") export declare function log_enabled(level: i32): u32;
@external("http_handler", "log") export declare function log(level: i32, message: usize, len: u32): void;
@external("http_handler", "get_method") export declare function get_method(buf: usize, limit: u32): u32;
@external("http_handler", "set_method") export declare function set_method(p: usize, len: u32): void;
@external("http_handler", "get_uri") export declare function get_uri(buf: usize, limit: u32): u32;
@external("http_handler", "set_uri") export declare function set_uri(p: usize, len: u32): void;
@external("http_handler", "get_protocol_version") export declare function get_protocol_version(buf: usize, limit: u32): u32;
@external("http_handler", "get_source_addr") export declare function get_source_addr(buf: usize, limit: u32): u32;
@external("http_handler", "get_header_names") export declare function get_header_names(kind: u32, buf: usize, limit: u32): u64;
@external("http_handler", "get_header_values")
export declare function get_header_values(kind: u32, name: usize, len: u32, buf: usize, limit: u32): u64;
@external("http_handler", "set_header_value")
export declare function set_header_value(kind: u32, name: usize, len: u32, value: usize, valueLen: u32): void;
@external("http_handler", "add_header_value")
export declare function add_header_value(kind: u32, name: usize, len: u32, value: usize, valueLen: u32): void;
@external("http_handler", "remove_header") export declare function remove_header(kind: u32, name: usize, len: u32): void;
@external("http_handler", "read_body") export declare function read_body(kind: u32, buf: usize, limit: u32): u64;
@external("http_handler", "write_body") export declare function write_body(kind: u32, p: usize, len: u32): void;
@external("http_handler", "get_status_code") export declare function get_status_code(): u32;
@external("http_handler", "set_status_code") export declare function set_status_code(status: u32): void;

@external("headgate_v1", "get_all_headers") export declare function get_all_headers(kind: u32, buf: usize, limit: u32): u64;
@external("headgate_v1", "config_id") export declare function config_id(): u32;
@external("headgate_v1", "get_filter") export declare function get_filter(buf: usize, limit: u32): u32;
@external("headgate_v1", "get_request_id") export declare function get_request_id(buf: usize, limit: u32): u32;
@external("headgate_v1", "value") export declare function value(index: u32, buf: usize, limit: u32): i64;
@external("headgate_v1", "auth_get") export declare function auth_get(buf: usize, limit: u32): i32;
@external("headgate_v1", "auth_set") export declare function auth_set(p: usize, len: u32): i32;
@external("headgate_v1", "publish") export declare function publish(p: usize, len: u32): i32;
@external("headgate_v1", "published") export declare function published(name: usize, len: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "json_get")
export declare function json_get(source: u32, data: usize, len: u32, path: usize, pathLen: u32, buf: usize, limit: u32): i64;
@external("headgate_v1", "json_set")
export declare function json_set(source: u32, data: usize, len: u32, path: usize, pathLen: u32, value: usize, valueLen: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "json_valid") export declare function json_valid(source: u32, data: usize, len: u32): u32;
@external("headgate_v1", "template")
export declare function template(escape: u32, text: usize, len: u32, data: usize, dataLen: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "xml_tokens")
export declare function xml_tokens(source: u32, data: usize, len: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "xml_write") export declare function xml_write(tokens: usize, len: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "metric")
export declare function metric(op: u32, name: usize, len: u32, labels: usize, labelsLen: u32, v: f64): i32;
@external("headgate_v1", "hash") export declare function hash(algorithm: u32, data: usize, len: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "hmac")
export declare function hmac(algorithm: u32, key: usize, keyLen: u32, data: usize, len: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "equal") export declare function equal(a: usize, aLen: u32, b: usize, bLen: u32): i32;
@external("headgate_v1", "random") export declare function random(buf: usize, len: u32): void;
@external("headgate_v1", "seal")
export declare function seal(key: usize, keyLen: u32, data: usize, len: u32, extra: usize, extraLen: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "open")
export declare function open(key: usize, keyLen: u32, data: usize, len: u32, extra: usize, extraLen: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "jws_verify")
export declare function jws_verify(keys: usize, keysLen: u32, token: usize, len: u32, algorithms: usize, algorithmsLen: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "jws_sign")
export declare function jws_sign(key: usize, keyLen: u32, algorithm: usize, algorithmLen: u32, payload: usize, len: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "trace_attribute")
export declare function trace_attribute(name: usize, len: u32, value: usize, valueLen: u32): i32;
@external("headgate_v1", "fail") export declare function fail(message: usize, len: u32): void;
@external("headgate_v1", "fetch")
export declare function fetch(method: usize, methodLen: u32, url: usize, urlLen: u32, fields: usize, fieldsLen: u32, body: usize, len: u32, timeoutMs: u32): i32;
@external("headgate_v1", "fetch_many") export declare function fetch_many(requests: usize, len: u32): i32;
@external("headgate_v1", "fetch_answer") export declare function fetch_answer(index: u32): i32;
@external("headgate_v1", "fetch_headers") export declare function fetch_headers(buf: usize, limit: u32): u64;
@external("headgate_v1", "fetch_body") export declare function fetch_body(buf: usize, limit: u32): u32;
@external("headgate_v1", "state_get")
export declare function state_get(ns: usize, nsLen: u32, key: usize, keyLen: u32, buf: usize, limit: u32): i32;
@external("headgate_v1", "state_set")
export declare function state_set(ns: usize, nsLen: u32, key: usize, keyLen: u32, value: usize, len: u32, ttlMs: u32): i32;
@external("headgate_v1", "state_delete")
export declare function state_delete(ns: usize, nsLen: u32, key: usize, keyLen: u32): i32;
@external("headgate_v1", "state_swap")
export declare function state_swap(ns: usize, nsLen: u32, key: usize, keyLen: u32, old: usize, oldLen: u32, value: usize, len: u32, ttlMs: u32): i32;
@external("headgate_v1", "state_take")
export declare function state_take(ns: usize, nsLen: u32, key: usize, keyLen: u32, algorithm: u32, events: u32, windowMs: u32, burst: u32, cost: u32, out: usize): i32;

/** What a length says when there is nothing. */
export const NONE: u32 = u32.MAX_VALUE;

/** Bytes of a text. */
export function bytes(s: string): ArrayBuffer {
  return String.UTF8.encode(s);
}

export function at(b: ArrayBuffer): usize {
  return changetype<usize>(b);
}

export function len(b: ArrayBuffer): u32 {
  return <u32>b.byteLength;
}

export function text(b: ArrayBuffer): string {
  return String.UTF8.decode(b);
}

// scratch takes what the gateway writes. Calls into an instance never overlap.
export let scratch: ArrayBuffer = new ArrayBuffer(1024);

/** Makes scratch large enough for n bytes, and reports whether it was not. */
export function grow(n: u32): bool {
  if (n <= len(scratch)) return false;
  scratch = new ArrayBuffer(<i32>n);
  return true;
}

/** The first n bytes of scratch. */
export function taken(n: u32): ArrayBuffer {
  return scratch.slice(0, <i32>n);
}

/** Texts with a NUL behind each. */
export function split(n: u32): string[] {
  const out: string[] = [];
  let from: u32 = 0;
  const p = at(scratch);
  for (let i: u32 = 0; i < n; i++) {
    if (load<u8>(p + i) != 0) continue;
    out.push(String.UTF8.decodeUnsafe(p + from, i - from));
    from = i + 1;
  }
  return out;
}
