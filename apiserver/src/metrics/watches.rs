//! Watchers, and the events that went out to them, by kind.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    histogram::Histogram,
    table::Table,
    text::{Labels, Text},
};
use crate::catalog::Served;

/// Upstream's buckets.
const LIST_SECONDS: &[f64] =
    &[0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0];
const SIZES: &[f64] = &[1024.0, 2048.0, 4096.0, 8192.0, 16_384.0, 32_768.0, 65_536.0, 131_072.0];

/// The counters of one kind.
#[derive(Debug)]
pub(crate) struct WatchRow {
    group: String,
    version: String,
    kind: String,
    watchers: AtomicI64,
    events: AtomicU64,
    sizes: Histogram,
}

/// A watcher while it lives.
#[derive(Debug)]
pub(crate) struct Watching(Arc<WatchRow>);

impl Watching {
    /// An event went out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.0.events.fetch_add(1, Relaxed);
        self.0.sizes.observe(bytes as f64);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Relaxed);
    }
}

/// Group, version, resource, and whether one namespace or all.
type Listed = (String, String, String, &'static str);

/// All kinds that were watched.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    rows: Table<WatchRow>,
    lists: Mutex<BTreeMap<Listed, Histogram>>,
}

impl Watches {
    /// A new watcher of this kind.
    pub(crate) fn begin(&self, served: &Served) -> Option<Watching> {
        let (group, version, kind) = (served.group.as_ref(), served.version.as_ref(), served.kind.as_ref());
        let row = self.rows.row(
            &(group, version, kind),
            |row| (row.group.as_str(), row.version.as_str(), row.kind.as_str()) == (group, version, kind),
            || {
                Some(WatchRow {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    kind: kind.to_owned(),
                    watchers: AtomicI64::new(0),
                    events: AtomicU64::new(0),
                    sizes: Histogram::new(SIZES),
                })
            },
        )?;
        row.watchers.fetch_add(1, Relaxed);
        Some(Watching(row))
    }

    /// A watch that began with the state has shown all of it.
    pub(crate) fn listed(&self, served: &Served, namespace: &str, took: Duration) {
        let scope = if namespace.is_empty() { "cluster" } else { "namespace" };
        let (group, version, resource) = (&served.group, &served.version, &served.plural);
        let list = (group.to_string(), version.to_string(), resource.to_string(), scope);
        let mut lists = self.lists.lock();
        lists.entry(list).or_insert_with(|| Histogram::new(LIST_SECONDS)).observe(took.as_secs_f64());
    }

    pub(super) fn write(&self, text: &mut Text) {
        let mut rows = self.rows.all();
        rows.sort_by(|a, b| (&a.group, &a.version, &a.kind).cmp(&(&b.group, &b.version, &b.kind)));
        let labels = |row: &'_ WatchRow| {
            [("group", row.group.clone()), ("kind", row.kind.clone()), ("version", row.version.clone())]
        };
        let mut each =
            |name: &str, kind: &str, help: &str, write: &dyn Fn(&mut Text, &WatchRow, Labels<'_>)| {
                text.rows((name, kind, help), &rows, labels, write);
            };
        let name = "apiserver_registered_watchers";
        each(name, "gauge", "[ALPHA] Watchers that are open now.", &|text, row, labels| {
            text.sample(name, labels, row.watchers.load(Relaxed) as f64);
        });
        let name = "apiserver_watch_events_total";
        each(name, "counter", "[ALPHA] Events sent to watchers.", &|text, row, labels| {
            text.sample(name, labels, row.events.load(Relaxed) as f64);
        });
        let name = "apiserver_watch_events_sizes";
        each(name, "histogram", "[ALPHA] Bytes of the events sent to watchers.", &|text, row, labels| {
            text.histogram(name, labels, &row.sizes);
        });
        let name = "apiserver_watch_list_duration_seconds";
        text.family(
            name,
            "histogram",
            "[ALPHA] Seconds until a watch that began with the state had shown it.",
        );
        for ((group, version, resource, scope), seconds) in &*self.lists.lock() {
            let labels =
                [("group", group.as_str()), ("resource", resource), ("scope", scope), ("version", version)];
            text.histogram(name, &labels, seconds);
        }
    }
}
