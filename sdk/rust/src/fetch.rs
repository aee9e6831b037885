use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::exchange::pairs;
use crate::{raw, Exchange};

/// A request that a filter makes of its own.
#[derive(Clone, Debug, Default)]
pub struct FetchRequest {
    /// GET if it is empty.
    pub method: String,
    /// `upstream://NAME/path` for an upstream of the configuration, or begins with an
    /// origin such as `https://idp.example.com`. `allow.fetch` has to name either.
    pub url: String,
    /// Names and values. A host field is for `upstream://` only.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// For the head of the answer, in milliseconds; 0 is the upstream's own.
    pub timeout_ms: u32,
}

impl FetchRequest {
    /// A request without a body.
    pub fn get(url: impl Into<String>) -> Self {
        FetchRequest { url: url.into(), ..Default::default() }
    }

    /// A request with a body.
    pub fn post(url: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        FetchRequest {
            method: "POST".into(),
            url: url.into(),
            fields: alloc::vec![("content-type".into(), content_type.into())],
            body: body.into(),
            timeout_ms: 0,
        }
    }
}

/// The answer to a request, whatever its status.
#[derive(Clone, Debug)]
pub struct FetchResponse {
    /// The status.
    pub status: u16,
    /// Names, in lower case, and values.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl FetchResponse {
    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|f| f.0.eq_ignore_ascii_case(name)).map(|f| f.1.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// `allow.fetch` does not name it.
    Denied,
    /// Not a request that can be sent.
    Invalid,
    /// No answer; the gateway's log says why.
    Failed,
    /// No answer in time.
    Timeout,
    /// The answer is too large.
    TooLarge,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FetchError::Denied => "allow.fetch does not name it",
            FetchError::Invalid => "not a request that can be sent",
            FetchError::Failed => "no answer; the gateway's log says why",
            FetchError::Timeout => "no answer in time",
            FetchError::TooLarge => "the answer is too large",
        })
    }
}

impl core::error::Error for FetchError {}

impl FetchRequest {
    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        for (name, value) in &self.fields {
            for text in [name, value] {
                head.extend_from_slice(text.as_bytes());
                head.push(0);
            }
        }
        head
    }
}

/// Reads the answer that there is.
fn answer(status: i32) -> Result<FetchResponse, FetchError> {
    match status {
        -1 => return Err(FetchError::Denied),
        -2 => return Err(FetchError::Invalid),
        -4 => return Err(FetchError::Timeout),
        -5 => return Err(FetchError::TooLarge),
        n if n < 0 => return Err(FetchError::Failed),
        _ => {}
    }
    Ok(FetchResponse {
        status: status as u16,
        fields: pairs(&raw::list(|p, n| unsafe { raw::fetch_headers(p, n) })),
        body: raw::text(|p, n| unsafe { raw::fetch_body(p, n) }),
    })
}

impl Exchange {
    /// Sends a request and waits for the whole answer. It goes the way of requests that
    /// are forwarded.
    pub fn fetch(&mut self, q: &FetchRequest) -> Result<FetchResponse, FetchError> {
        let head = q.head();
        answer(unsafe {
            raw::fetch(
                q.method.as_ptr(), q.method.len() as u32, q.url.as_ptr(), q.url.len() as u32, head.as_ptr(), head.len() as u32,
                q.body.as_ptr(), q.body.len() as u32, q.timeout_ms,
            )
        })
    }

    /// Sends up to 16 requests at once and waits for all answers.
    pub fn fetch_many(&mut self, all: &[FetchRequest]) -> Vec<Result<FetchResponse, FetchError>> {
        let mut list = Vec::new();
        for q in all {
            let head = q.head();
            let parts = [q.method.as_bytes(), q.url.as_bytes(), &head, &q.body];
            for p in parts {
                list.extend_from_slice(&(p.len() as u32).to_le_bytes());
            }
            list.extend_from_slice(&q.timeout_ms.to_le_bytes());
            for p in parts {
                list.extend_from_slice(p);
            }
        }
        let n = unsafe { raw::fetch_many(list.as_ptr(), list.len() as u32) };
        (0..all.len() as u32).map(|i| answer(if n < 0 { n } else { unsafe { raw::fetch_answer(i) } })).collect()
    }
}
