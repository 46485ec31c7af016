//! What authorizers decided, and how webhooks among them fared.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    FILTER_DURATIONS,
    histogram::Histogram,
    labelled::{Counters, Times},
    text::Text,
};
use crate::authz::{Decision, Verdict};

/// Prometheus' own buckets.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Answers of one authorizer that decide.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    allowed: AtomicU64,
    denied: AtomicU64,
}

impl Decisions {
    pub(crate) fn count(&self, decision: Decision) {
        match decision {
            Decision::Allow => self.allowed.fetch_add(1, Relaxed),
            Decision::Deny => self.denied.fetch_add(1, Relaxed),
            Decision::NoOpinion => return,
        };
    }
}

/// What became of requests.
#[derive(Debug)]
struct Results([(&'static str, Histogram); 4]);

/// See the module.
#[derive(Debug)]
pub(crate) struct AuthzCounts {
    results: Results,
    /// By type and name.
    decisions: Mutex<BTreeMap<(&'static str, String), Arc<Decisions>>>,
    /// Labels: the webhook's name, the result.
    evaluations: Counters<2>,
    durations: Times<2>,
    fail_open: Counters<2>,
}

impl Default for AuthzCounts {
    fn default() -> Self {
        let results = ["allowed", "denied", "error", "no-opinion"];
        Self {
            results: Results(results.map(|result| (result, Histogram::new(FILTER_DURATIONS)))),
            decisions: Mutex::default(),
            evaluations: Counters::default(),
            durations: Times::new(SECONDS),
            fail_open: Counters::default(),
        }
    }
}

impl AuthzCounts {
    /// Where an authorizer counts; the same for as long as there is one of that name.
    pub(crate) fn of(&self, kind: &'static str, name: &str) -> Arc<Decisions> {
        self.decisions.lock().entry((kind, name.to_owned())).or_default().clone()
    }

    /// A request was judged.
    pub(crate) fn attempt(&self, verdict: &Verdict, elapsed: Duration) {
        let result = match verdict.decision {
            Decision::Allow => "allowed",
            _ if !verdict.errors.is_empty() => "error",
            Decision::Deny => "denied",
            Decision::NoOpinion => "no-opinion",
        };
        if let Some((_, seconds)) = self.results.0.iter().find(|(known, _)| *known == result) {
            seconds.observe(elapsed.as_secs_f64());
        }
    }

    /// A webhook answered, or did not; whether the request goes on to the next authorizer without its answer.
    pub(crate) fn evaluated(&self, webhook: &str, result: &str, elapsed: Duration, fails_open: bool) {
        self.evaluations.add([webhook, result], 1);
        self.durations.observe([webhook, result], elapsed);
        if fails_open {
            self.fail_open.add([webhook, result], 1);
        }
    }

    /// `apiserver_authorization_…`.
    pub(super) fn write(&self, text: &mut Text) {
        let name = "apiserver_authorization_decisions_total";
        text.family(name, "counter", "[ALPHA] Decisions of authorizers that ended the chain.");
        for ((kind, authorizer), decisions) in self.decisions.lock().iter() {
            for (decision, count) in [("allowed", &decisions.allowed), ("denied", &decisions.denied)] {
                let count = count.load(Relaxed);
                if count > 0 {
                    let labels = [("decision", decision), ("name", authorizer), ("type", *kind)];
                    text.sample(name, &labels, count as f64);
                }
            }
        }
        let keys = ["name", "result"];
        let (name, help) = (
            "apiserver_authorization_webhook_duration_seconds",
            "[BETA] Seconds until authorization webhooks answered.",
        );
        self.durations.write(text, (name, help), keys);
        let (name, help) = (
            "apiserver_authorization_webhook_evaluations_fail_open_total",
            "[BETA] Requests that went on although an authorization webhook gave no answer.",
        );
        self.fail_open.write(text, (name, help), keys);
        let (name, help) = (
            "apiserver_authorization_webhook_evaluations_total",
            "[BETA] Questions to authorization webhooks.",
        );
        self.evaluations.write(text, (name, help), keys);
    }

    /// `authorization_…`.
    pub(super) fn write_attempts(&self, text: &mut Text) {
        let name = "authorization_attempts_total";
        text.family(name, "counter", "[ALPHA] Requests that were to be authorized, by result.");
        for (result, seconds) in &self.results.0 {
            text.sample(name, &[("result", result)], seconds.count() as f64);
        }
        let name = "authorization_duration_seconds";
        text.family(name, "histogram", "[ALPHA] Seconds that authorization took, by result.");
        for (result, seconds) in &self.results.0 {
            text.histogram(name, &[("result", result)], seconds);
        }
    }
}
