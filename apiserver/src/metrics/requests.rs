//! Counts and durations of requests, by what they asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::header;
use parking_lot::Mutex;

use super::{histogram::Histogram, table::Table, text::Text};
use crate::{catalog::Catalog, pipeline::Parsed};

/// Upstream's buckets of `apiserver_request_duration_seconds`.
pub(super) const SECONDS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];
const SLI_SECONDS: &[f64] = &[
    0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];
const SIZES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Codes that have a counter of their own.
const CODES: [u16; 20] =
    [200, 201, 202, 101, 304, 400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 429, 500, 503, 504];

/// What is deprecated in the core group, version and resource; nothing of it has a release that ends it.
const DEPRECATED: [(&str, &str); 2] = [("v1", "componentstatuses"), ("v1", "endpoints")];

#[derive(Hash, PartialEq, Eq)]
struct Labels<'a> {
    verb: &'static str,
    dry_run: bool,
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    subresource: &'a str,
    scope: &'static str,
}

impl<'a> Labels<'a> {
    fn of(parsed: &'a Parsed) -> Option<Self> {
        let Parsed { framed, info } = parsed;
        if !info.resource_request {
            let health = ["/healthz", "/livez", "/readyz"].into_iter().find(|path| *path == info.path)?;
            return Some(Self {
                verb: "GET",
                dry_run: false,
                group: "",
                version: "",
                resource: "",
                subresource: health,
                scope: "",
            });
        }
        let connects = matches!(info.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy");
        let verb = match info.verb.as_str() {
            _ if connects => "CONNECT",
            "get" => "GET",
            "list" => "LIST",
            "watch" => "WATCH",
            "create" => "POST",
            "update" => "PUT",
            "patch" => {
                let media = framed.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
                if media.starts_with(b"application/apply-patch") { "APPLY" } else { "PATCH" }
            }
            "delete" => "DELETE",
            "deletecollection" => "DELETECOLLECTION",
            "proxy" => "CONNECT",
            _ => return None,
        };
        let scope = if !info.name.is_empty() || verb == "POST" {
            "resource"
        } else if info.namespace.is_empty() {
            "cluster"
        } else {
            "namespace"
        };
        Some(Self {
            verb,
            dry_run: !info.read_only() && framed.query.get("dryRun") == Some("All"),
            group: &info.group,
            version: &info.version,
            resource: &info.resource,
            subresource: &info.subresource,
            scope,
        })
    }
}

/// What a request asks for, under the names that counters have for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    group: String,
    resource: String,
    scope: &'static str,
    subresource: String,
    verb: &'static str,
    version: String,
}

impl Asked {
    /// None of a watch, which ends when it ends, and of what is no resource's.
    pub(crate) fn of(parsed: &Parsed) -> Option<Self> {
        Labels::of(parsed).filter(|labels| labels.verb != "WATCH").map(Self::from)
    }

    fn labels(&self) -> [(&str, &str); 6] {
        [
            ("group", &self.group),
            ("resource", &self.resource),
            ("scope", self.scope),
            ("subresource", &self.subresource),
            ("verb", self.verb),
            ("version", &self.version),
        ]
    }
}

impl From<Labels<'_>> for Asked {
    fn from(labels: Labels<'_>) -> Self {
        Self {
            group: labels.group.to_owned(),
            resource: labels.resource.to_owned(),
            scope: labels.scope,
            subresource: labels.subresource.to_owned(),
            verb: labels.verb,
            version: labels.version.to_owned(),
        }
    }
}

/// The counters of one kind of request.
#[derive(Debug)]
pub(crate) struct Row {
    verb: &'static str,
    dry_run: bool,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    codes: [AtomicU64; CODES.len()],
    other_codes: Mutex<BTreeMap<u16, u64>>,
    seconds: Histogram,
    sli_seconds: Histogram,
    sizes: Histogram,
    long_running: AtomicI64,
    aborts: AtomicU64,
    /// Of the server's client of itself.
    own: AtomicU64,
}

