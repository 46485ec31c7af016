//! The condition Progressing: whether a rollout gets on, is done, or is stuck
//! (`pkg/controller/deployment/progress.go`).

use std::time::Duration;

use api::object::ObjectExt as _;
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::{Wall, rfc3339};

use crate::objects::condition;

/// What the replica sets of a deployment add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub replicas: i64,
    pub updated: i64,
    pub ready: i64,
    pub available: i64,
}

impl Counts {
    fn shown(deployment: &Value) -> Self {
        let at = |field: &str| deployment.i64_at(&format!("/status/{field}")).unwrap_or(0);
        Self {
            replicas: at("replicas"),
            updated: at("updatedReplicas"),
            ready: at("readyReplicas"),
            available: at("availableReplicas"),
        }
    }

    fn complete(self, wanted: i64) -> bool {
        self.updated == wanted && self.replicas == wanted && self.available == wanted
    }

    fn further_than(self, before: Self) -> bool {
        self.updated > before.updated
            || self.replicas - self.updated < before.replicas - before.updated
            || self.ready > before.ready
            || self.available > before.available
    }
}

/// What happened to the deployment in this sync.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    pub counts: Counts,
    pub wanted: i64,
    /// The set of the present template.
    pub set: Option<&'a str>,
    /// It was made in this sync.
    pub created: bool,
    pub paused: bool,
    pub now: Wall,
}

/// A condition whose times move as upstream's: the first with the status, the second with any news.
pub(super) fn written(
    deployment: &Value,
    kind: &str,
    [status, reason]: [&str; 2],
    message: &str,
    renewed: bool,
    now: Wall,
) -> Value {
    let now = rfc3339(now);
    let old = condition(deployment, kind);
    let since =
        old.filter(|c| c.str_at("/status") == status).map(|c| c.str_at("/lastTransitionTime").to_owned());
    let same = old.filter(|c| {
        !renewed
            && c.str_at("/status") == status
            && c.str_at("/reason") == reason
            && c.str_at("/message") == message
    });
    json!({
        "lastTransitionTime": since.unwrap_or_else(|| now.clone()),
        "lastUpdateTime": same.map_or(now, |c| c.str_at("/lastUpdateTime").to_owned()),
        "message": message,
        "reason": reason,
        "status": status,
        "type": kind,
    })
}

/// How long a rollout may stand still.
fn deadline(deployment: &Value) -> Option<SignedDuration> {
    let seconds = deployment.i64_at("/spec/progressDeadlineSeconds").unwrap_or(600);
    (seconds < i64::from(i32::MAX)).then(|| SignedDuration::from_secs(seconds))
}

/// The condition, and when it is to be looked at again; `None` for a deployment that has none.
pub(super) fn progressing(deployment: &Value, turn: &Turn<'_>) -> (Option<Value>, Option<Duration>) {
    let old = condition(deployment, "Progressing");
    let reason = old.map_or("", |c| c.str_at("/reason"));
    let Some(deadline) = deadline(deployment) else { return (None, None) };
    let set = turn.set.unwrap_or_else(|| deployment.name());
    let new = |status: &str, reason: &str, words: &str, renewed: bool| {
        Some(written(deployment, "Progressing", [status, reason], words, renewed, turn.now))
    };
    if turn.paused {
        let known = matches!(reason, "DeploymentPaused" | "ProgressDeadlineExceeded");
        let found = if known {
            old.cloned()
        } else {
            new("Unknown", "DeploymentPaused", "Deployment is paused", false)
        };
        return (found, None);
    }
    if turn.created {
        let words = format!("Created new replica set {set:?}");
        return (new("True", "NewReplicaSetCreated", &words, true), Some(wait(deadline)));
    }
    if turn.counts.complete(turn.wanted) {
        let words = format!("ReplicaSet {set:?} has successfully progressed.");
        return (new("True", "NewReplicaSetAvailable", &words, false), None);
    }
    if reason == "NewReplicaSetAvailable" && turn.counts.replicas == turn.counts.updated {
        // The rollout was over before: what a ready pod does later is no rollout.
        return (old.cloned(), None);
    }
    if turn.counts.further_than(Counts::shown(deployment)) {
        let words = format!("ReplicaSet {set:?} is progressing.");
        return (new("True", "ReplicaSetUpdated", &words, true), Some(wait(deadline)));
    }
    let Some(old) = old else {
        let words = format!("Found new replica set {set:?}");
        return (new("True", "FoundNewReplicaSet", &words, false), Some(wait(deadline)));
    };
    if reason == "DeploymentPaused" {
        let words = "Deployment is resumed";
        return (new("Unknown", "DeploymentResumed", words, false), Some(wait(deadline)));
    }
    let since = old.time_at("/lastUpdateTime").unwrap_or(turn.now);
    let left = deadline - turn.now.duration_since(since);
    if reason == "ProgressDeadlineExceeded" || (reason != "NewReplicaSetAvailable" && left.is_negative()) {
        let words = format!("ReplicaSet {set:?} has timed out progressing.");
        return (new("False", "ProgressDeadlineExceeded", &words, false), None);
    }
    (Some(old.clone()), Some(wait(left)))
}

