//! The functions of the gateway, as sdk/ABI.md lists them, and how their results are
//! read.

use alloc::vec::Vec;

#[link(wasm_import_module = "http_handler")]
unsafe extern "C" {
    pub fn enable_features(features: u32) -> u32;
    pub fn get_config(buf: *mut u8, limit: u32) -> u32;
    pub fn log_enabled(level: i32) -> u32;
    pub fn log(level: i32, message: *const u8, len: u32);
    pub fn get_method(buf: *mut u8, limit: u32) -> u32;
    pub fn set_method(p: *const u8, len: u32);
    pub fn get_uri(buf: *mut u8, limit: u32) -> u32;
    pub fn set_uri(p: *const u8, len: u32);
    pub fn get_protocol_version(buf: *mut u8, limit: u32) -> u32;
    pub fn get_source_addr(buf: *mut u8, limit: u32) -> u32;
    pub fn get_header_names(kind: u32, buf: *mut u8, limit: u32) -> u64;
    pub fn get_header_values(kind: u32, name: *const u8, len: u32, buf: *mut u8, limit: u32) -> u64;
    pub fn set_header_value(kind: u32, name: *const u8, len: u32, value: *const u8, value_len: u32);
    pub fn add_header_value(kind: u32, name: *const u8, len: u32, value: *const u8, value_len: u32);
    pub fn remove_header(kind: u32, name: *const u8, len: u32);
    pub fn read_body(kind: u32, buf: *mut u8, limit: u32) -> u64;
    pub fn write_body(kind: u32, p: *const u8, len: u32);
    pub fn get_status_code() -> u32;
    pub fn set_status_code(status: u32);
}

#[link(wasm_import_module = "headgate_v1")]
unsafe extern "C" {
    pub fn get_all_headers(kind: u32, buf: *mut u8, limit: u32) -> u64;
    pub fn config_id() -> u32;
    pub fn get_filter(buf: *mut u8, limit: u32) -> u32;
    pub fn get_request_id(buf: *mut u8, limit: u32) -> u32;
    pub fn value(index: u32, buf: *mut u8, limit: u32) -> i64;
    pub fn auth_get(buf: *mut u8, limit: u32) -> i32;
    pub fn auth_set(p: *const u8, len: u32) -> i32;
    pub fn publish(p: *const u8, len: u32) -> i32;
    pub fn published(name: *const u8, len: u32, buf: *mut u8, limit: u32) -> i32;
    pub fn json_get(source: u32, data: *const u8, len: u32, path: *const u8, path_len: u32, buf: *mut u8, limit: u32) -> i64;
    pub fn json_set(
        source: u32, data: *const u8, len: u32, path: *const u8, path_len: u32, value: *const u8, value_len: u32, buf: *mut u8, limit: u32,
    ) -> i32;
    pub fn json_valid(source: u32, data: *const u8, len: u32) -> u32;
    pub fn template(escape: u32, text: *const u8, len: u32, data: *const u8, data_len: u32, buf: *mut u8, limit: u32) -> i32;
    pub fn xml_tokens(source: u32, data: *const u8, len: u32, buf: *mut u8, limit: u32) -> i32;
    pub fn xml_write(tokens: *const u8, len: u32, buf: *mut u8, limit: u32) -> i32;
    pub fn metric(op: u32, name: *const u8, len: u32, labels: *const u8, labels_len: u32, v: f64) -> i32;
    pub fn hash(algorithm: u32, data: *const u8, len: u32, buf: *mut u8, limit: u32) -> i32;
    pub fn hmac(algorithm: u32, key: *const u8, key_len: u32, data: *const u8, len: u32, buf: *mut u8, limit: u32) -> i32;
    pub fn equal(a: *const u8, a_len: u32, b: *const u8, b_len: u32) -> i32;
    pub fn random(buf: *mut u8, len: u32);
    pub fn seal(
        key: *const u8, key_len: u32, data: *const u8, len: u32, extra: *const u8, extra_len: u32, buf: *mut u8, limit: u32,
    ) -> i32;
    pub fn open(
        key: *const u8, key_len: u32, data: *const u8, len: u32, extra: *const u8, extra_len: u32, buf: *mut u8, limit: u32,
    ) -> i32;
    pub fn jws_verify(
        keys: *const u8, keys_len: u32, token: *const u8, len: u32, algorithms: *const u8, algorithms_len: u32, buf: *mut u8, limit: u32,
    ) -> i32;
    pub fn jws_sign(
        key: *const u8, key_len: u32, algorithm: *const u8, algorithm_len: u32, payload: *const u8, len: u32, buf: *mut u8, limit: u32,
    ) -> i32;
    pub fn trace_attribute(name: *const u8, len: u32, value: *const u8, value_len: u32) -> i32;
    pub fn fail(message: *const u8, len: u32);
    pub fn fetch(
        method: *const u8, method_len: u32, url: *const u8, url_len: u32, fields: *const u8, fields_len: u32, body: *const u8, body_len: u32,
        timeout_ms: u32,
    ) -> i32;
    pub fn fetch_many(requests: *const u8, len: u32) -> i32;
    pub fn fetch_answer(index: u32) -> i32;
    pub fn fetch_headers(buf: *mut u8, limit: u32) -> u64;
    pub fn fetch_body(buf: *mut u8, limit: u32) -> u32;
    pub fn state_get(ns: *const u8, ns_len: u32, key: *const u8, key_len: u32, buf: *mut u8, limit: u32) -> i32;
    pub fn state_set(ns: *const u8, ns_len: u32, key: *const u8, key_len: u32, value: *const u8, value_len: u32, ttl_ms: u32) -> i32;
    pub fn state_delete(ns: *const u8, ns_len: u32, key: *const u8, key_len: u32) -> i32;
    pub fn state_swap(
        ns: *const u8, ns_len: u32, key: *const u8, key_len: u32, old: *const u8, old_len: u32, value: *const u8, value_len: u32, ttl_ms: u32,
    ) -> i32;
    pub fn state_take(
        ns: *const u8, ns_len: u32, key: *const u8, key_len: u32, algorithm: u32, events: u32, window_ms: u32, burst: u32, cost: u32,
        out: *mut u32,
    ) -> i32;
}

/// What a length says when there is nothing.
pub const NONE: u32 = u32::MAX;

/// Calls f with a buffer that is large enough; the low half of its result is the
/// length. A negative result is the error.
pub fn read(mut f: impl FnMut(*mut u8, u32) -> i64) -> Result<(Vec<u8>, i32), i32> {
    let mut buf = Vec::with_capacity(256);
    loop {
        let r = f(buf.as_mut_ptr(), buf.capacity() as u32);
        if r < 0 {
            return Err(r as i32);
        }
        let n = r as u32 as usize;
        if n <= buf.capacity() {
            // The gateway wrote the first n bytes.
            unsafe { buf.set_len(n) };
            return Ok((buf, (r >> 32) as i32));
        }
        buf = Vec::with_capacity(n);
    }
}

/// Is read for functions that always have a result.
pub fn text(mut f: impl FnMut(*mut u8, u32) -> u32) -> Vec<u8> {
    read(|p, n| f(p, n) as i64).map(|(v, _)| v).unwrap_or_default()
}

/// Is read for lists: texts with a NUL behind each.
pub fn list(mut f: impl FnMut(*mut u8, u32) -> u64) -> Vec<u8> {
    text(|p, n| f(p, n) as u32)
}

/// The texts of a list.
pub fn split(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = list.strip_suffix(&[0]);
    whole.into_iter().flat_map(|l| l.split(|b| *b == 0))
}
