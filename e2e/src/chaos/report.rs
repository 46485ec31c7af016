//! What is said in the end.

use std::fmt::Write as _;

use chronoplane::chaos::{INVARIANTS, KINDS, Outcome, Plan, Shrunk, Violation};
use serde_json::{Value, json};
use world::{Event, rfc3339};

use super::runner::{Failure, Played};

const YEAR: f64 = 365.25 * 86_400.0;
/// Lines of the trace that are shown before a violation.
const BEFORE: usize = 15;
/// Failures that are told in a line each.
const TOLD: usize = 10;

/// See the module.
pub struct Report<'a> {
    /// All plans as they went.
    pub played: &'a Played,
    /// The first that failed, made small.
    pub shrunk: Option<&'a Shrunk>,
    /// `--stretch`, if it was given.
    pub stretch: Option<u32>,
}

impl Report<'_> {
    fn replay(&self, plan: &Plan) -> String {
        let stretch = self.stretch.map(|n| format!(" --stretch {n}")).unwrap_or_default();
        format!("chronoplane chaos{stretch} --replay '{}'", plan.to_line())
    }

    /// The world to look at: the first that failed, made small if it was; the last where none failed, or where the first
    /// broke off and has nothing to show.
    pub fn shown(&self) -> Option<(&Plan, &Outcome)> {
        let failed = self.played.failures.first();
        let failed = failed.and_then(|first| Some((&first.plan, first.outcome.as_ref()?)));
        let last = self.played.last.as_ref().map(|(plan, outcome)| (plan, outcome));
        self.shrunk.map(|shrunk| (&shrunk.plan, &shrunk.outcome)).or(failed).or(last)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let failures = &self.played.failures;
        for failure in failures.iter().take(TOLD) {
            let _ = writeln!(out, "✗ seed {}: {}", failure.plan.seed, failure.why);
        }
        if failures.len() > TOLD {
            let _ = writeln!(out, "  and {} more", failures.len() - TOLD);
        }
        if let Some(first) = failures.first() {
            out.push_str(&self.failure(first));
        }
        out.push_str(&self.summary());
        out
    }

    fn failure(&self, first: &Failure) -> String {
        let mut out = String::new();
        let (plan, outcome) = match self.shrunk {
            Some(shrunk) => (&shrunk.plan, Some(&shrunk.outcome)),
            None => (&first.plan, first.outcome.as_ref()),
        };
        if let Some(shrunk) = self.shrunk {
            let _ = writeln!(
                out,
                "\nseed {}: {} of its {} faults are enough ({} plans tried)",
                plan.seed,
                plan.faults.len(),
                first.plan.faults.len(),
                shrunk.tries
            );
        }
        for planned in &plan.faults {
            let what = serde_json::to_string(&planned.fault).unwrap_or_default();
            let remedy = match (planned.remedied, planned.lasts) {
                (false, _) => ", and nobody remedies it".to_owned(),
                (true, 0) => String::new(),
                (true, lasts) => format!(" for {lasts} s"),
            };
            let _ = writeln!(out, "  after {} s: {what}{remedy}", planned.at);
        }
        if let Some(outcome) = outcome {
            if let Some(violation) = outcome.violations.first() {
                let Violation { invariant, seen, at } = violation;
                let _ = writeln!(out, "{} {}: {seen}", rfc3339(*at), invariant.name);
                let _ =
                    writeln!(out, "  must hold: {}\n  allowed:   {}", invariant.claim, invariant.allowance);
            }
            let _ = writeln!(out, "\ntimeline");
            for line in timeline(outcome) {
                let _ = writeln!(out, "  {line}");
            }
        }
        let _ = writeln!(out, "\nreplay it:\n  {}\n", self.replay(plan));
        out
    }

    fn summary(&self) -> String {
        let (t, failed) = (&self.played.tally, self.played.failures.len());
        let faults: Vec<String> = t.faults.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        let all: u64 = t.faults.values().sum();
        let hindered = match t.hindered {
            0 => String::new(),
            n => format!(" ({n} of them hindered by others)"),
        };
        format!(
            "{} worlds, {failed} failed; {:.2} simulated years in {:.1} s\n\
             faults        {all}{hindered}: {}\n\
             requests      {}; writes acknowledged and compared {}, events of watches {}\n\
             handshakes    {}, of which failed {}\n\
             certificates  {} issued, {} expired\n\
             credentials   {} accepted, {} refused; what a node may not do: {} times forbidden\n\
             leases        {} terms, two holders at once {}, writes of a former holder refused {}\n\
             healing       {} s at most after the last remedy",
            t.worlds,
            t.simulated_seconds as f64 / YEAR,
            self.played.real.as_secs_f64(),
            faults.join(", "),
            t.requests,
            t.acknowledged,
            t.watched,
            t.handshakes,
            t.failed_handshakes,
            t.certificates,
            t.expired_certificates,
            t.accepted,
            t.refused,
            t.forbidden,
            t.terms,
            t.two_holders,
            t.fenced,
            t.slowest_healing_seconds,
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let failures: Vec<Value> = self.played.failures.iter().map(|f| self.failure_json(f)).collect();
        json!({
            "held": failures.is_empty(),
            "tally": self.played.tally,
            "realSeconds": self.played.real.as_secs_f64(),
            "failures": failures,
            "shrunk": self.shrunk.map(|shrunk| json!({
                "plan": shrunk.plan,
                "tries": shrunk.tries,
                "replay": self.replay(&shrunk.plan),
                "timeline": timeline(&shrunk.outcome),
            })),
        })
    }

    fn failure_json(&self, failure: &Failure) -> Value {
        let violations = failure.outcome.iter().flat_map(|outcome| &outcome.violations);
        let violations: Vec<Value> = violations
            .map(|v| json!({"invariant": v.invariant.name, "seen": v.seen, "at": rfc3339(v.at)}))
            .collect();
        json!({
            "seed": failure.plan.seed,
            "why": failure.why,
            "violations": violations,
            "plan": failure.plan,
            "replay": self.replay(&failure.plan),
        })
    }
}

