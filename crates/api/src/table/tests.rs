//! One row per case: what `kubectl get -o wide` shows for an object.

mod cluster;
mod network;
mod pods;
mod printers;
mod workloads;

use super::*;

const NOW: &str = "2026-01-02T00:00:00Z";
const CREATED: &str = "2026-01-01T23:54:57Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

/// Prints an object, created 5m3s before, with its cells separated by ` | `.
fn printed(group: &str, kind: &str, mut object: Value) -> String {
    object.set_at("/metadata/creationTimestamp", CREATED);
    object.set_at("/kind", kind);
    let printer = printer(group, kind);
    let cells = printer.row(&object, now());
    assert_eq!(cells.len(), printer.columns().len(), "a cell for every column of {kind}");
    let cells = cells.iter().map(|cell| text::scalar(Some(cell)).unwrap_or_else(|| cell.to_string()));
    cells.collect::<Vec<_>>().join(" | ")
}

#[track_caller]
fn check(kind: &str, object: Value, expected: &str) {
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    assert_eq!(printed(group, kind, object), expected);
}