impl Row {
    fn new(labels: &Labels<'_>) -> Self {
        Self {
            verb: labels.verb,
            dry_run: labels.dry_run,
            group: labels.group.to_owned(),
            version: labels.version.to_owned(),
            resource: labels.resource.to_owned(),
            subresource: labels.subresource.to_owned(),
            scope: labels.scope,
            codes: std::array::from_fn(|_| AtomicU64::new(0)),
            other_codes: Mutex::default(),
            seconds: Histogram::new(SECONDS),
            sli_seconds: Histogram::new(SLI_SECONDS),
            sizes: Histogram::new(SIZES),
            long_running: AtomicI64::new(0),
            aborts: AtomicU64::new(0),
            own: AtomicU64::new(0),
        }
    }

    fn is(&self, labels: &Labels<'_>) -> bool {
        (self.verb, self.dry_run, self.scope) == (labels.verb, labels.dry_run, labels.scope)
            && self.resource == labels.resource
            && self.subresource == labels.subresource
            && self.group == labels.group
            && self.version == labels.version
    }

    /// A request was answered.
    pub(crate) fn answered(&self, code: u16, took: Duration, size: Option<u64>, own: bool) {
        match CODES.iter().position(|known| *known == code).and_then(|at| self.codes.get(at)) {
            Some(count) => {
                count.fetch_add(1, Relaxed);
            }
            None => *self.other_codes.lock().entry(code).or_default() += 1,
        }
        self.seconds.observe(took.as_secs_f64());
        if !matches!(self.verb, "WATCH" | "CONNECT") {
            self.sli_seconds.observe(took.as_secs_f64());
        }
        if let (Some(size), "GET" | "LIST") = (size, self.verb) {
            self.sizes.observe(size as f64);
        }
        if own {
            self.own.fetch_add(1, Relaxed);
        }
    }

    /// An answer that had begun was cut off.
    pub(crate) fn aborted(&self) {
        self.aborts.fetch_add(1, Relaxed);
    }

    /// Whether these are requests that end when they end.
    pub(crate) fn is_watch(&self) -> bool {
        self.verb == "WATCH"
    }

    fn asked(&self) -> Asked {
        Asked {
            group: self.group.clone(),
            resource: self.resource.clone(),
            scope: self.scope,
            subresource: self.subresource.clone(),
            verb: self.verb,
            version: self.version.clone(),
        }
    }

    /// A stream began (1) or ended (-1).
    pub(crate) fn long_running(&self, by: i64) {
        self.long_running.fetch_add(by, Relaxed);
    }

    /// Whether somebody but the server itself asked for what is deprecated.
    fn is_deprecated(&self) -> bool {
        let total: u64 = self.by_code().iter().map(|(_, count)| count).sum();
        DEPRECATED.contains(&(self.version.as_str(), self.resource.as_str()))
            && self.group.is_empty()
            && total > self.own.load(Relaxed)
    }

    fn by_code(&self) -> Vec<(u16, u64)> {
        let known = CODES.iter().zip(&self.codes).map(|(code, count)| (*code, count.load(Relaxed)));
        let mut all: Vec<(u16, u64)> = known.filter(|(_, count)| *count > 0).collect();
        all.extend(self.other_codes.lock().iter().map(|(code, count)| (*code, *count)));
        all.sort_unstable();
        all
    }

    /// The labels that all families have, in Prometheus' order.
    fn labels(&self) -> Vec<(&str, &str)> {
        vec![
            ("component", "apiserver"),
            ("group", &self.group),
            ("resource", &self.resource),
            ("scope", self.scope),
            ("subresource", &self.subresource),
            ("verb", self.verb),
            ("version", &self.version),
        ]
    }

    fn with<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut labels = self.labels();
        labels.extend_from_slice(more);
        labels.sort_unstable();
        labels
    }

    fn dry_run(&self) -> (&'static str, &'static str) {
        ("dry_run", if self.dry_run { "All" } else { "" })
    }
}

/// All rows.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    rows: Table<Row>,
    /// Answers of others that were cut off.
    aborts: Mutex<BTreeMap<Asked, u64>>,
}

impl Requests {
    /// The row of a request for what this server has. What it has not is not counted: anybody can
    /// make up names.
    pub(crate) fn row(&self, parsed: &Parsed, catalog: &Catalog) -> Option<Arc<Row>> {
        let labels = Labels::of(parsed)?;
        self.rows.row(
            &labels,
            |row| row.is(&labels),
            || {
                let known = !parsed.info.resource_request
                    || catalog.find(labels.group, labels.version, labels.resource).is_some_and(|served| {
                        labels.subresource.is_empty() || served.subresource(labels.subresource).is_some()
                    });
                known.then(|| Row::new(&labels))
            },
        )
    }

