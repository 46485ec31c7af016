//! Events of both groups. The newer group is strict, the core group hardly at all.

use serde_json::Value;

use super::{Strategy, check::Complaints, path::Path};
use crate::{names, object::ObjectExt};

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        validate: |event, complaints| namespace(event, "/involvedObject", complaints),
        ..Strategy::of("", "Event")
    },
    Strategy {
        validate: |event, complaints| {
            namespace(event, "/regarding", complaints);
            // What was written through the core group looks like this; it may be read and written here.
            if event.str_at("/eventTime").is_empty() && !event.str_at("/deprecatedFirstTimestamp").is_empty()
            {
                return;
            }
            strict(event, complaints);
        },
        validate_update: |new, old, _, complaints| {
            for (field, pointer) in FIXED {
                complaints.immutable(Path::root(field), new, old, pointer);
            }
            if new.at("/series") != old.at("/series") {
                series(new, complaints);
            }
        },
        ..Strategy::of("events.k8s.io", "Event")
    },
];

/// What an update through the newer group may not touch, by the name in complaints: all but the series.
const FIXED: [(&str, &str); 13] = [
    ("involvedObject", "/regarding"),
    ("reason", "/reason"),
    ("message", "/note"),
    ("source", "/deprecatedSource"),
    ("firstTimestamp", "/deprecatedFirstTimestamp"),
    ("lastTimestamp", "/deprecatedLastTimestamp"),
    ("count", "/deprecatedCount"),
    ("type", "/type"),
    ("eventTime", "/eventTime"),
    ("action", "/action"),
    ("related", "/related"),
    ("reportingController", "/reportingController"),
    ("reportingInstance", "/reportingInstance"),
];

/// A series is of two at least.
fn series(event: &Value, complaints: &mut Complaints) {
    let Some(series) = event.at("/series").filter(|series| series.is_object()) else { return };
    let at = Path::root("series");
    if series.i64_at("/count").unwrap_or(0) < 2 {
        complaints.invalid(at.child("count"), "", "should be at least 2");
    }
    if series.str_at("/lastObservedTime").is_empty() {
        complaints.required(at.child("lastObservedTime"), "");
    }
}

/// An event stands in the namespace of what it is about; for cluster-scoped things that is `default`.
fn namespace(event: &Value, pointer: &str, complaints: &mut Complaints) {
    let about = event.at(pointer).map_or("", |object| object.str_at("/namespace"));
    let is = event.namespace();
    let at = Path::root("involvedObject.namespace");
    if about.is_empty() {
        if !matches!(is, "" | "default" | "kube-system") {
            complaints.invalid(at, about, "does not match event.namespace");
        }
    } else if about != is {
        complaints.invalid(at, about, "does not match event.namespace");
    }
}

fn strict(event: &Value, complaints: &mut Complaints) {
    if event.str_at("/eventTime").is_empty() {
        complaints.required(Path::root("eventTime"), "");
    }
    let controller = event.str_at("/reportingController");
    complaints.name(Path::root("reportingController"), controller, names::qualified_name);
    for (field, limit) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let value = event.str_at(&format!("/{field}"));
        if value.is_empty() {
            complaints.required(Path::root(field), "");
        } else if value.len() > limit {
            complaints.invalid(Path::root(field), "", format!("can have at most {limit} characters"));
        }
    }
    if event.str_at("/note").len() > 1024 {
        complaints.invalid(Path::root("message"), "", "can have at most 1024 characters");
    }
    let kind = event.str_at("/type");
    if !matches!(kind, "Normal" | "Warning") {
        complaints.invalid(Path::root("type"), "", format!("has invalid value: {kind}"));
    }
}
