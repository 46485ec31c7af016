//! replicaset: as many pods as asked for, adopted by selector, deleted in upstream's order.

use std::sync::Arc;

use client::{ClientError, Informer, Rest, WorkQueue, recorder::Recorder, run_workers};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::cmp::Reverse;
use world::{Host, Wall};

use super::REPLICA_SETS;
use crate::{
    context::Context,
    expectations::Expectations,
    objects::{condition, condition_is, is_deleting, number, text, time},
    pods::{PODS, claimed, delete_for, from_template, interested, is_active, is_available, is_ready},
};

const WORKERS: usize = 5;
/// Creations and deletions of one sync.
const BURST: usize = 500;
#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    sets: Informer,
    pods: Informer,
    expectations: Arc<Expectations>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("replicaset-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "replicaset-controller"),
        rest,
        sets: c.informer(REPLICA_SETS),
        pods: c.informer(PODS),
        expectations: Arc::default(),
    };
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let feed = queue.clone();
    this.sets.on(move |change| feed.add(change.key()));
    let (feed, sets) = (queue.clone(), this.sets.clone());
    this.pods.on(move |change| interested(&sets, change.object()).into_iter().for_each(|key| feed.add(key)));
    run_workers(&c.host, WORKERS, &queue, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await.map_err(|e| e.to_string()) }
    });
}

impl Loop {
    async fn sync(&self, key: &str) -> Result<(), ClientError> {
        let Some(set) = self.sets.get_key(key) else {
            self.expectations.forget(key);
            return Ok(());
        };
        let pods = claimed(&self.rest, &self.pods, &set).await?;
        let active: Vec<Arc<Value>> = pods.into_iter().filter(|p| is_active(p)).collect();
        let wanted = usize::try_from(number(&set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
        let settled = self.expectations.fulfilled(key, &self.pods, self.host.clock().monotonic());
        let outcome =
            if settled && !is_deleting(&set) { self.scale(key, &set, &active, wanted).await } else { Ok(()) };
        self.report(&set, &active, outcome.as_ref().err()).await?;
        outcome
    }

    async fn scale(
        &self,
        key: &str,
        set: &Value,
        active: &[Arc<Value>],
        wanted: usize,
    ) -> Result<(), ClientError> {
        if active.len() < wanted {
            return self.create(key, set, (wanted - active.len()).min(BURST)).await;
        }
        let mut victims: Vec<&Arc<Value>> = active.iter().collect();
        victims.sort_by_cached_key(|pod| deletion_rank(pod, active, self.host.clock().wall()));
        for pod in victims.into_iter().take((active.len() - wanted).min(BURST)) {
            if delete_for(&self.rest, &self.recorder, set, pod).await? {
                self.expectations.deleted(key, pod, self.host.clock().monotonic());
            }
        }
        Ok(())
    }

    /// In batches of 1, 2, 4, … so that a quota is not hammered; ends with the first error.
    async fn create(&self, key: &str, set: &Value, count: usize) -> Result<(), ClientError> {
        let (mut left, mut batch) = (count, 1);
        while left > 0 {
            for _ in 0..batch.min(left) {
                self.create_one(key, set).await?;
            }
            left -= batch.min(left);
            batch *= 2;
        }
        Ok(())
    }

    async fn create_one(&self, key: &str, set: &Value) -> Result<(), ClientError> {
        let namespace = text(set, "/metadata/namespace");
        let pod = from_template(set);
        match self.rest.create(&PODS, Some(namespace), &pod).await {
            Ok(created) => {
                let name = text(&created, "/metadata/name");
                self.expectations.stored(key, &created, self.host.clock().monotonic());
                self.recorder.normal(set, "SuccessfulCreate", format!("Created pod: {name}"));
                Ok(())
            }
            Err(e) => {
                if !e.to_string().contains("because it is being terminated") {
                    self.recorder.warning(set, "FailedCreate", format!("Error creating: {e}"));
                }
                Err(e)
            }
        }
    }

    async fn report(
        &self,
        set: &Value,
        active: &[Arc<Value>],
        failure: Option<&ClientError>,
    ) -> Result<(), ClientError> {
        let now = self.host.clock().wall();
        let min_ready = SignedDuration::from_secs(number(set, "/spec/minReadySeconds").unwrap_or(0));
        let template = set.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
        let labelled = |p: &Value| {
            let labels = p.pointer("/metadata/labels");
            template.into_iter().flatten().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v))
        };
        let ready = active.iter().filter(|p| is_ready(p)).count();
        let available = active.iter().filter(|p| is_available(p, min_ready, now)).count();
        let mut status = json!({
            "availableReplicas": available,
            "fullyLabeledReplicas": active.iter().filter(|p| labelled(p)).count(),
            "observedGeneration": set.pointer("/metadata/generation"),
            "readyReplicas": ready,
            "replicas": active.len(),
        });
        if let Some(e) = failure {
            let since = condition(set, "ReplicaFailure").map(|c| text(c, "/lastTransitionTime").to_owned());
            status["conditions"] = json!([{
                "lastTransitionTime": since.unwrap_or_else(|| world::rfc3339(now)),
                "message": e.to_string(),
                "reason": "FailedCreate",
                "status": "True",
                "type": "ReplicaFailure",
            }]);
        }
        if same_counts(set.get("status"), &status) {
            return Ok(());
        }
        let mut updated = set.clone();
        updated["status"] = status;
        let (namespace, name) = (text(set, "/metadata/namespace"), text(set, "/metadata/name"));
        match self.rest.update_sub(&REPLICA_SETS, Some(namespace), name, "status", &updated).await {
            Ok(_) => Ok(()),
            // The informer will show what changed.
            Err(e) if e.is_conflict() || e.is_not_found() => Ok(()),
            Err(e) => Err(e),
        }
    }
}

