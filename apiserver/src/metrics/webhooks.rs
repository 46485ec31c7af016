//! What admission webhooks were asked, and what became of it.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;

use super::{histogram::Histogram, text::Text};

/// Upstream's buckets.
const SECONDS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];
/// Higher codes are counted as this one: there are enough of them without.
const HIGHEST_CODE: u16 = 600;

type Counters<const N: usize> = Mutex<BTreeMap<[String; N], u64>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct WebhookCounts {
    durations: Mutex<BTreeMap<[String; 4], Histogram>>,
    requests: Counters<5>,
    rejections: Counters<5>,
    fail_open: Counters<2>,
    condition_errors: Counters<4>,
    condition_exclusions: Counters<4>,
}

fn add<const N: usize>(counters: &Counters<N>, labels: [&str; N], more: u64) {
    *counters.lock().entry(labels.map(str::to_owned)).or_default() += more;
}

impl WebhookCounts {
    /// A webhook was asked.
    pub(crate) fn asked(
        &self,
        name: &str,
        step: &str,
        operation: &str,
        elapsed: Duration,
        rejected: bool,
        code: u16,
    ) {
        let (code, rejected) = (code.min(HIGHEST_CODE).to_string(), rejected.to_string());
        add(&self.requests, [name, step, operation, &code, &rejected], 1);
        let labels = [name, step, operation, &rejected].map(str::to_owned);
        let mut durations = self.durations.lock();
        durations.entry(labels).or_insert_with(|| Histogram::new(SECONDS)).observe(elapsed.as_secs_f64());
    }

    /// A request was refused because of a webhook.
    pub(crate) fn rejected(&self, name: &str, step: &str, operation: &str, error: &str, code: u16) {
        let code = code.min(HIGHEST_CODE).to_string();
        add(&self.rejections, [name, step, operation, error, &code], 1);
    }

    /// A request went on although a webhook could not be asked.
    pub(crate) fn failed_open(&self, name: &str, step: &str) {
        add(&self.fail_open, [name, step], 1);
    }

    /// Conditions were evaluated that did not all hold.
    pub(crate) fn conditions(&self, name: &str, step: &str, operation: &str, errors: usize, excluded: bool) {
        let labels = [name, "webhook", step, operation];
        if errors > 0 {
            add(&self.condition_errors, labels, u64::try_from(errors).unwrap_or(u64::MAX));
        }
        if excluded {
            add(&self.condition_exclusions, labels, 1);
        }
    }

    pub(super) fn write(&self, text: &mut Text) {
        let conditions = ["name", "kind", "type", "operation"];
        let asked = ["name", "type", "operation", "code", "rejected"];
        let refused = ["name", "type", "operation", "error_type", "rejection_code"];
        counters(
            text,
            ("match_condition_evaluation_errors_total", "Match conditions without a value."),
            conditions,
            &self.condition_errors,
        );
        counters(
            text,
            ("match_condition_exclusions_total", "Requests that match conditions kept from webhooks."),
            conditions,
            &self.condition_exclusions,
        );
        let name = "apiserver_admission_webhook_admission_duration_seconds";
        text.family(name, "histogram", "[STABLE] Seconds until webhooks answered.");
        for ([hook, step, operation, rejected], histogram) in self.durations.lock().iter() {
            let labels: [(&str, &str); 4] =
                [("name", hook), ("operation", operation), ("rejected", rejected), ("type", step)];
            text.histogram(name, &labels, histogram);
        }
        counters(
            text,
            ("webhook_fail_open_count", "Requests that went on although a webhook could not be asked."),
            ["name", "type"],
            &self.fail_open,
        );
        counters(
            text,
            ("webhook_rejection_count", "Requests that were refused because of a webhook."),
            refused,
            &self.rejections,
        );
        counters(text, ("webhook_request_total", "Questions to webhooks."), asked, &self.requests);
    }
}

fn counters<const N: usize>(
    text: &mut Text,
    (name, help): (&str, &str),
    keys: [&str; N],
    counters: &Counters<N>,
) {
    let name = format!("apiserver_admission_{name}");
    text.family(&name, "counter", &format!("[ALPHA] {help}"));
    for (values, count) in counters.lock().iter() {
        let mut labels: Vec<(&str, &str)> =
            keys.iter().copied().zip(values.iter().map(String::as_str)).collect();
        labels.sort_unstable();
        text.sample(&name, &labels, *count as f64);
    }
}