/// The faults and what clocks, networks and leaders did, then the last lines before the violation.
fn timeline(outcome: &Outcome) -> Vec<String> {
    let end = outcome.events.iter().position(|event| event.kind == "violation");
    let end = end.map_or(outcome.events.len(), |at| at + 1);
    let near = end.saturating_sub(BEFORE + 1);
    let matters = |event: &Event| {
        matches!(event.kind, "fault" | "clock" | "network" | "power" | "service" | "election" | "violation")
    };
    let began = outcome.events.iter().position(|event| event.kind == "fault").unwrap_or(near);
    let told = outcome.events.iter().enumerate().take(end).skip(began.min(near));
    told.filter(|(at, event)| *at >= near || matters(event)).map(|(_, event)| event.to_string()).collect()
}

/// Which faults and invariants there are.
pub fn tables() -> String {
    let mut out = String::from("faults, what they do, and what remedies them\n");
    for kind in KINDS {
        let _ = writeln!(out, "  {:<22} {}; {}", kind.name, kind.does, kind.heals);
    }
    out.push_str("\ninvariants, and what upstream allows\n");
    for invariant in INVARIANTS {
        let _ = writeln!(
            out,
            "  {:<26} {}\n  {:<26}   allowed: {}",
            invariant.name, invariant.claim, "", invariant.allowance
        );
    }
    out.trim_end().to_owned()
}

/// The same for programs.
pub fn tables_json() -> Value {
    let faults = KINDS.iter().map(|k| json!({"fault": k.name, "does": k.does, "heals": k.heals}));
    let invariants =
        INVARIANTS.iter().map(|i| json!({"invariant": i.name, "claim": i.claim, "allowance": i.allowance}));
    json!({"faults": faults.collect::<Vec<_>>(), "invariants": invariants.collect::<Vec<_>>()})
}
