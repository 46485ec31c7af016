//! What admission webhooks were asked, and what became of it.

use std::time::Duration;

use super::{
    labelled::{Counters, Times},
    text::Text,
};

/// Upstream's buckets.
const SECONDS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];
/// Higher codes are counted as this one: there are enough of them without.
const HIGHEST_CODE: u16 = 600;

/// See the module.
#[derive(Debug)]
pub(crate) struct WebhookCounts {
    durations: Times<4>,
    requests: Counters<5>,
    rejections: Counters<5>,
    fail_open: Counters<2>,
    condition_errors: Counters<4>,
    condition_exclusions: Counters<4>,
}

impl Default for WebhookCounts {
    fn default() -> Self {
        Self {
            durations: Times::new(SECONDS),
            requests: Counters::default(),
            rejections: Counters::default(),
            fail_open: Counters::default(),
            condition_errors: Counters::default(),
            condition_exclusions: Counters::default(),
        }
    }
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
        self.requests.add([name, step, operation, &code, &rejected], 1);
        self.durations.observe([name, step, operation, &rejected], elapsed);
    }

    /// A request was refused because of a webhook.
    pub(crate) fn rejected(&self, name: &str, step: &str, operation: &str, error: &str, code: u16) {
        let code = code.min(HIGHEST_CODE).to_string();
        self.rejections.add([name, step, operation, error, &code], 1);
    }

    /// A request went on although a webhook could not be asked.
    pub(crate) fn failed_open(&self, name: &str, step: &str) {
        self.fail_open.add([name, step], 1);
    }

    /// Conditions were evaluated that did not all hold.
    pub(crate) fn conditions(&self, name: &str, step: &str, operation: &str, errors: usize, excluded: bool) {
        let labels = [name, "webhook", step, operation];
        if errors > 0 {
            self.condition_errors.add(labels, u64::try_from(errors).unwrap_or(u64::MAX));
        }
        if excluded {
            self.condition_exclusions.add(labels, 1);
        }
    }

    pub(super) fn write(&self, text: &mut Text) {
        let conditions = ["name", "kind", "type", "operation"];
        let (name, help) = (
            "apiserver_admission_match_condition_evaluation_errors_total",
            "[ALPHA] Match conditions without a value.",
        );
        self.condition_errors.write(text, (name, help), conditions);
        let (name, help) = (
            "apiserver_admission_match_condition_exclusions_total",
            "[ALPHA] Requests that match conditions kept from webhooks.",
        );
        self.condition_exclusions.write(text, (name, help), conditions);
        let (name, help) = (
            "apiserver_admission_webhook_admission_duration_seconds",
            "[STABLE] Seconds until webhooks answered.",
        );
        self.durations.write(text, (name, help), ["name", "type", "operation", "rejected"]);
        let (name, help) = (
            "apiserver_admission_webhook_fail_open_count",
            "[ALPHA] Requests that went on although a webhook could not be asked.",
        );
        self.fail_open.write(text, (name, help), ["name", "type"]);
        let (name, help) = (
            "apiserver_admission_webhook_rejection_count",
            "[ALPHA] Requests that were refused because of a webhook.",
        );
        let refused = ["name", "type", "operation", "error_type", "rejection_code"];
        self.rejections.write(text, (name, help), refused);
        let (name, help) = ("apiserver_admission_webhook_request_total", "[ALPHA] Questions to webhooks.");
        self.requests.write(text, (name, help), ["name", "type", "operation", "code", "rejected"]);
    }
}
