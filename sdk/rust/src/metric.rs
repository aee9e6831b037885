use alloc::vec::Vec;

use crate::raw;

/// A metric of the plugin, shown as `headgate_plugin_x_NAME`. Labels are names and
/// values, in an order that stays. What is put into it is lost if it is not a metric;
/// the functions report that with false.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a>(pub &'a str);

impl Metric<'_> {
    /// Adds to a counter.
    pub fn count(&self, labels: &[(&str, &str)], v: f64) -> bool {
        self.put(0, labels, v)
    }

    /// Sets a gauge.
    pub fn set(&self, labels: &[(&str, &str)], v: f64) -> bool {
        self.put(1, labels, v)
    }

    /// Changes a gauge.
    pub fn change(&self, labels: &[(&str, &str)], v: f64) -> bool {
        self.put(2, labels, v)
    }

    /// Puts a number of seconds into a histogram.
    pub fn observe(&self, labels: &[(&str, &str)], v: f64) -> bool {
        self.put(3, labels, v)
    }

    fn put(&self, op: u32, labels: &[(&str, &str)], v: f64) -> bool {
        let mut list = Vec::new();
        for (name, value) in labels {
            for text in [name, value] {
                list.extend_from_slice(text.as_bytes());
                list.push(0);
            }
        }
        unsafe { raw::metric(op, self.0.as_ptr(), self.0.len() as u32, list.as_ptr(), list.len() as u32, v) == 0 }
    }
}
