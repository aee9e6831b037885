use alloc::string::String;
use alloc::vec::Vec;

use crate::{raw, Exchange};

/// What a [`Value`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Null = 1,
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// Text.
    String,
    /// An array or an object, as JSON.
    Json,
}

/// A value of a document or of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Its text: a string as it is, others as JSON.
    pub text: String,
}

fn value(r: Result<(Vec<u8>, i32), i32>) -> Result<Value, i32> {
    let (text, kind) = r?;
    let kind = match kind {
        1 => Kind::Null,
        2 => Kind::Bool,
        3 => Kind::Number,
        4 => Kind::String,
        _ => Kind::Json,
    };
    Ok(Value { kind, text: String::from_utf8_lossy(&text).into_owned() })
}

/// A JSON document that the gateway reads and changes, so that the plugin need not
/// parse it. Paths are those of gjson: `user.name`, `items.0.id`, `items.#.id`.
pub struct Document<'a> {
    source: u32,
    data: &'a [u8],
}

const DATA: u32 = 2;

impl<'a> Document<'a> {
    /// A document of the plugin's own.
    pub fn new(data: &'a [u8]) -> Self {
        Document { source: DATA, data }
    }

    /// The value at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        let d = self.data;
        value(raw::read(|p, n| unsafe {
            raw::json_get(self.source, d.as_ptr(), d.len() as u32, path.as_ptr(), path.len() as u32, p, n)
        }))
        .ok()
    }

    /// The value at a path as text; "" if there is none.
    pub fn text(&self, path: &str) -> String {
        self.get(path).map(|v| v.text).unwrap_or_default()
    }

    /// Whether it is JSON.
    pub fn valid(&self) -> bool {
        unsafe { raw::json_valid(self.source, self.data.as_ptr(), self.data.len() as u32) != 0 }
    }

    /// The document with a value, which is JSON, at a path; None if either is not one. A
    /// body is changed in place, and what is returned is empty.
    pub fn with(&self, path: &str, value: &str) -> Option<Vec<u8>> {
        self.edit(path, value.as_ptr(), value.len() as u32)
    }

    /// The document without the value at a path.
    pub fn without(&self, path: &str) -> Option<Vec<u8>> {
        self.edit(path, core::ptr::null(), raw::NONE)
    }

    fn edit(&self, path: &str, value: *const u8, len: u32) -> Option<Vec<u8>> {
        let d = self.data;
        let set = |p, n| unsafe {
            raw::json_set(self.source, d.as_ptr(), d.len() as u32, path.as_ptr(), path.len() as u32, value, len, p, n)
        };
        if self.source != DATA {
            return (set(core::ptr::null_mut(), 0) >= 0).then(Vec::new);
        }
        raw::read(|p, n| set(p, n).into()).ok().map(|(v, _)| v)
    }
}

/// An XML document as the JSON array of its tokens; None if it is not one.
pub fn xml_tokens(document: &[u8]) -> Option<Vec<u8>> {
    tokens(DATA, document)
}

/// The document of tokens; None if they make none.
pub fn xml_write(tokens: &[u8]) -> Option<Vec<u8>> {
    raw::read(|p, n| unsafe { raw::xml_write(tokens.as_ptr(), tokens.len() as u32, p, n) }.into()).ok().map(|(v, _)| v)
}

fn tokens(source: u32, data: &[u8]) -> Option<Vec<u8>> {
    raw::read(|p, n| unsafe { raw::xml_tokens(source, data.as_ptr(), data.len() as u32, p, n) }.into()).ok().map(|(v, _)| v)
}

/// How values are written into a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As they are.
    Plain,
    /// For HTML.
    Html,
    /// As JSON, where a string has its quotation marks.
    Json,
    /// As a part of a query.
    Query,
    /// For XML.
    Xml,
}

/// A text in which `{{path}}` stands for a value of a JSON document; None if either is
/// not one.
pub fn template(escape: Escape, text: &str, json: &[u8]) -> Option<Vec<u8>> {
    let read = |p, n| unsafe {
        raw::template(escape as u32, text.as_ptr(), text.len() as u32, json.as_ptr(), json.len() as u32, p, n)
    };
    raw::read(|p, n| read(p, n).into()).ok().map(|(v, _)| v)
}

impl Exchange {
    /// The request's body as JSON; it needs [`crate::BUFFER_REQUEST`].
    pub fn request_json(&mut self) -> Document<'static> {
        Document { source: 0, data: &[] }
    }

    /// The response's body as JSON; it needs [`crate::BUFFER_RESPONSE`].
    pub fn response_json(&mut self) -> Document<'static> {
        Document { source: 1, data: &[] }
    }

    /// The request's body, which is XML, as [`xml_tokens`]; it needs
    /// [`crate::BUFFER_REQUEST`].
    pub fn request_xml(&mut self) -> Option<Vec<u8>> {
        tokens(0, &[])
    }

    /// The response's body, which is XML, as [`xml_tokens`]; it needs
    /// [`crate::BUFFER_RESPONSE`].
    pub fn response_xml(&mut self) -> Option<Vec<u8>> {
        tokens(1, &[])
    }

    /// An expression of the configuration, `{"$expr": index}`, for this request.
    pub fn value(&self, index: u32) -> Option<Value> {
        value(raw::read(|p, n| unsafe { raw::value(index, p, n) })).ok()
    }

    /// Who makes the request: an object with subject, consumer and claims. None if
    /// `allow.auth` is not set.
    pub fn auth(&self) -> Option<Vec<u8>> {
        raw::read(|p, n| unsafe { raw::auth_get(p, n) }.into()).ok().map(|(v, _)| v)
    }

    /// Says who makes the request, and reports whether the gateway took it.
    pub fn set_auth(&mut self, identity: &str) -> bool {
        unsafe { raw::auth_set(identity.as_ptr(), identity.len() as u32) == 0 }
    }

    /// Gives a JSON object to later filters, policies and the log, and reports whether
    /// the gateway took it.
    pub fn publish(&mut self, object: &str) -> bool {
        unsafe { raw::publish(object.as_ptr(), object.len() as u32) == 0 }
    }

    /// What a plugin or a policy that `allow.call` names published.
    pub fn published(&self, name: &str) -> Option<Vec<u8>> {
        raw::read(|p, n| unsafe { raw::published(name.as_ptr(), name.len() as u32, p, n) }.into()).ok().map(|(v, _)| v)
    }
}
