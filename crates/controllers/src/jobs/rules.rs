//! When a job is over, how many pods it wants, and how long it waits after a failure, free of
//! requests (`pkg/controller/job/job_controller.go`, `backoff_utils.go`).

use std::time::Duration;

use api::object::ObjectExt as _;
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::Wall;

use crate::objects::{condition, condition_is};

const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);
/// Keeps a pod until its job has counted it.
pub(super) const TRACKING: &str = "batch.kubernetes.io/job-tracking";

pub(super) fn is_tracked(pod: &Value) -> bool {
    pod.list_at("/metadata/finalizers").iter().any(|f| f == TRACKING)
}

/// Whether nothing more will happen to the job; the condition that says so.
pub(super) fn finished(job: &Value) -> Option<&Value> {
    ["Complete", "Failed"].into_iter().find(|k| condition_is(job, k, "True")).and_then(|k| condition(job, k))
}

pub(super) fn is_suspended(job: &Value) -> bool {
    job.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true)
}

pub(super) fn is_indexed(job: &Value) -> bool {
    job.str_at("/spec/completionMode") == "Indexed"
}

/// Whether pods are replaced only once they have really ended.
pub(super) fn replaces_only_failed(job: &Value) -> bool {
    job.str_at("/spec/podReplacementPolicy") == "Failed"
}

/// A pod that is deleted counts as failed, so that one without a kubelet does not hold up its job.
pub(super) fn is_failed(job: &Value, pod: &Value) -> bool {
    match pod.str_at("/status/phase") {
        "Failed" => true,
        "Succeeded" => false,
        _ => pod.is_terminating() && !replaces_only_failed(job),
    }
}

/// What a sync has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub active: i64,
    pub succeeded: i64,
    pub failed: i64,
    /// Pods that failed since the last sync.
    pub new_failures: i64,
    /// Restarts of containers in pods that are still there.
    pub restarts: i64,
    /// Indexes that nobody tries any more.
    pub failed_indexes: i64,
}

/// How a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub success: bool,
    pub reason: String,
    pub message: String,
}

impl Verdict {
    pub(super) fn new(success: bool, reason: &str, message: &str) -> Self {
        Self { success, reason: reason.into(), message: message.into() }
    }

    /// The condition that comes first, while pods are still ending.
    pub(super) fn interim(&self) -> &'static str {
        if self.success { "SuccessCriteriaMet" } else { "FailureTarget" }
    }

    /// The condition that comes last.
    pub(super) fn last(&self) -> &'static str {
        if self.success { "Complete" } else { "Failed" }
    }
}

/// The verdict that an earlier sync has written.
pub(super) fn decided(job: &Value) -> Option<Verdict> {
    let of = |kind: &str, success| {
        let found = condition(job, kind).filter(|c| c.str_at("/status") == "True")?;
        Some(Verdict::new(success, found.str_at("/reason"), found.str_at("/message")))
    };
    of("FailureTarget", false).or_else(|| of("SuccessCriteriaMet", true))
}

/// How long the job may still be active; zero when its time is over.
pub(super) fn time_left(job: &Value, now: Wall) -> Option<Duration> {
    let deadline = job.i64_at("/spec/activeDeadlineSeconds")?;
    let started = job.time_at("/status/startTime").filter(|_| !is_suspended(job))?;
    let left = SignedDuration::from_secs(deadline) - now.duration_since(started);
    Some(Duration::try_from(left).unwrap_or_default())
}

pub(super) fn verdict(job: &Value, counts: Counts, now: Wall) -> Option<Verdict> {
    let limit = job.i64_at("/spec/backoffLimit").unwrap_or(6);
    let on_failure = job.str_at("/spec/template/spec/restartPolicy") == "OnFailure";
    let restarted_too_often =
        on_failure && if limit == 0 { counts.restarts > 0 } else { counts.restarts >= limit };
    if (counts.new_failures > 0 && counts.failed > limit) || restarted_too_often {
        let words = "Job has reached the specified backoff limit";
        return Some(Verdict::new(false, "BackoffLimitExceeded", words));
    }
    if time_left(job, now).is_some_and(|left| left.is_zero()) {
        return Some(Verdict::new(
            false,
            "DeadlineExceeded",
            "Job was active longer than specified deadline",
        ));
    }
    let complete = match job.i64_at("/spec/completions") {
        None => counts.succeeded > 0 && counts.active == 0,
        Some(completions) => counts.succeeded >= completions,
    };
    complete.then(|| Verdict::new(true, "CompletionsReached", "Reached expected number of succeeded pods"))
}

/// How many pods the job wants to be active.
pub(super) fn wanted(job: &Value, counts: Counts) -> i64 {
    let parallelism = job.i64_at("/spec/parallelism").unwrap_or(1);
    match job.i64_at("/spec/completions") {
        // One success ends a work queue: whoever is at work finishes, nobody new begins.
        None if counts.succeeded > 0 => counts.active,
        None => parallelism,
        Some(completions) => (completions - counts.succeeded - counts.failed_indexes).max(0).min(parallelism),
    }
}

/// Failures since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<Wall>,
}