/// A second later than needed, so that the deadline has passed for sure.
fn wait(left: SignedDuration) -> Duration {
    Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:10:00Z";

    fn check(
        old: Option<(&str, &str, &str)>,
        shown: [i64; 4],
        counts: [i64; 4],
        paused: bool,
        expect: [&str; 2],
    ) {
        let mut deployment = json!({
            "metadata": {"name": "web"},
            "spec": {"progressDeadlineSeconds": 60},
            "status": {"replicas": shown[0], "updatedReplicas": shown[1], "readyReplicas": shown[2], "availableReplicas": shown[3]},
        });
        if let Some((status, reason, at)) = old {
            deployment["status"]["conditions"] =
                json!([{"type": "Progressing", "status": status, "reason": reason, "lastUpdateTime": at}]);
        }
        let [replicas, updated, ready, available] = counts;
        let counts = Counts { replicas, updated, ready, available };
        let now = NOW.parse().expect("a time");
        let turn = Turn { counts, wanted: 3, set: Some("web-1"), created: false, paused, now };
        let (condition, _) = progressing(&deployment, &turn);
        let condition = condition.expect("one");
        assert_eq!([condition.str_at("/status"), condition.str_at("/reason")], expect, "{old:?} {counts:?}");
    }

    #[test]
    fn a_rollout_gets_on_or_not() {
        let updated = |at| Some(("True", "ReplicaSetUpdated", at));
        let still = [3, 1, 2, 2];
        check(None, [0; 4], [0; 4], false, ["True", "FoundNewReplicaSet"]);
        check(None, still, [3, 2, 2, 2], false, ["True", "ReplicaSetUpdated"]);
        check(updated("2026-01-01T00:09:00Z"), still, still, false, ["True", "ReplicaSetUpdated"]);
        check(updated("2026-01-01T00:08:59Z"), still, still, false, ["False", "ProgressDeadlineExceeded"]);
        check(updated("2026-01-01T00:08:59Z"), still, [3, 1, 3, 2], false, ["True", "ReplicaSetUpdated"]);
        check(
            updated("2026-01-01T00:09:00Z"),
            still,
            [3, 3, 3, 3],
            false,
            ["True", "NewReplicaSetAvailable"],
        );
        let over = Some(("False", "ProgressDeadlineExceeded", "2026-01-01T00:00:00Z"));
        check(over, still, still, false, ["False", "ProgressDeadlineExceeded"]);
        check(over, still, [3, 3, 3, 3], false, ["True", "NewReplicaSetAvailable"]);
        // A pod that fails later does not make a finished rollout time out.
        let done = Some(("True", "NewReplicaSetAvailable", "2026-01-01T00:00:00Z"));
        check(done, [3, 3, 3, 3], [3, 3, 2, 2], false, ["True", "NewReplicaSetAvailable"]);
        check(updated("2026-01-01T00:09:00Z"), still, still, true, ["Unknown", "DeploymentPaused"]);
        let paused = Some(("Unknown", "DeploymentPaused", "2026-01-01T00:00:00Z"));
        check(paused, still, still, false, ["Unknown", "DeploymentResumed"]);
    }
}
