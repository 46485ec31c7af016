//! How long plugins took over writes, and what policies said of them.

use std::{sync::OnceLock, time::Duration};

use super::{
    histogram::Histogram,
    labelled::{Counters, Times},
    text::Text,
};
use crate::admission::{Operation, Plugin};

/// Upstream's buckets.
const SECONDS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5];
/// Of policies, whose expressions are quick.
const CHECK_SECONDS: &[f64] = &[0.000_000_5, 0.001, 0.01, 0.1, 1.0];
const OPERATIONS: [Operation; 4] =
    [Operation::Connect, Operation::Create, Operation::Delete, Operation::Update];
const STEPS: [&str; 2] = ["admit", "validate"];

/// Which of the two passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Admit,
    Validate,
}

/// Times by operation, pass, and whether they ended in a refusal. Nothing is allocated for one that was seen before.
#[derive(Debug)]
struct Table([OnceLock<Histogram>; OPERATIONS.len() * STEPS.len() * 2]);

impl Default for Table {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

fn place(operation: Operation, step: Step, rejected: bool) -> usize {
    let operation = OPERATIONS.iter().position(|known| *known == operation).unwrap_or_default();
    (operation * STEPS.len() + step as usize) * 2 + usize::from(rejected)
}

impl Table {
    fn observe(&self, operation: Operation, step: Step, rejected: bool, elapsed: Duration) {
        if let Some(of) = self.0.get(place(operation, step, rejected)) {
            of.get_or_init(|| Histogram::new(SECONDS)).observe(elapsed.as_secs_f64());
        }
    }

    fn write(&self, text: &mut Text, name: &str, plugin: Option<&str>) {
        for operation in OPERATIONS {
            for rejected in [false, true] {
                for (step, shown) in [Step::Admit, Step::Validate].into_iter().zip(STEPS) {
                    let Some(histogram) =
                        self.0.get(place(operation, step, rejected)).and_then(OnceLock::get)
                    else {
                        continue;
                    };
                    let rejected = if rejected { "true" } else { "false" };
                    let rest = [("operation", operation.as_str()), ("rejected", rejected), ("type", shown)];
                    let labels: Vec<_> = plugin.map(|name| ("name", name)).into_iter().chain(rest).collect();
                    text.histogram(name, &labels, histogram);
                }
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct AdmissionCounts {
    steps: Table,
    /// By the plugin's number.
    plugins: Box<[Table]>,
    /// Labels: policy, binding, kind of error, action.
    validating: Counters<4>,
    validating_times: Times<4>,
    mutating: Counters<3>,
    mutating_times: Times<3>,
}

impl Default for AdmissionCounts {
    fn default() -> Self {
        Self {
            steps: Table::default(),
            plugins: Plugin::all().map(|_| Table::default()).collect(),
            validating: Counters::default(),
            validating_times: Times::new(CHECK_SECONDS),
            mutating: Counters::default(),
            mutating_times: Times::new(CHECK_SECONDS),
        }
    }
}

impl AdmissionCounts {
    /// A pass has ended.
    pub(crate) fn step(&self, operation: Operation, step: Step, rejected: bool, elapsed: Duration) {
        self.steps.observe(operation, step, rejected, elapsed);
    }

    /// A plugin was asked, if it is for that operation at all.
    pub(crate) fn plugin(
        &self,
        plugin: Plugin,
        (operation, step): (Operation, Step),
        rejected: bool,
        elapsed: Duration,
    ) {
        let handled = plugin.handles(operation);
        if let Some(table) = self.plugins.get(plugin as usize).filter(|_| handled) {
            table.observe(operation, step, rejected, elapsed);
        }
    }

    /// A validating policy was found violated, or to have an error; what its binding made of it.
    pub(crate) fn checked(&self, names: (&str, &str), error: &str, action: &str, elapsed: Duration) {
        let labels = [names.0, names.1, error, action];
        self.validating.add(labels, 1);
        self.validating_times.observe(labels, elapsed);
    }

    /// A mutating policy was asked.
    pub(crate) fn mutated(&self, names: (&str, &str), error: &str, elapsed: Duration) {
        let labels = [names.0, names.1, error];
        self.mutating.add(labels, 1);
        self.mutating_times.observe(labels, elapsed);
    }

    pub(super) fn write(&self, text: &mut Text) {
        let name = "apiserver_admission_controller_admission_duration_seconds";
        text.family(name, "histogram", "[STABLE] Seconds that admission plugins took.");
        let mut plugins: Vec<(String, &Table)> =
            Plugin::all().zip(&self.plugins).map(|(plugin, table)| (format!("{plugin:?}"), table)).collect();
        plugins.sort_by(|a, b| a.0.cmp(&b.0));
        for (plugin, table) in &plugins {
            table.write(text, name, Some(plugin));
        }
        let name = "apiserver_admission_step_admission_duration_seconds";
        text.family(name, "histogram", "[STABLE] Seconds that a pass of admission took.");
        self.steps.write(text, name, None);
    }

    /// The families that stand before and behind those of admission, by their names.
    pub(super) fn write_policies(&self, text: &mut Text, mutating: bool) {
        let (policy, binding, error) = ("policy", "policy_binding", "error_type");
        if mutating {
            let keys = [policy, binding, error];
            let (name, help) = (
                "apiserver_mutating_admission_policy_check_duration_seconds",
                "[ALPHA] Seconds that mutating policies took.",
            );
            self.mutating_times.write(text, (name, help), keys);
            let (name, help) = (
                "apiserver_mutating_admission_policy_check_total",
                "[ALPHA] Mutating policies that were asked, with their bindings.",
            );
            self.mutating.write(text, (name, help), keys);
            return;
        }
        let keys = [policy, binding, error, "enforcement_action"];
        let (name, help) = (
            "apiserver_validating_admission_policy_check_duration_seconds",
            "[BETA] Seconds that validating policies took.",
        );
        self.validating_times.write(text, (name, help), keys);
        let (name, help) = (
            "apiserver_validating_admission_policy_check_total",
            "[BETA] Validating policies that were violated or failed, with what their bindings made of it.",
        );
        self.validating.write(text, (name, help), keys);
    }
}
