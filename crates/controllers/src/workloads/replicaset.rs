//! replicaset: as many pods as asked for, adopted by selector, deleted in upstream's order.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, Informer, Next, Rest, recorder::Recorder};
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::{Host, Wall};

use super::REPLICA_SETS;
use crate::{
    context::Context,
    expectations::Expectations,
    objects::{condition, condition_is},
    pods::{
        Claim, PODS, delete_for, follow, from_template, is_active, is_available, is_ready, until_available,
    },
    start::{Keyed, start_keyed},
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
    let informers = [this.sets.clone(), this.pods.clone()];
    let (sets, pods) = (this.sets.clone(), this.pods.clone());
    start_keyed(c, &this, WORKERS, informers, move |queue| follow(queue, &sets, &pods));
}

impl Keyed for Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let Some(set) = self.sets.get_key(key) else {
            self.expectations.forget(key);
            return Ok(Next::OnChange);
        };
        // Asked before the pods are counted: what the informer shows meanwhile is not among them.
        let settled = self.expectations.fulfilled(key, &self.pods, self.host.clock().monotonic());
        let claim = Claim { rest: &self.rest, owners: &REPLICA_SETS, owned: &PODS, informer: &self.pods };
        let pods = claim.of(&set).await?;
        let active: Vec<Arc<Value>> = pods.into_iter().filter(|p| is_active(p)).collect();
        let wanted = usize::try_from(set.i64_at("/spec/replicas").unwrap_or(1)).unwrap_or(0);
        let outcome = if settled && !set.is_terminating() {
            self.scale(key, &set, &active, wanted).await
        } else {
            Ok(())
        };
        let waits = self.report(&set, &active, outcome.as_ref().err()).await?;
        outcome?;
        Ok(waits.into())
    }
}

impl Loop {
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

    /// In batches of 1, 2, 4, … so that a quota is not hammered; ends with the first error, and silently when
    /// the namespace does.
    async fn create(&self, key: &str, set: &Value, count: usize) -> Result<(), ClientError> {
        let (mut left, mut batch) = (count, 1);
        while left > 0 {
            for _ in 0..batch.min(left) {
                match self.create_one(key, set).await {
                    Err(e) if e.is_namespace_terminating() => return Ok(()),
                    outcome => outcome?,
                }
            }
            left -= batch.min(left);
            batch *= 2;
        }
        Ok(())
    }

    async fn create_one(&self, key: &str, set: &Value) -> Result<(), ClientError> {
        let namespace = set.namespace();
        let pod = from_template(set);
        match self.rest.create(&PODS, Some(namespace), &pod).await {
            Ok(created) => {
                let name = created.name();
                self.expectations.stored(key, &created, self.host.clock().monotonic());
                self.recorder.normal(set, "SuccessfulCreate", format!("Created pod: {name}"));
                Ok(())
            }
            Err(e) => {
                if !e.is_namespace_terminating() {
                    self.recorder.warning(set, "FailedCreate", format!("Error creating: {e}"));
                }
                Err(e)
            }
        }
    }

