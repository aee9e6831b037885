use alloc::string::String;
use alloc::vec::Vec;

use crate::raw;

/// The hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA-1, for what asks for it.
    Sha1,
    /// MD5, for what asks for it.
    Md5,
}

impl Hash {
    /// The hash of data.
    pub fn of(self, data: &[u8]) -> Vec<u8> {
        done(raw::read(|p, n| unsafe { raw::hash(self as u32, data.as_ptr(), data.len() as u32, p, n) }.into())).unwrap_or_default()
    }

    /// HMAC of data with a key (RFC 2104).
    pub fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        done(raw::read(|p, n| {
            unsafe { raw::hmac(self as u32, key.as_ptr(), key.len() as u32, data.as_ptr(), data.len() as u32, p, n) }.into()
        }))
        .unwrap_or_default()
    }
}

fn done(r: Result<(Vec<u8>, i32), i32>) -> Option<Vec<u8>> {
    r.ok().map(|(v, _)| v)
}

/// Compares in a time that does not tell where they differ.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    unsafe { raw::equal(a.as_ptr(), a.len() as u32, b.as_ptr(), b.len() as u32) == 1 }
}

/// Fills bytes with what nobody can guess.
pub fn random(bytes: &mut [u8]) {
    unsafe { raw::random(bytes.as_mut_ptr(), bytes.len() as u32) }
}

/// AES-GCM with a key of 16, 24 or 32 bytes: nonce, ciphertext and tag. None for
/// another key.
pub fn seal(key: &[u8], data: &[u8], extra: &[u8]) -> Option<Vec<u8>> {
    done(raw::read(|p, n| {
        unsafe { raw::seal(key.as_ptr(), key.len() as u32, data.as_ptr(), data.len() as u32, extra.as_ptr(), extra.len() as u32, p, n) }.into()
    }))
}

/// The opposite of [`seal`]; None if it was not sealed with this key and `extra`.
pub fn open(key: &[u8], data: &[u8], extra: &[u8]) -> Option<Vec<u8>> {
    done(raw::read(|p, n| {
        unsafe { raw::open(key.as_ptr(), key.len() as u32, data.as_ptr(), data.len() as u32, extra.as_ptr(), extra.len() as u32, p, n) }.into()
    }))
}

/// The payload of a token (JWS) that one of the keys signed: a JWK set, a JWK or PEM.
/// `algorithms` are names with commas between them; "" is all with a public key.
pub fn verify(keys: &str, token: &str, algorithms: &str) -> Option<Vec<u8>> {
    let (k, t, a) = (keys, token, algorithms);
    done(raw::read(|p, n| {
        unsafe { raw::jws_verify(k.as_ptr(), k.len() as u32, t.as_ptr(), t.len() as u32, a.as_ptr(), a.len() as u32, p, n) }.into()
    }))
}

/// A token (JWS) with a payload; None for a key or an algorithm that there is not.
pub fn sign(key: &str, algorithm: &str, payload: &[u8]) -> Option<String> {
    let (k, a, t) = (key, algorithm, payload);
    let token = done(raw::read(|p, n| {
        unsafe { raw::jws_sign(k.as_ptr(), k.len() as u32, a.as_ptr(), a.len() as u32, t.as_ptr(), t.len() as u32, p, n) }.into()
    }))?;
    String::from_utf8(token).ok()
}
