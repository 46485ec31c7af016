//! What a job's own rules say of a pod that failed, and of indexes that are done, free of requests
//! (`pkg/controller/job/pod_failure_policy.go`, `success_policy.go`, `indexed_job_utils.go`).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use jiff::SignedDuration;
use serde_json::Value;
use world::Wall;

use super::{
    indexes,
    rules::{Verdict, ended_at, wait_after},
};

/// On a pod: how often its index has failed before.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const INDEX_FAILURES_AT: &str = "/metadata/annotations/batch.kubernetes.io~1job-index-failure-count";

/// What a failed pod means for its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Count,
    Ignore,
    FailIndex,
    /// With the message of the condition.
    FailJob(String),
}

pub(super) fn limits_per_index(job: &Value) -> Option<i64> {
    job.i64_at("/spec/backoffLimitPerIndex")
}

/// The first rule of the pod failure policy that fits.
pub(super) fn effect(job: &Value, pod: &Value) -> Effect {
    if pod.str_at("/status/phase") != "Failed" {
        return Effect::Count;
    }
    for (n, rule) in job.list_at("/spec/podFailurePolicy/rules").iter().enumerate() {
        let action = rule.str_at("/action");
        let key = format!("{}/{}", pod.namespace(), pod.name());
        let why = exit_code(rule, pod)
            .map(|(container, code)| {
                format!(
                    "Container {container} for pod {key} failed with exit code {code} matching {action} rule at index {n}"
                )
            })
            .or_else(|| {
                pod_condition(rule, pod)
                    .map(|kind| format!("Pod {key} has condition {kind} matching {action} rule at index {n}"))
            });
        match (why, action) {
            (None, _) => {}
            (Some(_), "Ignore") => return Effect::Ignore,
            (Some(_), "FailIndex") if limits_per_index(job).is_some() => return Effect::FailIndex,
            (Some(why), "FailJob") => return Effect::FailJob(why),
            (Some(_), _) => return Effect::Count,
        }
    }
    Effect::Count
}

fn exit_code<'a>(rule: &Value, pod: &'a Value) -> Option<(&'a str, i64)> {
    let wanted = rule.get("onExitCodes").filter(|r| r.is_object())?;
    let only = wanted.str_at("/containerName");
    let listed = |code: i64| wanted.list_at("/values").iter().any(|v| v.as_i64() == Some(code));
    pod.list_at("/status/containerStatuses")
        .iter()
        .chain(pod.list_at("/status/initContainerStatuses").iter())
        .filter(|c| only.is_empty() || c.str_at("/name") == only)
        .filter_map(|c| Some((c.str_at("/name"), c.i64_at("/state/terminated/exitCode")?)))
        .filter(|(_, code)| *code != 0)
        .find(|(_, code)| listed(*code) == (wanted.str_at("/operator") == "In"))
}

fn pod_condition<'a>(rule: &'a Value, pod: &Value) -> Option<&'a str> {
    let status = |wanted: &Value| Some(wanted.str_at("/status").to_owned()).filter(|s| !s.is_empty());
    rule.list_at("/onPodConditions").iter().map(|wanted| (wanted.str_at("/type"), status(wanted))).find_map(
        |(kind, status)| {
            let status = status.unwrap_or_else(|| "True".into());
            let holds = pod
                .list_at("/status/conditions")
                .iter()
                .any(|c| c.str_at("/type") == kind && c.str_at("/status") == status);
            holds.then_some(kind)
        },
    )
}

/// The verdict of the success policy, if one of its rules is met.
pub(super) fn success(job: &Value, done: &BTreeSet<i64>) -> Option<Verdict> {
    let completions = job.i64_at("/spec/completions").unwrap_or(0);
    job.list_at("/spec/successPolicy/rules").iter().enumerate().find_map(|(n, rule)| {
        let wanted = indexes::parse(rule.str_at("/succeededIndexes"), completions);
        let of = if wanted.is_empty() { done.len() } else { wanted.intersection(done).count() };
        let enough = match rule.i64_at("/succeededCount") {
            Some(count) => i64::try_from(of).unwrap_or(0) >= count,
            None => !wanted.is_empty() && wanted.is_subset(done),
        };
        enough.then(|| Verdict::new(true, "SuccessPolicy", &format!("Matched rules at index {n}")))
    })
}

/// How often the index of the pod had failed before it.
fn failures_before(pod: &Value) -> i64 {
    pod.str_at(INDEX_FAILURES_AT).parse().unwrap_or(0)
}

/// Indexes that have used up their own limit: those of the status, and those of pods that are there.
pub(super) fn failed_indexes(job: &Value, pods: &[Arc<Value>]) -> BTreeSet<i64> {
    let Some(limit) = limits_per_index(job) else { return BTreeSet::new() };
    let completions = job.i64_at("/spec/completions").unwrap_or(0);
    let mut failed = indexes::parse(job.str_at("/status/failedIndexes"), completions);
    let spent = |pod: &Value| match effect(job, pod) {
        Effect::FailIndex => true,
        Effect::Ignore => false,
        _ => failures_before(pod) >= limit,
    };
    let over = pods.iter().filter(|p| p.str_at("/status/phase") == "Failed" && spent(p));
    failed.extend(over.filter_map(|p| indexes::of(p)));
    failed
}