    /// Writes the status; how long until a ready pod counts as available.
    async fn report(
        &self,
        set: &Value,
        active: &[Arc<Value>],
        failure: Option<&ClientError>,
    ) -> Result<Option<Duration>, ClientError> {
        let now = self.host.clock().wall();
        let min_ready = SignedDuration::from_secs(set.i64_at("/spec/minReadySeconds").unwrap_or(0));
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
            let since = condition(set, "ReplicaFailure").map(|c| c.str_at("/lastTransitionTime").to_owned());
            status["conditions"] = json!([{
                "lastTransitionTime": since.unwrap_or_else(|| world::rfc3339(now)),
                "message": e.to_string(),
                "reason": "FailedCreate",
                "status": "True",
                "type": "ReplicaFailure",
            }]);
        }
        let waits = until_available(active, min_ready, now);
        if same_counts(set.get("status"), &status) {
            return Ok(waits);
        }
        let mut updated = set.clone();
        updated["status"] = status;
        let (namespace, name) = (set.namespace(), set.name());
        match self.rest.update_sub(&REPLICA_SETS, Some(namespace), name, "status", &updated).await {
            Ok(_) => Ok(waits),
            // The informer will show what changed.
            Err(e) if e.is_conflict() || e.is_not_found() => Ok(waits),
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
    let node = pod.str_at("/spec/nodeName");
    let phase = match pod.str_at("/status/phase") {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let ready = condition_is(pod, "Ready", "True");
    let cost =
        pod.str_at("/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost").parse().unwrap_or(0);
    let together = all.iter().filter(|p| p.str_at("/spec/nodeName") == node).count();
    let ready_for = condition(pod, "Ready")
        .and_then(|c| c.time_at("/lastTransitionTime"))
        .map_or(0, |t| now.duration_since(t).as_secs());
    let bucket = i64::from(u64::try_from(ready_for).unwrap_or(0).checked_ilog2().unwrap_or(0));
    let restarts = pod
        .list_at("/status/containerStatuses")
        .iter()
        .filter_map(|c| c.i64_at("/restartCount"))
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
        Reverse(pod.str_at("/metadata/creationTimestamp").to_owned()),
        pod.name().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use api::status::{NAMESPACE_TERMINATING, Status};
    use world::sim::{Config, Sim, run};

    use super::*;
    use crate::{pods::owner_reference, testing::Fake};

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
        let names: Vec<&str> = sorted.iter().map(|p| p.name()).collect();
        assert_eq!(names, order);
    }

    fn set(replicas: i64, min_ready: i64) -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"namespace": "n", "name": "web", "uid": "set", "generation": 1},
            "spec": {
                "replicas": replicas,
                "minReadySeconds": min_ready,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {}},
            },
        })
    }

    fn pod(name: &str, owner: &Value) -> Value {
        json!({
            "metadata": {
                "namespace": "n",
                "name": name,
                "uid": name,
                "labels": {"app": "web"},
                "ownerReferences": [owner_reference(owner)],
            },
            "spec": {},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]},
        })
    }

    fn story<Fut: Future<Output = ()>>(tell: impl FnOnce(Sim, Fake) -> Fut) {
        let told = run(Config::default(), |sim| async move {
            let server = Fake::start(&sim).await;
            tell(sim, server).await;
        });
        told.expect("a world");
    }

    #[test]
    fn a_manager_that_starts_again_makes_no_pod_twice() {
        story(|sim, server| async move {
            let set = set(3, 0);
            server.holds("/api/v1/pods", ["a", "b", "c"].map(|name| pod(name, &set)).to_vec());
            server.holds("/apis/apps/v1/replicasets", vec![set]);
            let host = sim.host("cp");
            let clock = host.clone();
            let late = host.clock().monotonic() + Duration::from_secs(5);
            // The sets are known at once, the pods later.
            server.answer(move |line, _| {
                let early = line == "GET /api/v1/pods" && clock.clock().monotonic() < late;
                early.then(|| Status::internal("not yet"))
            });
            super::run(&server.context(&host, &[]));
            sim.elapse(Duration::from_secs(60)).await;
            let lines: Vec<String> = server.written().into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, ["PUT /apis/apps/v1/namespaces/n/replicasets/web/status"]);
        });
    }

    #[test]
    fn a_ready_pod_is_available_when_its_seconds_are_over() {
        story(|sim, server| async move {
            let set = set(1, 30);
            server.holds("/api/v1/pods", vec![pod("a", &set)]);
            server.holds("/apis/apps/v1/replicasets", vec![set]);
            super::run(&server.context(&sim.host("cp"), &[]));
            let available = |server: &Fake| {
                let counts = server.written().into_iter();
                counts.map(|(_, s)| s.i64_at("/status/availableReplicas")).collect::<Vec<_>>()
            };
            sim.elapse(Duration::from_secs(29)).await;
            assert_eq!(available(&server), [Some(0)]);
            sim.elapse(Duration::from_secs(2)).await;
            assert_eq!(available(&server), [Some(0), Some(1)], "though nothing has changed");
        });
    }

    #[test]
    fn in_a_namespace_that_ends_nothing_is_made_or_said() {
        story(|sim, server| async move {
            server.holds("/apis/apps/v1/replicasets", vec![set(3, 0)]);
            server.answer(|line, _| {
                let mut status =
                    Status::forbidden("pods", "", "namespace n ends, in other words than the usual");
                status.push_cause(NAMESPACE_TERMINATING, "", "metadata.namespace");
                (line == "POST /api/v1/namespaces/n/pods").then_some(status)
            });
            super::run(&server.context(&sim.host("cp"), &[]));
            sim.elapse(Duration::from_secs(60)).await;
            let asked = server.written().iter().filter(|(line, _)| line.starts_with("POST")).count();
            assert_eq!(
                (asked, server.told()),
                (2, vec![]),
                "once, and once more as its own status has changed"
            );
            assert!(server.written().iter().all(|(_, sent)| sent.pointer("/status/conditions").is_none()));
        });
    }
}
