//! Events of both groups; the newer one spells the same fields differently.

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, NAME, Printer, since, text};
use crate::object::ObjectExt;

const COLUMNS: &[Column] = &[
    Column::text("Last Seen", "Time since it happened last."),
    Column::text("Type", "Normal or Warning."),
    Column::text("Reason", "Why it was written, in one word."),
    Column::text("Object", "What it is about."),
    Column::text("Subobject", "Which part of it.").wide(),
    Column::text("Source", "Who reports it.").wide(),
    Column::text("Message", "What happened."),
    Column::text("First Seen", "Time since it happened first.").wide(),
    Column::text("Count", "How often it happened.").wide(),
    NAME.wide(),
];

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "Event",
        columns: COLUMNS,
        row: |event, now| {
            let fields = Fields {
                object: "/involvedObject",
                message: "/message",
                component: ["/source/component", "/reportingComponent"],
                host: ["/source/host", "/reportingInstance"],
                first: "/firstTimestamp",
                last: "/lastTimestamp",
                count: "/count",
            };
            row(event, now, &fields)
        },
    },
    Printer {
        group: "events.k8s.io",
        kind: "Event",
        columns: COLUMNS,
        row: |event, now| {
            let fields = Fields {
                object: "/regarding",
                message: "/note",
                component: ["/deprecatedSource/component", "/reportingController"],
                host: ["/deprecatedSource/host", "/reportingInstance"],
                first: "/deprecatedFirstTimestamp",
                last: "/deprecatedLastTimestamp",
                count: "/deprecatedCount",
            };
            row(event, now, &fields)
        },
    },
];

struct Fields {
    object: &'static str,
    message: &'static str,
    component: [&'static str; 2],
    host: [&'static str; 2],
    first: &'static str,
    last: &'static str,
    count: &'static str,
}

fn row(event: &Value, now: Timestamp, fields: &Fields) -> Vec<Value> {
    let one_of = |pointers: [&str; 2]| text::or(event.str_at(pointers[0]), event.str_at(pointers[1]));
    let first = match event.time_at(fields.first) {
        Some(_) => since(event, fields.first, now),
        None => since(event, "/eventTime", now),
    };
    let (last, count) = if event.map_at("/series").is_some() {
        (since(event, "/series/lastObservedTime", now), event.i64_at("/series/count").unwrap_or(0))
    } else {
        let last = match event.time_at(fields.last) {
            Some(_) => since(event, fields.last, now),
            None => first.clone(),
        };
        // Events of the newer group that happened once carry no count.
        (last, event.i64_at(fields.count).filter(|count| *count != 0).unwrap_or(1))
    };
    let regarding = event.at(fields.object).unwrap_or(&Value::Null);
    let mut object = regarding.kind().to_lowercase();
    if !regarding.str_at("/name").is_empty() {
        object = format!("{object}/{}", regarding.str_at("/name"));
    }
    let mut source = one_of(fields.component).to_owned();
    if !one_of(fields.host).is_empty() {
        source = format!("{source}, {}", one_of(fields.host));
    }
    vec![
        last.into(),
        event.str_at("/type").into(),
        event.str_at("/reason").into(),
        object.into(),
        regarding.str_at("/fieldPath").into(),
        source.into(),
        event.str_at(fields.message).trim().into(),
        first.into(),
        count.into(),
        event.name().into(),
    ]
}
