//! Who asked, how authentication went, and which tokens of service accounts are still in use.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use wire::Peer;
use world::Wall;

use super::{DAY, FILTER_DURATIONS, HOUR, histogram::Histogram, text::Text};
use crate::identity::User;

/// Upstream's buckets: half an hour to a year.
const CERTIFICATE_SECONDS: &[f64] = &[
    0.0,
    HOUR / 2.0,
    HOUR,
    2.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    4.0 * DAY,
    7.0 * DAY,
    30.0 * DAY,
    90.0 * DAY,
    180.0 * DAY,
    360.0 * DAY,
];

/// What authentication was asked, and what it said.
#[derive(Debug)]
pub(crate) struct AuthnCounts {
    /// Nothing that anybody knew was shown, or something bad.
    results: [(&'static str, Histogram); 3],
    users: Mutex<BTreeMap<&'static str, u64>>,
    certificates: Histogram,
}

impl Default for AuthnCounts {
    fn default() -> Self {
        Self {
            results: ["error", "failure", "success"].map(|r| (r, Histogram::new(FILTER_DURATIONS))),
            users: Mutex::default(),
            certificates: Histogram::new(CERTIFICATE_SECONDS),
        }
    }
}

impl AuthnCounts {
    /// A request was looked at; `failed`: what it showed is bad.
    pub(crate) fn attempt(
        &self,
        peer: &Peer,
        now: Wall,
        user: Option<&User>,
        failed: bool,
        elapsed: Duration,
    ) {
        if let Some(leaf) = peer.certificates.first() {
            self.certificates.observe(leaf.not_after().duration_since(now).as_secs_f64());
        }
        let result = match user {
            Some(user) => {
                *self.users.lock().entry(compressed(&user.name)).or_default() += 1;
                "success"
            }
            None if failed => "error",
            None => "failure",
        };
        if let Some((_, seconds)) = self.results.iter().find(|(known, _)| *known == result) {
            seconds.observe(elapsed.as_secs_f64());
        }
    }

    pub(super) fn write_certificates(&self, text: &mut Text) {
        let help = "[ALPHA] Seconds that the client certificates shown had left.";
        let name = "apiserver_client_certificate_expiration_seconds";
        text.family(name, "histogram", help);
        text.histogram(name, &[], &self.certificates);
    }

    pub(super) fn write(&self, text: &mut Text) {
        let name = "authenticated_user_requests";
        text.family(name, "counter", "[ALPHA] Authenticated requests, by kind of user.");
        for (user, count) in self.users.lock().iter() {
            text.sample(name, &[("username", user)], *count as f64);
        }
        let name = "authentication_attempts";
        text.family(name, "counter", "[ALPHA] Requests that were to be authenticated, by result.");
        for (result, seconds) in &self.results {
            text.sample(name, &[("result", result)], seconds.count() as f64);
        }
        let name = "authentication_duration_seconds";
        text.family(name, "histogram", "[ALPHA] Seconds that authentication took, by result.");
        for (result, seconds) in &self.results {
            text.histogram(name, &[("result", result)], seconds);
        }
    }
}

/// Upstream keeps few names, so that users cannot fill the memory.
fn compressed(name: &str) -> &'static str {
    match name {
        "admin" => "admin",
        "client" => "client",
        "kube_proxy" => "kube_proxy",
        "kubelet" => "kubelet",
        "system:serviceaccount:kube-system:default" => "system:serviceaccount:kube-system:default",
        name if name.contains('@') => "email_id",
        _ => "other",
    }
}

/// Tokens of service accounts that were looked at, not those that were remembered (`pkg/serviceaccount/metrics.go`).
#[derive(Debug, Default)]
pub(crate) struct TokenCounts {
    /// From secrets.
    pub(crate) legacy: AtomicU64,
    /// From secrets that were made unasked.
    pub(crate) automatic: AtomicU64,
    /// From secrets that somebody made.
    pub(crate) manual: AtomicU64,
    /// Mounted ones that should have been read again.
    pub(crate) stale: AtomicU64,
    /// Mounted ones in their time.
    pub(crate) valid: AtomicU64,
}

impl TokenCounts {
    pub(super) fn write(&self, text: &mut Text) {
        for (name, help, count) in [
            (
                "legacy_auto_token_uses_total",
                "[ALPHA] Uses of tokens from secrets made unasked.",
                &self.automatic,
            ),
            (
                "legacy_manual_token_uses_total",
                "[ALPHA] Uses of tokens from secrets made by hand.",
                &self.manual,
            ),
            ("legacy_tokens_total", "[BETA] Uses of tokens from secrets.", &self.legacy),
            ("stale_tokens_total", "[BETA] Uses of mounted tokens that are to be read again.", &self.stale),
            ("valid_tokens_total", "[BETA] Uses of mounted tokens in their time.", &self.valid),
        ] {
            text.single(&format!("serviceaccount_{name}"), "counter", help, count.load(Relaxed) as f64);
        }
    }
}
