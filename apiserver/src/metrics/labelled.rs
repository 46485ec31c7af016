//! Counters and times with labels that come up while a server runs: names of webhooks, of policies.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;

use super::{histogram::Histogram, text::Text};

/// A family of counters, by the values of its labels.
#[derive(Debug)]
pub(crate) struct Counters<const N: usize>(Mutex<BTreeMap<[String; N], u64>>);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<const N: usize> Counters<N> {
    pub(crate) fn add(&self, labels: [&str; N], more: u64) {
        *self.0.lock().entry(labels.map(str::to_owned)).or_default() += more;
    }

    /// `help` begins with upstream's stability level.
    pub(super) fn write(&self, text: &mut Text, (name, help): (&str, &str), keys: [&str; N]) {
        text.family(name, "counter", help);
        for (values, count) in self.0.lock().iter() {
            text.sample(name, &labels(keys, values), *count as f64);
        }
    }
}

/// A family of times, by the values of its labels.
#[derive(Debug)]
pub(crate) struct Times<const N: usize> {
    bounds: &'static [f64],
    times: Mutex<BTreeMap<[String; N], Histogram>>,
}

impl<const N: usize> Times<N> {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, times: Mutex::default() }
    }

    pub(crate) fn observe(&self, labels: [&str; N], elapsed: Duration) {
        let mut times = self.times.lock();
        let of = times.entry(labels.map(str::to_owned)).or_insert_with(|| Histogram::new(self.bounds));
        of.observe(elapsed.as_secs_f64());
    }

    /// As [`Counters::write`].
    pub(super) fn write(&self, text: &mut Text, (name, help): (&str, &str), keys: [&str; N]) {
        text.family(name, "histogram", help);
        for (values, histogram) in self.times.lock().iter() {
            text.histogram(name, &labels(keys, values), histogram);
        }
    }
}

/// In the order of their names, as Prometheus' library writes them.
fn labels<'a, const N: usize>(keys: [&'a str; N], values: &'a [String; N]) -> Vec<(&'a str, &'a str)> {
    let mut labels: Vec<_> = keys.into_iter().zip(values.iter().map(String::as_str)).collect();
    labels.sort_unstable();
    labels
}
