//! The arithmetic of a budget, free of requests.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use world::{Wall, rfc3339};

use crate::{objects::condition, pods::is_ready, workloads::scaled};

/// How long an eviction may take until the pod has its deletion timestamp (`DeletionTimeout`).
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

/// What comes of looking at a budget and its pods.
pub(super) struct Verdict<'a> {
    /// What is to be written; `None` when it is there already.
    pub status: Option<Value>,
    /// When an announced eviction is overdue.
    pub recheck: Option<Duration>,
    /// Pods whose eviction was announced and never came.
    pub overdue: Vec<&'a Value>,
}

pub(super) fn of<'a>(budget: &Value, pods: &'a [Arc<Value>], expected: i64, now: Wall) -> Verdict<'a> {
    let at = |field: &str| budget.pointer(&format!("/spec/{field}")).filter(|v| !v.is_null());
    let desired = match (at("maxUnavailable"), at("minAvailable")) {
        (Some(max), _) => (expected - scaled(Some(max), expected, true)).max(0),
        (None, min) => scaled(min, expected, true),
    };
    let announced = budget.pointer("/status/disruptedPods").and_then(Value::as_object);
    let (mut disrupted, mut overdue, mut recheck) = (Map::new(), Vec::new(), None::<SignedDuration>);
    for pod in pods.iter().filter(|p| !p.is_terminating()) {
        let name = pod.name();
        let Some(since) = announced.and_then(|a| a.get(name)) else { continue };
        let begun: Wall = since.as_str().and_then(|s| s.parse().ok()).unwrap_or(now);
        let left = DELETION_TIMEOUT - now.duration_since(begun);
        if left.is_negative() {
            overdue.push(&**pod);
        } else {
            disrupted.insert(name.to_owned(), since.clone());
            recheck = Some(recheck.map_or(left, |r| r.min(left)));
        }
    }
    let healthy = |p: &&Arc<Value>| !p.is_terminating() && !disrupted.contains_key(p.name()) && is_ready(p);
    let healthy = i64::try_from(pods.iter().filter(healthy).count()).unwrap_or(i64::MAX);
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
    let generation = budget.i64_at("/metadata/generation").unwrap_or(0);
    let mut status = json!({
        "conditions": [allowed_condition(budget, allowed, generation, now)],
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": generation,
    });
    if !disrupted.is_empty() {
        status["disruptedPods"] = disrupted.into();
    }
    let recheck = recheck.map(|r| Duration::try_from(r).unwrap_or_default() + Duration::from_secs(1));
    Verdict { status: (budget.get("status") != Some(&status)).then_some(status), recheck, overdue }
}

fn allowed_condition(budget: &Value, allowed: i64, generation: i64, now: Wall) -> Value {
    let (value, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    written(budget, value, reason, "", generation, now)
}

fn written(budget: &Value, value: &str, reason: &str, message: &str, generation: i64, now: Wall) -> Value {
    let since = condition(budget, "DisruptionAllowed")
        .filter(|c| c.str_at("/status") == value)
        .map(|c| c.str_at("/lastTransitionTime").to_owned());
    json!({
        "lastTransitionTime": since.unwrap_or_else(|| rfc3339(now)),
        "message": message,
        "observedGeneration": generation,
        "reason": reason,
        "status": value,
        "type": "DisruptionAllowed",
    })
}

/// The status when the pods could not be counted: nothing is allowed.
pub(super) fn failed(budget: &Value, why: &str, now: Wall) -> Value {
    let mut status = budget.get("status").filter(|s| s.is_object()).cloned().unwrap_or_else(|| json!({}));
    let observed = budget.i64_at("/status/observedGeneration").unwrap_or(0);
    status["disruptionsAllowed"] = 0.into();
    status["conditions"] = json!([written(budget, "False", "SyncFailed", why, observed, now)]);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:10:00Z";

    fn pod(name: &str, ready: bool) -> Arc<Value> {
        let ready = if ready { "True" } else { "False" };
        Arc::new(json!({
            "metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
    }

    /// healthy, desired, allowed of `letters`: r ready, n not.
    fn check(spec: Value, letters: &str, expected: i64, disrupted: Value, expect: [i64; 3]) {
        let budget =
            json!({"metadata": {"generation": 1}, "spec": spec, "status": {"disruptedPods": disrupted}});
        let pods: Vec<Arc<Value>> =
            letters.chars().enumerate().map(|(i, c)| pod(&format!("p{i}"), c == 'r')).collect();
        let now = NOW.parse().expect("a time");
        let status = of(&budget, &pods, expected, now).status.expect("something new");
        let got = ["currentHealthy", "desiredHealthy", "disruptionsAllowed"]
            .map(|field| status[field].as_i64().expect("a number"));
        assert_eq!(got, expect, "{spec} of {letters}");
    }

    #[test]
    fn how_many_may_go() {
        check(json!({"minAvailable": 2}), "rrr", 3, json!({}), [3, 2, 1]);
        check(json!({"minAvailable": 2}), "rrn", 3, json!({}), [2, 2, 0]);
        check(json!({"minAvailable": "50%"}), "rrr", 3, json!({}), [3, 2, 1]);
        check(json!({"maxUnavailable": 1}), "rrr", 3, json!({}), [3, 2, 1]);
        check(json!({"maxUnavailable": "30%"}), "rrr", 3, json!({}), [3, 2, 1]);
        check(json!({"maxUnavailable": 1}), "rr", 3, json!({}), [2, 2, 0]);
        check(json!({"maxUnavailable": 5}), "rrr", 3, json!({}), [3, 0, 3]);
        check(json!({"minAvailable": 0}), "", 0, json!({}), [0, 0, 0]);
        // An announced eviction counts as done for two minutes.
        check(json!({"minAvailable": 2}), "rrr", 3, json!({"p0": "2026-01-01T00:08:00Z"}), [2, 2, 0]);
        check(json!({"minAvailable": 2}), "rrr", 3, json!({"p0": "2026-01-01T00:07:59Z"}), [3, 2, 1]);
    }
}