fn same_counts(old: Option<&Value>, new: &Value) -> bool {
    let number =
        |v: Option<&Value>, key: &str| v.and_then(|v| v.get(key)).and_then(Value::as_i64).unwrap_or(0);
    let conditions =
        |v: Option<&Value>| v.and_then(|v| v.get("conditions")).filter(|c| **c != json!([])).cloned();
    let keys =
        ["availableReplicas", "fullyLabeledReplicas", "observedGeneration", "readyReplicas", "replicas"];
    keys.iter().all(|k| number(old, k) == number(Some(new), k)) && conditions(old) == conditions(Some(new))
}

/// Unassigned first, then by phase, readiness, cost, crowding, time ready, restarts, age, name.
type Rank = (bool, u8, bool, i64, Reverse<usize>, i64, Reverse<i64>, Reverse<String>, String);

/// What goes first has the smallest rank (`pkg/controller/controller_utils.go`, ActivePodsWithRanks).
fn deletion_rank(pod: &Value, all: &[Arc<Value>], now: Wall) -> Rank {
    let node = text(pod, "/spec/nodeName");
    let phase = match text(pod, "/status/phase") {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let ready = condition_is(pod, "Ready", "True");
    let cost =
        text(pod, "/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost").parse().unwrap_or(0);
    let together = all.iter().filter(|p| text(p, "/spec/nodeName") == node).count();
    let ready_for = condition(pod, "Ready")
        .and_then(|c| time(c, "/lastTransitionTime"))
        .map_or(0, |t| now.duration_since(t).as_secs());
    let bucket = i64::from(u64::try_from(ready_for).unwrap_or(0).checked_ilog2().unwrap_or(0));
    let restarts = crate::objects::list(pod, "/status/containerStatuses")
        .filter_map(|c| number(c, "/restartCount"))
        .max()
        .unwrap_or(0);
    (
        !node.is_empty(),
        phase,
        ready,
        cost,
        Reverse(together),
        bucket,
        Reverse(restarts),
        Reverse(text(pod, "/metadata/creationTimestamp").to_owned()),
        text(pod, "/metadata/name").to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_first() {
        let now = "2026-01-01T01:00:00Z".parse().expect("a time");
        let pod = |name: &str, node: &str, phase: &str, ready: &str| {
            Arc::new(json!({
                "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"nodeName": node},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
            }))
        };
        let order = ["unassigned", "pending", "unready", "crowded", "alone"];
        let all = [
            pod("alone", "n2", "Running", "True"),
            pod("crowded", "n1", "Running", "True"),
            pod("unready", "n1", "Running", "False"),
            pod("pending", "n1", "Pending", "False"),
            pod("unassigned", "", "Pending", "False"),
        ];
        let mut sorted: Vec<&Arc<Value>> = all.iter().collect();
        sorted.sort_by_cached_key(|p| deletion_rank(p, &all, now));
        let names: Vec<&str> = sorted.iter().map(|p| text(p, "/metadata/name")).collect();
        assert_eq!(names, order);
    }
}