    /// An answer of somebody else's that had begun was cut off.
    pub(crate) fn aborted(&self, asked: Asked) {
        *self.aborts.lock().entry(asked).or_default() += 1;
    }

    pub(super) fn write(&self, text: &mut Text) {
        let mut rows = self.rows.all();
        rows.retain(|row| !row.seconds.is_empty() || row.long_running.load(Relaxed) != 0);
        rows.sort_by(|a, b| (a.labels(), a.dry_run).cmp(&(b.labels(), b.dry_run)));
        let name = "apiserver_request_aborts_total";
        text.family(name, "counter", "[ALPHA] Answers that were cut off after they had begun.");
        let mut aborts = self.aborts.lock().clone();
        for row in rows.iter().filter(|row| row.aborts.load(Relaxed) > 0) {
            *aborts.entry(row.asked()).or_default() += row.aborts.load(Relaxed);
        }
        for (asked, count) in &aborts {
            text.sample(name, &asked.labels(), *count as f64);
        }
        let name = "apiserver_request_total";
        text.family(name, "counter", "[STABLE] Requests answered, by what they asked for and by HTTP code.");
        for row in &rows {
            for (code, count) in row.by_code() {
                let code = code.to_string();
                text.sample(name, &row.with(&[row.dry_run(), ("code", &code)]), count as f64);
            }
        }
        type Pick = fn(&Row) -> &Histogram;
        let families: [(&str, &str, bool, Pick); 3] = [
            (
                "apiserver_request_duration_seconds",
                "[STABLE] Seconds until a request was answered.",
                true,
                |row| &row.seconds,
            ),
            (
                "apiserver_request_sli_duration_seconds",
                "[STABLE] Seconds until a request was answered, without streams.",
                true,
                |row| &row.sli_seconds,
            ),
            ("apiserver_response_sizes", "[STABLE] Bytes of the answers to reads.", false, |row| &row.sizes),
        ];
        for (name, help, dry_run, pick) in families {
            text.family(name, "histogram", help);
            for row in rows.iter().filter(|row| !pick(row).is_empty()) {
                let labels = if dry_run { row.with(&[row.dry_run()]) } else { row.labels() };
                text.histogram(name, &labels, pick(row));
            }
        }
        let name = "apiserver_longrunning_requests";
        text.family(name, "gauge", "[STABLE] Streams that are open now.");
        // Dry runs are not told apart here.
        let mut open = BTreeMap::new();
        for row in rows.iter().filter(|row| matches!(row.verb, "WATCH" | "CONNECT")) {
            *open.entry(row.labels()).or_insert(0) += row.long_running.load(Relaxed);
        }
        for (labels, count) in open {
            text.sample(name, &labels, count as f64);
        }
        let name = "apiserver_requested_deprecated_apis";
        text.family(name, "gauge", "[STABLE] Deprecated APIs that somebody asked for.");
        let deprecated = rows.iter().filter(|row| row.is_deprecated());
        let deprecated: BTreeSet<_> =
            deprecated.map(|row| (&row.group, &row.resource, &row.subresource, &row.version)).collect();
        for (group, resource, subresource, version) in deprecated {
            let labels = [
                ("group", group.as_str()),
                ("removed_release", ""),
                ("resource", resource),
                ("subresource", subresource),
                ("version", version),
            ];
            text.sample(name, &labels, 1.0);
        }
        let name = "apiserver_selfrequest_total";
        text.family(name, "counter", "[ALPHA] Requests of the server's client of itself.");
        let mut own = BTreeMap::new();
        for row in &rows {
            let labels = (&row.group, &row.resource, &row.subresource, row.verb, &row.version);
            *own.entry(labels).or_insert(0) += row.own.load(Relaxed);
        }
        for ((group, resource, subresource, verb, version), count) in own.into_iter().filter(|(_, n)| *n > 0)
        {
            let labels = [
                ("group", group.as_str()),
                ("resource", resource),
                ("subresource", subresource),
                ("verb", verb),
                ("version", version),
            ];
            text.sample(name, &labels, count as f64);
        }
    }
}
