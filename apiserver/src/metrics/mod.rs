//! `/metrics`: upstream's names, labels and buckets, counted without a lock that requests share.
//!
//! ```text
//!  pipeline ─▶ requests ┐
//!  watches ─▶ watches   │
//!  store ─▶ storage     ├─▶ text ─▶ page
//!  authn, authz, audit, │
//!  admission, limits    ┘
//! ```
//! A row of counters is found by a request's labels once, and shared from then on. What can be read
//! off the server when somebody asks is not counted: objects, places taken, health.

mod admission;
mod authentication;
mod authorization;
mod histogram;
mod labelled;
mod page;
mod requests;
mod storage;
mod table;
mod text;
mod watches;
mod webhooks;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};

use parking_lot::Mutex;
use store::Store;
use world::{Host, Wall};

pub(crate) use admission::{AdmissionCounts, Step};
pub(crate) use authentication::{AuthnCounts, TokenCounts};
pub(crate) use authorization::{AuthzCounts, Decisions};
pub(crate) use histogram::Histogram;
pub(crate) use page::MetricsPage;
pub(crate) use requests::{Asked, Requests, Row};
use storage::{StoreTimes, Timed};
pub(crate) use text::Text;
pub(crate) use watches::{Watches, Watching};
pub(crate) use webhooks::WebhookCounts;

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
/// Upstream's buckets of `authentication_duration_seconds` and its like: a millisecond, doubled fourteen times.
const FILTER_DURATIONS: &[f64] = &[
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
];

/// Upstream's buckets of `apiserver_request_filter_duration_seconds`.
const FILTER_SECONDS: &[f64] =
    &[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 5.0, 10.0, 15.0, 30.0];

/// How long requests spend in upstream's filters.
#[derive(Debug)]
pub(crate) struct Filters {
    pub(crate) authentication: Histogram,
    pub(crate) impersonation: Histogram,
    pub(crate) fairness: Histogram,
    pub(crate) authorization: Histogram,
}

impl Filters {
    fn new() -> Self {
        let histogram = || Histogram::new(FILTER_SECONDS);
        Self {
            authentication: histogram(),
            impersonation: histogram(),
            fairness: histogram(),
            authorization: histogram(),
        }
    }

    fn write(&self, text: &mut Text) {
        let name = "apiserver_request_filter_duration_seconds";
        text.family(name, "histogram", "[ALPHA] Seconds that requests spent in a filter.");
        for (filter, seconds) in [
            ("authentication", &self.authentication),
            ("authorization", &self.authorization),
            ("impersonation", &self.impersonation),
            ("priorityandfairness", &self.fairness),
        ] {
            text.histogram(name, &[("filter", filter)], seconds);
        }
    }
}

/// All counters of one server.
#[derive(Debug)]
pub struct Metrics {
    pub(crate) requests: Requests,
    pub(crate) watches: Arc<Watches>,
    pub(crate) filters: Filters,
    pub(crate) authn: AuthnCounts,
    /// 401, 429, 503, 504 that were given before anybody looked at what was asked, by code.
    pub(crate) terminations: Mutex<BTreeMap<u16, u64>>,
    pub(crate) audit_events: AtomicU64,
    pub(crate) handshake_errors: Arc<AtomicU64>,
    pub(crate) loopback: Arc<client::Tally>,
    store: Arc<StoreTimes>,
    started: Wall,
}

impl Metrics {
    /// All at zero, for a server that starts now.
    pub(crate) fn new(host: &Host, loopback: Arc<client::Tally>) -> Self {
        Self {
            requests: Requests::default(),
            watches: Arc::default(),
            filters: Filters::new(),
            authn: AuthnCounts::default(),
            terminations: Mutex::default(),
            audit_events: AtomicU64::new(0),
            handshake_errors: Arc::default(),
            loopback,
            store: Arc::default(),
            started: host.clock().wall(),
        }
    }

    /// The store, timed.
    pub(crate) fn store(&self, host: &Host, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Timed { inner, clock: host.clock().clone(), times: self.store.clone() })
    }

    /// A request was sent away before anybody looked at what it asked for.
    pub(crate) fn terminated(&self, code: u16) {
        *self.terminations.lock().entry(code).or_default() += 1;
    }
}