/// How often an index has failed, and how long it waits after the last time.
pub(super) fn next_try(job: &Value, index: i64, pods: &[Arc<Value>], now: Wall) -> (i64, Duration) {
    let failed =
        pods.iter().filter(|p| indexes::of(p) == Some(index) && p.str_at("/status/phase") == "Failed");
    let counted = failed.filter(|p| effect(job, p) != Effect::Ignore);
    let Some(last) = counted.max_by_key(|p| failures_before(p)) else { return (0, Duration::ZERO) };
    let failures = failures_before(last) + 1;
    let wait = SignedDuration::try_from(wait_after(u32::try_from(failures).unwrap_or(u32::MAX)));
    let left = wait.unwrap_or_default() - now.duration_since(ended_at(last, now));
    (failures, Duration::try_from(left).unwrap_or_default())
}

/// The verdict on a job some of whose indexes have failed.
pub(super) fn verdict(job: &Value, done: &BTreeSet<i64>, failed: &BTreeSet<i64>) -> Option<Verdict> {
    if failed.is_empty() {
        return None;
    }
    let count = |set: &BTreeSet<i64>| i64::try_from(set.len()).unwrap_or(i64::MAX);
    if job.i64_at("/spec/maxFailedIndexes").is_some_and(|most| count(failed) > most) {
        let words = "Job has exceeded the specified maximal number of failed indexes";
        return Some(Verdict::new(false, "MaxFailedIndexesExceeded", words));
    }
    let all = job.i64_at("/spec/completions").is_some_and(|all| count(done) + count(failed) >= all);
    all.then(|| Verdict::new(false, "FailedIndexes", "Job has failed indexes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failed_pod(code: i64, condition: &str) -> Value {
        json!({
            "metadata": {"namespace": "n", "name": "p"},
            "status": {
                "phase": "Failed",
                "conditions": [{"type": condition, "status": "True"}],
                "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": code}}}],
            },
        })
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let job = json!({"spec": {"backoffLimitPerIndex": 1, "podFailurePolicy": {"rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
            {"action": "FailIndex", "onExitCodes": {"containerName": "c", "operator": "NotIn", "values": [1, 2]}},
        ]}}});
        let check = |code, condition: &str, expect: Effect| {
            assert_eq!(effect(&job, &failed_pod(code, condition)), expect, "{code} {condition}");
        };
        check(1, "Ready", Effect::Count);
        check(42, "DisruptionTarget", Effect::Ignore);
        check(7, "Ready", Effect::FailIndex);
        let words = "Container c for pod n/p failed with exit code 42 matching FailJob rule at index 1";
        check(42, "Ready", Effect::FailJob(words.into()));
    }

    #[test]
    fn a_success_policy_needs_not_all() {
        let check = |rule: Value, done: &[i64], met: bool| {
            let job = json!({"spec": {"completions": 5, "successPolicy": {"rules": [rule]}}});
            assert_eq!(success(&job, &done.iter().copied().collect()).is_some(), met, "{job} {done:?}");
        };
        check(json!({"succeededIndexes": "0,2-3"}), &[0, 2], false);
        check(json!({"succeededIndexes": "0,2-3"}), &[0, 2, 3], true);
        check(json!({"succeededIndexes": "0,2-3", "succeededCount": 1}), &[1], false);
        check(json!({"succeededIndexes": "0,2-3", "succeededCount": 1}), &[2], true);
        check(json!({"succeededCount": 2}), &[1, 4], true);
    }

    #[test]
    fn indexes_fail_on_their_own() {
        let job = json!({"spec": {"completions": 3, "backoffLimitPerIndex": 1, "maxFailedIndexes": 1}});
        let pod = |index: i64, before: i64| {
            let mut pod = failed_pod(1, "Ready");
            pod["metadata"]["annotations"][indexes::INDEX] = index.to_string().into();
            pod["metadata"]["annotations"][INDEX_FAILURES] = before.to_string().into();
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            Arc::new(pod)
        };
        let now = "2026-01-01T00:00:05Z".parse().expect("a time");
        let pods = [pod(0, 0), pod(1, 0), pod(1, 1)];
        let failed = failed_indexes(&job, &pods);
        assert_eq!(failed, BTreeSet::from([1]));
        assert_eq!(next_try(&job, 0, &pods, now), (1, Duration::from_secs(5)));
        assert_eq!(next_try(&job, 2, &pods, now), (0, Duration::ZERO));
        let reason = |done: &[i64], failed: &[i64]| {
            let set = |i: &[i64]| i.iter().copied().collect::<BTreeSet<i64>>();
            verdict(&job, &set(done), &set(failed)).map(|v| v.reason).unwrap_or_default()
        };
        assert_eq!(reason(&[0], &[1]), "");
        assert_eq!(reason(&[0, 2], &[1]), "FailedIndexes");
        assert_eq!(reason(&[], &[0, 1]), "MaxFailedIndexesExceeded");
    }
}
