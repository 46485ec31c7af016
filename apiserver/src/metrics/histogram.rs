//! Observations counted in buckets, without a lock.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds: what is above all of them. There from the first observation on: most kinds of request never
    /// come, and of those that do many histograms say nothing.
    counts: OnceLock<Box<[AtomicU64]>>,
    /// A float's bits.
    sum: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: OnceLock::new(), sum: AtomicU64::new(0) }
    }

    fn counts(&self) -> &[AtomicU64] {
        self.counts.get().map_or(&[], |counts| counts)
    }

    pub(crate) fn observe(&self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        let counts = self.counts.get_or_init(|| (0..=self.bounds.len()).map(|_| AtomicU64::new(0)).collect());
        if let Some(count) = counts.get(at) {
            count.fetch_add(1, Relaxed);
        }
        let add = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
        // Never refused: the closure always has a next value.
        let _ = self.sum.fetch_update(Relaxed, Relaxed, add);
    }

    /// Each bound with how many were at most that; the sum; how many there were.
    pub(super) fn read(&self) -> (Vec<(f64, u64)>, f64, u64) {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        let counts = self.counts();
        for (place, bound) in self.bounds.iter().enumerate() {
            total += counts.get(place).map_or(0, |count| count.load(Relaxed));
            buckets.push((*bound, total));
        }
        total += counts.get(self.bounds.len()).map_or(0, |count| count.load(Relaxed));
        (buckets, f64::from_bits(self.sum.load(Relaxed)), total)
    }

    /// How many observations there were.
    pub(super) fn count(&self) -> u64 {
        self.counts().iter().map(|count| count.load(Relaxed)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts().iter().all(|count| count.load(Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::new(&[1.0, 5.0]);
        assert_eq!(histogram.read(), (vec![(1.0, 0), (5.0, 0)], 0.0, 0));
        for value in [0.5, 1.0, 1.5, 5.0, 7.0] {
            histogram.observe(value);
        }
        assert_eq!(histogram.read(), (vec![(1.0, 2), (5.0, 4)], 15.0, 5));
    }
}
