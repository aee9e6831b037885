use alloc::vec::Vec;
use core::fmt;

use crate::raw;

/// A namespace of what plugins keep in the gateway, for their later exchanges and for
/// other plugins.
#[derive(Clone, Copy)]
pub struct State<'a> {
    pub(crate) name: &'a str,
}

/// Why state can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// `allow.state` does not name the namespace.
    Denied,
    /// The key or the value is too large.
    TooLarge,
    /// Not a limit that can be kept.
    Invalid,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateError::Denied => "allow.state does not name the namespace",
            StateError::TooLarge => "the key or the value is too large",
            StateError::Invalid => "not a limit that can be kept",
        })
    }
}

impl core::error::Error for StateError {}

fn check(n: i32) -> Result<i32, StateError> {
    match n {
        -2 => Err(StateError::Denied),
        -3 => Err(StateError::TooLarge),
        -4 => Err(StateError::Invalid),
        n => Ok(n),
    }
}

/// How a [`Limit`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Spaces events evenly and lets `burst` of them come at once.
    Gcra,
    /// Windows that begin at multiples of the window.
    FixedWindow,
    /// The window before counts in part.
    SlidingWindow,
}

/// A number of events in a span of time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// How it counts.
    pub algorithm: Algorithm,
    /// How many events.
    pub events: u32,
    /// In how long, in milliseconds; up to a week.
    pub window_ms: u32,
    /// For [`Algorithm::Gcra`]; 0: `events`.
    pub burst: u32,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether the limit allows it.
    pub allowed: bool,
    /// How many more it would allow.
    pub remaining: u32,
    /// The milliseconds until the event would be allowed.
    pub wait_ms: u32,
    /// The milliseconds until the key is forgotten.
    pub reset_ms: u32,
}

impl State<'_> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        let (ns, k) = (self.name, key);
        match raw::read(|p, n| unsafe { raw::state_get(ns.as_ptr(), ns.len() as u32, k.as_ptr(), k.len() as u32, p, n) }.into()) {
            Ok((v, _)) => Ok(Some(v)),
            Err(n) => check(n).map(|_| None),
        }
    }

    /// Gives a key a value for some milliseconds; 0: as long as there is room.
    pub fn set(&self, key: &str, value: &[u8], ttl_ms: u32) -> Result<(), StateError> {
        let ns = self.name;
        check(unsafe {
            raw::state_set(ns.as_ptr(), ns.len() as u32, key.as_ptr(), key.len() as u32, value.as_ptr(), value.len() as u32, ttl_ms)
        })
        .map(|_| ())
    }

    /// Forgets a key, and reports whether it was there.
    pub fn delete(&self, key: &str) -> Result<bool, StateError> {
        let ns = self.name;
        check(unsafe { raw::state_delete(ns.as_ptr(), ns.len() as u32, key.as_ptr(), key.len() as u32) }).map(|n| n == 1)
    }

    /// Sets the value of a key that has none, and reports whether it had none, which of
    /// many that ask at once is true for one.
    pub fn create(&self, key: &str, value: &[u8], ttl_ms: u32) -> Result<bool, StateError> {
        self.swap_if(key, None, value, ttl_ms)
    }

    /// Sets the value of a key that has the value `old`, and reports whether it had.
    pub fn swap(&self, key: &str, old: &[u8], value: &[u8], ttl_ms: u32) -> Result<bool, StateError> {
        self.swap_if(key, Some(old), value, ttl_ms)
    }

    fn swap_if(&self, key: &str, old: Option<&[u8]>, value: &[u8], ttl_ms: u32) -> Result<bool, StateError> {
        let ns = self.name;
        let (p, n) = old.map_or((core::ptr::null(), raw::NONE), |o| (o.as_ptr(), o.len() as u32));
        check(unsafe {
            raw::state_swap(ns.as_ptr(), ns.len() as u32, key.as_ptr(), key.len() as u32, p, n, value.as_ptr(), value.len() as u32, ttl_ms)
        })
        .map(|n| n == 1)
    }

    /// Counts an event of a cost for a key, if the limit allows it.
    pub fn take(&self, key: &str, l: Limit, cost: u32) -> Result<Taken, StateError> {
        let ns = self.name;
        let mut out = [0u32; 3];
        let n = unsafe {
            raw::state_take(
                ns.as_ptr(), ns.len() as u32, key.as_ptr(), key.len() as u32, l.algorithm as u32, l.events, l.window_ms, l.burst, cost,
                out.as_mut_ptr(),
            )
        };
        check(n).map(|n| Taken { allowed: n == 1, remaining: out[0], wait_ms: out[1], reset_ms: out[2] })
    }
}
