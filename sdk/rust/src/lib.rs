//! Filters for the Headgate API gateway, as WebAssembly modules.
//!
//! A plugin is a `cdylib` for `wasm32-unknown-unknown` with one or more types that
//! implement [`Filter`], which [`plugin!`] names:
//!
//! ```ignore
//! use headgate::{Exchange, Filter, Verdict};
//!
//! headgate::config! {
//!     /// What the filter block says.
//!     struct Hello {
//!         /// Names who is greeted.
//!         header: String,
//!     }
//! }
//!
//! impl Filter for Hello {
//!     fn configure(config: &headgate::Config) -> Result<Self, String> {
//!         config.parse()
//!     }
//!
//!     fn request(&self, x: &mut Exchange) -> Verdict {
//!         match x.request().get(&self.header) {
//!             Some(_) => Verdict::Continue,
//!             None => x.reply(400, "text/plain", "who are you?\n"),
//!         }
//!     }
//! }
//!
//! headgate::plugin!("hello" => Hello);
//! ```
//!
//! The gateway runs several instances of a module, each with one call at a time: what
//! a filter keeps in memory is not shared between them. `sdk/ABI.md` of the gateway
//! has what each function does exactly.
#![no_std]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod config;
/// Hashes, HMAC, AES-GCM and tokens, which the gateway computes.
pub mod crypto;
mod document;
mod exchange;
mod fetch;
mod metric;
mod raw;
#[doc(hidden)]
pub mod serve;
mod state;

pub use config::{Config, Setting};
pub use document::{template, xml_tokens, xml_write, Document, Escape, Kind, Value};
pub use exchange::{Exchange, Fields, Level};
pub use fetch::{FetchError, FetchRequest, FetchResponse};
pub use metric::Metric;
pub use state::{Algorithm, Limit, State, StateError, Taken};

/// What a filter decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Passes the exchange on.
    Continue,
    /// The exchange has the filter's own answer; see [`Exchange::reply`].
    Replied,
    /// The filter could not do its work; see [`Exchange::fail`].
    Failed,
}

/// Lets a filter see the whole body of requests, for [`Filter::FEATURES`].
pub const BUFFER_REQUEST: u32 = 1;
/// Lets a filter see the whole body of responses.
pub const BUFFER_RESPONSE: u32 = 2;
/// Lets a filter see and change trailers.
pub const TRAILERS: u32 = 4;

/// One configured filter. It serves many exchanges, one call at a time.
pub trait Filter: Sized + 'static {
    /// What the filter needs.
    const FEATURES: u32 = 0;
    /// Whether the filter sees responses. One that does not frees its instance as
    /// soon as the request went on.
    const RESPONSES: bool = false;

    /// Makes a filter from a configuration. The error is shown to who wrote it.
    fn configure(config: &Config) -> Result<Self, alloc::string::String>;

    /// Sees the request before it is forwarded.
    fn request(&self, x: &mut Exchange) -> Verdict;

    /// Sees the response before it is sent, in the same exchange, if `request`
    /// returned [`Verdict::Continue`] and [`Filter::RESPONSES`] is set.
    fn response(&self, x: &mut Exchange) {
        let _ = x;
    }
}

/// Names the filters of a plugin: `plugin!("hello" => Hello, "other" => Other);`
#[macro_export]
macro_rules! plugin {
    ($($name:literal => $filter:ty),+ $(,)?) => {
        const HEADGATE_FILTERS: &[$crate::serve::Entry] = &[$($crate::serve::entry::<$filter>($name)),+];

        #[unsafe(no_mangle)]
        extern "C" fn headgate_configure(id: u32) -> u32 {
            $crate::serve::configure(HEADGATE_FILTERS, id)
        }

        #[unsafe(no_mangle)]
        extern "C" fn handle_request() -> u64 {
            $crate::serve::request()
        }

        #[unsafe(no_mangle)]
        extern "C" fn handle_response(number: u32, _is_error: u32) {
            $crate::serve::response(number)
        }

        #[unsafe(no_mangle)]
        extern "C" fn headgate_done(number: u32) {
            $crate::serve::done(number)
        }
    };
}
