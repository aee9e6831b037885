use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::any::Any;

use crate::{raw, State, Verdict};

/// A request and its response, as one filter sees them.
#[derive(Default)]
pub struct Exchange {
    state: Option<Box<dyn Any>>,
}

/// The levels of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For who looks for a mistake.
    Debug = -1,
    /// What happened.
    Info,
    /// What should not happen.
    Warn,
    /// What someone has to look at.
    Error,
}

fn string(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

const REQUEST: u32 = 0;
const RESPONSE: u32 = 1;

impl Exchange {
    /// Keeps something for the response.
    pub fn keep<T: 'static>(&mut self, state: T) {
        self.state = Some(Box::new(state));
    }

    /// Returns what was kept, if it was of that type.
    pub fn kept<T: 'static>(&self) -> Option<&T> {
        self.state.as_ref()?.downcast_ref()
    }

    /// The fields of the request.
    pub fn request(&self) -> Fields {
        Fields { kind: REQUEST }
    }

    /// The fields of the response. Those that are set before there is one are set on
    /// it when it comes.
    pub fn response(&self) -> Fields {
        Fields { kind: RESPONSE }
    }

    /// The trailers of the request; they need [`crate::TRAILERS`].
    pub fn request_trailers(&self) -> Fields {
        Fields { kind: 2 }
    }

    /// The trailers of the response.
    pub fn response_trailers(&self) -> Fields {
        Fields { kind: 3 }
    }

    /// The request's method.
    pub fn method(&self) -> String {
        string(raw::text(|p, n| unsafe { raw::get_method(p, n) }))
    }

    /// Changes the method.
    pub fn set_method(&mut self, method: &str) {
        unsafe { raw::set_method(method.as_ptr(), method.len() as u32) }
    }

    /// Path and query.
    pub fn uri(&self) -> String {
        string(raw::text(|p, n| unsafe { raw::get_uri(p, n) }))
    }

    /// Changes path and query; the route stays.
    pub fn set_uri(&mut self, uri: &str) {
        unsafe { raw::set_uri(uri.as_ptr(), uri.len() as u32) }
    }

    /// The version, such as HTTP/1.1.
    pub fn protocol(&self) -> String {
        string(raw::text(|p, n| unsafe { raw::get_protocol_version(p, n) }))
    }

    /// Address and port of the client.
    pub fn source(&self) -> String {
        string(raw::text(|p, n| unsafe { raw::get_source_addr(p, n) }))
    }

    /// The id of the request, as in the gateway's log.
    pub fn request_id(&self) -> String {
        string(raw::text(|p, n| unsafe { raw::get_request_id(p, n) }))
    }

    /// The status of the response.
    pub fn status(&self) -> u16 {
        unsafe { raw::get_status_code() as u16 }
    }

    /// Changes the status.
    pub fn set_status(&mut self, status: u16) {
        unsafe { raw::set_status_code(status.into()) }
    }

    /// The request's body; it needs [`crate::BUFFER_REQUEST`].
    pub fn request_body(&self) -> Vec<u8> {
        body(REQUEST)
    }

    /// Replaces the request's body. Call it once.
    pub fn set_request_body(&mut self, body: &[u8]) {
        unsafe { raw::write_body(REQUEST, body.as_ptr(), body.len() as u32) }
    }

    /// The response's body; it needs [`crate::BUFFER_RESPONSE`].
    pub fn response_body(&self) -> Vec<u8> {
        body(RESPONSE)
    }

    /// Replaces the response's body. Call it once.
    pub fn set_response_body(&mut self, body: &[u8]) {
        unsafe { raw::write_body(RESPONSE, body.as_ptr(), body.len() as u32) }
    }

    /// Answers the request.
    pub fn reply(&mut self, status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Verdict {
        self.set_status(status);
        if !content_type.is_empty() {
            self.response().set("content-type", content_type);
        }
        self.set_response_body(body.as_ref());
        Verdict::Replied
    }

    /// Gives the exchange up; the plugin's on_error decides what the client gets. The
    /// reason goes to the log.
    pub fn fail(&mut self, reason: impl AsRef<str>) -> Verdict {
        fail(reason.as_ref());
        Verdict::Failed
    }

    /// Writes to the gateway's log, with the request's id.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        log(level, message.as_ref());
    }

    /// Notes a fact about the exchange for the access log, and reports whether the
    /// gateway took it.
    pub fn attribute(&self, name: &str, value: &str) -> bool {
        unsafe { raw::trace_attribute(name.as_ptr(), name.len() as u32, value.as_ptr(), value.len() as u32) == 0 }
    }

    /// A namespace of what plugins keep in the gateway. `allow.state` has to name it.
    pub fn namespace<'a>(&self, name: &'a str) -> State<'a> {
        State { name }
    }
}

