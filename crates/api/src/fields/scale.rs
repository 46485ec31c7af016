//! Entries as the `scale` subresource shows them, and back: there the one field that counts has
//! another path.

use serde_json::Value;

use super::{
    element::Element,
    entries::{Entry, Managed},
    set::Set,
};

/// The version of `scale`.
const SCALE: &str = "autoscaling/v1";

fn in_scale() -> Vec<Element> {
    vec![Element::field("spec"), Element::field("replicas")]
}

fn only(path: &[Element]) -> Set {
    let mut set = Set::default();
    set.insert(path);
    set
}

/// The entries of an object that own its replicas, as entries of its scale. Entries of versions that
/// are not `known` are left out.
pub fn scale_view(parent: &[Value], path: &[Element], known: impl Fn(&str) -> bool) -> Vec<Value> {
    let Ok(managed) = Managed::decode(parent) else { return Vec::new() };
    let mut view = Managed::default();
    for (mut id, entry) in managed.0 {
        if known(&entry.api_version) && entry.set.contains(path) {
            if !id.api_version.is_empty() {
                id.api_version = SCALE.to_owned();
            }
            let set = only(&in_scale());
            view.0.insert(id, Entry { api_version: SCALE.to_owned(), time: entry.time, set });
        }
    }
    view.encode()
}

/// The entries of an object after its scale was written in `version`.
pub fn scale_to_parent(
    parent: &[Value],
    scale: &[Value],
    path: &[Element],
    version: &str,
    known: impl Fn(&str) -> bool,
) -> Vec<Value> {
    let (Ok(before), Ok(scaled)) = (Managed::decode(parent), Managed::decode(scale)) else {
        return parent.to_vec();
    };
    let mut scaled = scaled.0;
    let mut after = Managed::default();
    for (id, mut entry) in before.0 {
        if !known(&entry.api_version) {
            continue;
        }
        if entry.set.contains(path) {
            let mut shown = id.clone();
            if !shown.api_version.is_empty() {
                shown.api_version = SCALE.to_owned();
            }
            match scaled.remove(&shown) {
                Some(still) => entry.time = still.time,
                // Whoever scaled took it.
                None => entry.set = entry.set.difference(&only(path)),
            }
        }
        if !entry.set.is_empty() {
            after.0.insert(id, entry);
        }
    }
    for (mut id, entry) in scaled {
        if entry.set.contains(&in_scale()) {
            if !id.api_version.is_empty() {
                id.api_version = version.to_owned();
            }
            after.0.insert(id, Entry { api_version: version.to_owned(), time: entry.time, set: only(path) });
        }
    }
    after.encode()
}
