//! What the macros need: the module's side of the ABI. It is no part of the API.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
pub use alloc::string::String;
pub use alloc::vec::Vec;
use core::cell::RefCell;

pub use crate::config::{setting, unknown, Parsed};
use crate::exchange::fail;
use crate::{raw, Config, Exchange, Filter, Verdict};

/// One filter of a plugin.
pub struct Entry {
    name: &'static str,
    make: fn(&Config) -> Result<Rc<dyn Served>, String>,
}

/// Makes an Entry.
pub const fn entry<F: Filter>(name: &'static str) -> Entry {
    Entry { name, make: |c| Ok(Rc::new(F::configure(c)?)) }
}

/// A Filter as a trait object.
pub trait Served {
    /// Filter::FEATURES.
    fn features(&self) -> u32;
    /// Filter::RESPONSES.
    fn responses(&self) -> bool;
    /// Filter::request.
    fn serve_request(&self, x: &mut Exchange) -> Verdict;
    /// Filter::response.
    fn serve_response(&self, x: &mut Exchange);
}

impl<F: Filter> Served for F {
    fn features(&self) -> u32 {
        F::FEATURES
    }
    fn responses(&self) -> bool {
        F::RESPONSES
    }
    fn serve_request(&self, x: &mut Exchange) -> Verdict {
        self.request(x)
    }
    fn serve_response(&self, x: &mut Exchange) {
        self.response(x)
    }
}

type Open = (Rc<dyn Served>, Box<Exchange>);

struct Module {
    filters: BTreeMap<u32, Rc<dyn Served>>,
    open: Vec<Option<Open>>,
}

/// The state of the module. An instance has one thread, and the gateway does not call
/// into it while it is inside a call.
struct Single(RefCell<Module>);

unsafe impl Sync for Single {}

static MODULE: Single = Single(RefCell::new(Module { filters: BTreeMap::new(), open: Vec::new() }));

/// headgate_configure.
pub fn configure(entries: &[Entry], id: u32) -> u32 {
    tell_panics();
    let name = raw::text(|p, n| unsafe { raw::get_filter(p, n) });
    let config = Config { text: raw::text(|p, n| unsafe { raw::get_config(p, n) }) };
    let found = match entries {
        [only] if name.is_empty() => Some(only),
        _ => entries.iter().find(|e| e.name.as_bytes() == name),
    };
    let made = match found {
        Some(e) => (e.make)(&config),
        None => {
            let names: Vec<&str> = entries.iter().map(|e| e.name).collect();
            Err(["the module has no such filter; say which with filter = one of ", &names.join(", ")].concat())
        }
    };
    match made {
        Ok(f) => {
            if f.features() != 0 {
                unsafe { raw::enable_features(f.features()) };
            }
            MODULE.0.borrow_mut().filters.insert(id, f);
            0
        }
        Err(reason) => {
            fail(&reason);
            1
        }
    }
}

#[cfg(feature = "std")]
fn tell_panics() {
    std::panic::set_hook(Box::new(|p| crate::exchange::log(crate::Level::Error, &std::format!("{p}"))));
}

#[cfg(not(feature = "std"))]
fn tell_panics() {}

/// handle_request.
pub fn request() -> u64 {
    let filter = MODULE.0.borrow().filters[&unsafe { raw::config_id() }].clone();
    let mut x = Box::new(Exchange::default());
    match filter.serve_request(&mut x) {
        Verdict::Continue if filter.responses() => (u64::from(open((filter, x))) << 32) | 1,
        Verdict::Continue => 3,
        Verdict::Replied => 0,
        Verdict::Failed => {
            fail("no reason given"); // the first reason counts
            0
        }
    }
}

fn open(o: Open) -> u32 {
    let open = &mut MODULE.0.borrow_mut().open;
    let number = open.iter().position(Option::is_none).unwrap_or(open.len());
    if number == open.len() {
        open.push(None);
    }
    open[number] = Some(o);
    number as u32
}

fn close(number: u32) -> Option<Open> {
    MODULE.0.borrow_mut().open.get_mut(number as usize)?.take()
}

/// handle_response.
pub fn response(number: u32) {
    if let Some((filter, mut x)) = close(number) {
        filter.serve_response(&mut x);
    }
}

/// headgate_done.
pub fn done(number: u32) {
    drop(close(number));
}