impl Backoff {
    /// With pods that have ended since, in any order: when, and whether well.
    pub(super) fn after(mut self, mut ended: Vec<(Wall, bool)>) -> Self {
        ended.sort();
        for (at, success) in ended {
            if success {
                self.failures = 0;
            } else {
                self.failures = self.failures.saturating_add(1);
                self.last = Some(at);
            }
        }
        self
    }

    /// How long no new pod may be made: ten seconds after the first failure, twice as long after each other.
    pub(super) fn left(&self, now: Wall) -> Duration {
        let (Some(last), Some(doublings)) = (self.last, self.failures.checked_sub(1)) else {
            return Duration::ZERO;
        };
        let wait = wait_after(doublings.saturating_add(1));
        let passed = now.duration_since(last);
        Duration::try_from(SignedDuration::try_from(wait).unwrap_or_default() - passed).unwrap_or_default()
    }
}

/// Ten seconds after the first failure, twice as long after each other.
pub(super) fn wait_after(failures: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_BACKOFF)
}

/// When a pod ended: its last container, or its deletion, or now.
pub(super) fn ended_at(pod: &Value, now: Wall) -> Wall {
    let containers = pod
        .list_at("/status/containerStatuses")
        .iter()
        .filter_map(|c| c.time_at("/state/terminated/finishedAt"))
        .max();
    containers.or_else(|| pod.time_at("/metadata/deletionTimestamp").map(|t| t.min(now))).unwrap_or(now)
}

/// Sets a condition; its time moves only when its status does.
pub(super) fn set_condition(
    job: &mut Value,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
    now: Wall,
) {
    let status = if status { "True" } else { "False" };
    if condition(job, kind).is_some_and(|c| c.str_at("/status") == status && c.str_at("/reason") == reason) {
        return;
    }
    let mut all: Vec<Value> =
        job.list_at("/status/conditions").iter().filter(|c| c.str_at("/type") != kind).cloned().collect();
    let at = world::rfc3339(now);
    all.push(json!({
        "lastProbeTime": at,
        "lastTransitionTime": at,
        "message": message,
        "reason": reason,
        "status": status,
        "type": kind,
    }));
    job["status"]["conditions"] = all.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Wall {
        Wall::from_second(1_767_225_600 + seconds).expect("a time")
    }

    fn check(spec: Value, counts: Counts, expect: Option<&str>) {
        let job = json!({"spec": spec, "status": {"startTime": world::rfc3339(at(0))}});
        let found = verdict(&job, counts, at(60)).map(|v| v.reason);
        assert_eq!(found.as_deref(), expect, "{job} {counts:?}");
    }

    #[test]
    fn how_a_job_ends() {
        let none = Counts::default();
        let failed = |failed, new_failures| Counts { failed, new_failures, ..none };
        let limit = json!({"backoffLimit": 2, "completions": 1});
        check(limit.clone(), none, None);
        check(limit.clone(), failed(2, 1), None);
        check(limit.clone(), failed(3, 1), Some("BackoffLimitExceeded"));
        check(limit, Counts { succeeded: 1, ..none }, Some("CompletionsReached"));
        check(json!({"completions": 3}), Counts { succeeded: 2, active: 1, ..none }, None);
        // A work queue is done when one is and nobody works any more.
        check(json!({}), Counts { succeeded: 1, active: 1, ..none }, None);
        check(json!({}), Counts { succeeded: 1, ..none }, Some("CompletionsReached"));
        // One second before and at the deadline.
        check(json!({"completions": 1, "activeDeadlineSeconds": 61}), none, None);
        check(json!({"completions": 1, "activeDeadlineSeconds": 60}), none, Some("DeadlineExceeded"));
        let restarts = json!({"completions": 1, "backoffLimit": 2, "template": {"spec": {"restartPolicy": "OnFailure"}}});
        check(restarts.clone(), Counts { restarts: 1, ..none }, None);
        check(restarts, Counts { restarts: 2, ..none }, Some("BackoffLimitExceeded"));
    }

    #[test]
    fn how_many_pods_it_wants() {
        let check = |spec: Value, succeeded, active, expect| {
            let counts = Counts { succeeded, active, ..Counts::default() };
            assert_eq!(wanted(&json!({"spec": spec}), counts), expect, "{spec}");
        };
        check(json!({"completions": 5, "parallelism": 2}), 0, 0, 2);
        check(json!({"completions": 5, "parallelism": 2}), 4, 0, 1);
        check(json!({"completions": 5, "parallelism": 2}), 5, 0, 0);
        check(json!({"parallelism": 3}), 0, 1, 3);
        check(json!({"parallelism": 3}), 1, 2, 2);
    }

    #[test]
    fn the_wait_doubles_up_to_ten_minutes_and_a_success_ends_it() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.left(at(0)), Duration::ZERO);
        for expect in [10, 20, 40, 80, 160, 320, 600, 600] {
            backoff = backoff.after(vec![(at(0), false)]);
            assert_eq!(backoff.left(at(0)).as_secs(), expect);
            assert_eq!(backoff.left(at(expect as i64 - 1)).as_secs(), 1);
            assert_eq!(backoff.left(at(expect as i64)).as_secs(), 0);
        }
        assert_eq!(backoff.after(vec![(at(2), false), (at(1), true)]).left(at(2)).as_secs(), 10);
        assert_eq!(backoff.after(vec![(at(1), false), (at(2), true)]).left(at(2)).as_secs(), 0);
    }
}
