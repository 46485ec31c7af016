//! Rows of counters found by their labels: nothing is allocated for a row that is there.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;

const SHARDS: usize = 16;

/// Rows by the hash of their labels; the few that share one are told apart by `same`.
#[derive(Debug)]
pub(super) struct Table<R> {
    shards: [Mutex<BTreeMap<u64, Vec<Arc<R>>>>; SHARDS],
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl<R> Table<R> {
    /// The row of `labels`, made by `make` when it is missing; `None` if `make` makes none.
    pub(super) fn row(
        &self,
        labels: &impl Hash,
        same: impl Fn(&R) -> bool,
        make: impl FnOnce() -> Option<R>,
    ) -> Option<Arc<R>> {
        // Its keys are fixed: the same in every process.
        let mut hasher = DefaultHasher::new();
        labels.hash(&mut hasher);
        let hash = hasher.finish();
        let shard = self.shards.get(usize::try_from(hash).unwrap_or_default() % SHARDS)?;
        if let Some(row) = shard.lock().get(&hash).and_then(|rows| rows.iter().find(|row| same(row))) {
            return Some(row.clone());
        }
        let made = Arc::new(make()?);
        let mut shard = shard.lock();
        let rows = shard.entry(hash).or_default();
        // Somebody else may have been quicker.
        if let Some(row) = rows.iter().find(|row| same(row)) {
            return Some(row.clone());
        }
        rows.push(made.clone());
        Some(made)
    }

    /// All rows, in no order that means anything.
    pub(super) fn all(&self) -> Vec<Arc<R>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().values().flatten().cloned().collect::<Vec<_>>())
            .collect()
    }
}