pub(crate) fn log(level: Level, message: &str) {
    if unsafe { raw::log_enabled(level as i32) } != 0 {
        unsafe { raw::log(level as i32, message.as_ptr(), message.len() as u32) }
    }
}

pub(crate) fn fail(reason: &str) {
    unsafe { raw::fail(reason.as_ptr(), reason.len() as u32) }
}

fn body(kind: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    loop {
        let spare = out.spare_capacity_mut();
        let r = unsafe { raw::read_body(kind, spare.as_mut_ptr().cast(), spare.len() as u32) };
        // The gateway wrote that many bytes.
        unsafe { out.set_len(out.len() + r as u32 as usize) };
        if r >> 32 != 0 {
            return out;
        }
        out.reserve(4096.max(out.len()));
    }
}

/// The fields of one message. Names ignore case. A value that is not UTF-8 is read
/// with replacement characters.
#[derive(Clone, Copy)]
pub struct Fields {
    kind: u32,
}

impl Fields {
    fn list(&self, name: &str) -> Vec<u8> {
        raw::list(|p, n| unsafe { raw::get_header_values(self.kind, name.as_ptr(), name.len() as u32, p, n) })
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<String> {
        raw::split(&self.list(name)).next().map(|v| string(v.to_vec()))
    }

    /// Whether there is a field.
    pub fn has(&self, name: &str) -> bool {
        !self.list(name).is_empty()
    }

    /// All values of a field.
    pub fn values(&self, name: &str) -> Vec<String> {
        raw::split(&self.list(name)).map(|v| string(v.to_vec())).collect()
    }

    /// The names of the fields, in lower case, each once.
    pub fn names(&self) -> Vec<String> {
        let list = raw::list(|p, n| unsafe { raw::get_header_names(self.kind, p, n) });
        raw::split(&list).map(|v| string(v.to_vec())).collect()
    }

    /// Name, in lower case, and value of every field in order.
    pub fn all(&self) -> Vec<(String, String)> {
        let list = raw::list(|p, n| unsafe { raw::get_all_headers(self.kind, p, n) });
        pairs(&list)
    }

    /// Replaces all values of a field. A value with control characters fails the
    /// exchange.
    pub fn set(&self, name: &str, value: impl AsRef<str>) {
        if let Some(v) = clean(name, value.as_ref()) {
            unsafe { raw::set_header_value(self.kind, name.as_ptr(), name.len() as u32, v.as_ptr(), v.len() as u32) }
        }
    }

    /// Adds a value to a field.
    pub fn add(&self, name: &str, value: impl AsRef<str>) {
        if let Some(v) = clean(name, value.as_ref()) {
            unsafe { raw::add_header_value(self.kind, name.as_ptr(), name.len() as u32, v.as_ptr(), v.len() as u32) }
        }
    }

    /// Removes a field.
    pub fn remove(&self, name: &str) {
        unsafe { raw::remove_header(self.kind, name.as_ptr(), name.len() as u32) }
    }
}

/// Fails the exchange, and spares the instance, for a value that the gateway would
/// not take.
fn clean<'a>(name: &str, value: &'a str) -> Option<&'a str> {
    if value.bytes().any(|c| c < 0x20 && c != b'\t' || c == 0x7f) {
        let mut reason = "the value for header ".to_string();
        reason.push_str(name);
        reason.push_str(" has a control character");
        fail(&reason);
        return None;
    }
    Some(value)
}

pub(crate) fn pairs(list: &[u8]) -> Vec<(String, String)> {
    let mut texts = raw::split(list).map(|t| string(t.to_vec()));
    let mut out = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        out.push((name, value));
    }
    out
}
