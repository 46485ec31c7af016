//! A store that is timed: upstream's metrics of its requests to etcd.

use std::{
    str,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use store::{Kv, Layer, ListOptions, Listing, Op, Range, Revision, Store, StoreError, Txn, TxnResult};
use world::{Clock, Mono};

use super::{
    histogram::Histogram,
    requests::SECONDS,
    table::Table,
    text::{Labels, Text},
};

/// One operation on one kind of keys.
#[derive(Debug)]
struct Row {
    operation: &'static str,
    kind: String,
    seconds: Histogram,
    errors: AtomicU64,
}

/// Times of all requests to the store.
#[derive(Debug, Default)]
pub(crate) struct StoreTimes(Table<Row>);

impl StoreTimes {
    fn done(&self, operation: &'static str, key: &[u8], took: Duration, failed: bool) {
        let kind = kind(key);
        let row = self.0.row(
            &(operation, kind),
            |row| row.operation == operation && row.kind.as_bytes() == kind,
            || {
                Some(Row {
                    operation,
                    kind: String::from_utf8_lossy(kind).into_owned(),
                    seconds: Histogram::new(SECONDS),
                    errors: AtomicU64::new(0),
                })
            },
        );
        if let Some(row) = row {
            row.seconds.observe(took.as_secs_f64());
            row.errors.fetch_add(u64::from(failed), Relaxed);
        }
    }

    pub(super) fn write(&self, text: &mut Text) {
        let mut rows = self.0.all();
        rows.sort_by(|a, b| (a.operation, &a.kind).cmp(&(b.operation, &b.kind)));
        let labels = |row: &Row| [("operation", row.operation.to_owned()), ("type", shown(&row.kind))];
        let mut each = |name: &str, kind: &str, help: &str, write: &dyn Fn(&mut Text, &Row, Labels<'_>)| {
            text.rows((name, kind, help), &rows, labels, write);
        };
        let name = "etcd_request_duration_seconds";
        each(
            name,
            "histogram",
            "[ALPHA] Seconds that the store took, by operation and kind.",
            &|text, row, labels| {
                text.histogram(name, labels, &row.seconds);
            },
        );
        let name = "etcd_requests_total";
        each(
            name,
            "counter",
            "[ALPHA] Requests to the store, by operation and kind.",
            &|text, row, labels| {
                text.sample(name, labels, row.seconds.count() as f64);
            },
        );
        let name = "etcd_request_errors_total";
        each(
            name,
            "counter",
            "[ALPHA] Failed requests to the store, by operation and kind.",
            &|text, row, labels| {
                text.sample(name, labels, row.errors.load(Relaxed) as f64);
            },
        );
    }
}

/// The segments of a key that tell what is stored under it: `pods`, `services/specs`,
/// `example.com/roses`.
fn kind(key: &[u8]) -> &[u8] {
    let Some(rest) = key.strip_prefix(b"/registry/") else { return key };
    let slash = |from: usize| rest.iter().skip(from).position(|b| *b == b'/').map(|at| at + from);
    let Some(first) = slash(0) else { return rest };
    let head = rest.get(..first).unwrap_or_default();
    if head == b"services" || head.contains(&b'.') {
        return rest.get(..slash(first + 1).unwrap_or(rest.len())).unwrap_or_default();
    }
    head
}

/// A kind as upstream names it: `nodes`, `services`, `roses.example.com`.
fn shown(kind: &str) -> String {
    match kind.split_once('/') {
        Some(("services", "specs")) => "services".to_owned(),
        Some(("services", other)) => other.to_owned(),
        Some(("", _)) => kind.to_owned(),
        Some((group, plural)) => format!("{plural}.{group}"),
        None => match kind {
            "minions" => "nodes".to_owned(),
            "controllers" => "replicationcontrollers".to_owned(),
            "ingress" => "ingresses".to_owned(),
            other => other.to_owned(),
        },
    }
}

/// See the module.
pub(crate) struct Timed {
    pub inner: Arc<dyn Store>,
    pub clock: Clock,
    pub times: Arc<StoreTimes>,
}

impl Timed {
    fn done<T>(&self, began: Mono, operation: &'static str, key: &[u8], result: &Result<T, StoreError>) {
        let took = self.clock.monotonic().since(began);
        self.times.done(operation, key, took, result.is_err());
    }
}

#[async_trait]
impl Layer for Timed {
    fn below(&self) -> &dyn Store {
        &*self.inner
    }

    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError> {
        let began = self.clock.monotonic();
        let result = self.inner.get(key, at).await;
        self.done(began, "get", key, &result);
        result
    }

    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError> {
        let began = self.clock.monotonic();
        let key = range.start().clone();
        let result = self.inner.list(range, options).await;
        self.done(began, "list", &key, &result);
        result
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        let began = self.clock.monotonic();
        let new = txn.compares.iter().any(store::Compare::wants_absent);
        let (operation, key) = match txn.success.first() {
            Some(Op::Put { key, .. }) => (if new { "create" } else { "update" }, key.clone()),
            Some(Op::Delete { range }) => ("delete", range.start().clone()),
            Some(Op::Get { range, .. }) => ("get", range.start().clone()),
            None => ("get", bytes::Bytes::new()),
        };
        let result = self.inner.txn(txn).await;
        self.done(began, operation, &key, &result);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_what_is_stored_under_them() {
        for (key, expected) in [
            ("/registry/pods/default/web", "pods"),
            ("/registry/minions/cp", "nodes"),
            ("/registry/services/specs/default/kubernetes", "services"),
            ("/registry/services/endpoints/default/kubernetes", "endpoints"),
            ("/registry/example.com/roses/default/r", "roses.example.com"),
            ("/registry/pods/", "pods"),
            ("/registry", "/registry"),
        ] {
            let found = str::from_utf8(kind(key.as_bytes())).unwrap();
            assert_eq!(shown(found), expected, "{key}");
        }
    }
}
