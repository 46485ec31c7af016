//! No more than ten updaters have an entry of their own: the oldest share one.

use std::collections::BTreeMap;

use super::entries::{Entry, Id, Managed, Operation};

/// So many updaters have an entry of their own.
const MOST: usize = 10;
/// Who takes over the fields of the oldest.
const ANCIENT: &str = "ancient-changes";

/// Merges the oldest updaters of a version until there are few enough.
pub(super) fn cap(managed: &mut Managed) {
    let mut updaters: Vec<(String, Id)> = managed
        .0
        .iter()
        .filter(|(id, _)| id.operation == Operation::Update)
        .map(|(id, entry)| (entry.time.clone().unwrap_or_default(), id.clone()))
        .collect();
    if updaters.len() <= MOST {
        return;
    }
    updaters.sort();
    let mut left = updaters.len();
    let mut first: BTreeMap<String, Id> = BTreeMap::new();
    for (_, id) in updaters {
        if left <= MOST {
            return;
        }
        let Some(Entry { api_version, .. }) = managed.0.get(&id) else { continue };
        let Some(oldest) = first.get(api_version) else {
            first.insert(api_version.clone(), id);
            continue;
        };
        let bucket = Id::updater(ANCIENT, api_version, "");
        if !managed.0.contains_key(&bucket)
            && let Some(entry) = managed.0.remove(oldest)
        {
            managed.0.insert(bucket.clone(), entry);
        }
        if bucket == id {
            continue;
        }
        let Some(merged) = managed.0.remove(&id) else { continue };
        if let Some(ancient) = managed.0.get_mut(&bucket) {
            ancient.set = ancient.set.union(&merged.set);
            // The later of the two.
            ancient.time = merged.time;
        }
        left -= 1;
    }
}
