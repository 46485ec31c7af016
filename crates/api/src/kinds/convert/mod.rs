//! One object in two versions: the two Event kinds and the two autoscalers.
//!
//! These are the only built-in resources that 1.36 serves in more than one version.

mod autoscaling;

use serde_json::Value;

use super::Kind;
use crate::object::ObjectExt;

/// Rewrites `object` from the version of row `from` to that of row `to`, `apiVersion` included. Both
/// rows must be of one resource; between other rows only `apiVersion` changes.
pub fn convert(from: &Kind, to: &Kind, object: &mut Value) {
    object.set_at("/apiVersion", to.api_version());
    match (from.group, from.version, to.group, to.version) {
        ("", _, "events.k8s.io", _) => rename(object, |(core, new)| (core, new)),
        ("events.k8s.io", _, "", _) => rename(object, |(core, new)| (new, core)),
        ("autoscaling", "v1", "autoscaling", "v2") => autoscaling::to_v2(object),
        ("autoscaling", "v2", "autoscaling", "v1") => autoscaling::to_v1(object),
        _ => {}
    }
}

/// Fields of an Event: in the core group, in events.k8s.io.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(object: &mut Value, pick: fn((&'static str, &'static str)) -> (&'static str, &'static str)) {
    let Some(fields) = object.as_object_mut() else { return };
    let old = std::mem::take(fields);
    for (key, value) in old {
        let name = EVENT_FIELDS.map(pick).into_iter().find(|(from, _)| *from == key);
        fields.insert(name.map_or(key, |(_, to)| to.to_owned()), value);
    }
}

#[cfg(test)]
mod tests;
