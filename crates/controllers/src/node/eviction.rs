//! taint-eviction: pods leave a node with a NoExecute taint, at once or when their toleration ends.
//!
//! A toleration's time is counted on the running clock, from when this loop first saw that the pod has to go, as
//! upstream's timers: neither the wall clock nor the taint's `timeAdded`, which is another host's, shortens it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{Change, DeleteParams, Informer, Next, Patch, Rest, WorkQueue, recorder::Recorder};
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::{Host, Mono, rfc3339};

use super::{NODES, PODS};
use crate::{context::Context, start::start};

const WORKERS: usize = 4;

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    nodes: Informer,
    pods: Informer,
    scheduled: Arc<Scheduled>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("node-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "taint-eviction-controller"),
        rest,
        nodes: c.informer(NODES),
        pods: c.informer(PODS),
        scheduled: Arc::default(),
    };
    let informers = [this.nodes.clone(), this.pods.clone()];
    let (nodes, pods) = (this.nodes.clone(), this.pods.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        pods.on(move |change| feed.add(change.key()));
        let feed = queue.clone();
        nodes.on(move |change| {
            if matches!(change, Change::Updated { old, new } if old.pointer(TAINTS) == new.pointer(TAINTS)) {
                return;
            }
            let name = change.object().name().to_owned();
            for pod in pods.list().iter().filter(|p| p.str_at("/spec/nodeName") == name) {
                feed.add(client::key_of(pod));
            }
        });
    };
    let queue = WorkQueue::new(&c.host, c.queue_options());
    start(&c.host, informers, queue, WORKERS, follow, move |key| {
        let this = this.clone();
        async move { this.consider(&key).await }
    });
}

impl Loop {
    async fn consider(&self, key: &str) -> Result<Next, String> {
        let on_node = |pod: Arc<Value>| {
            let node = self.nodes.get(None, pod.str_at("/spec/nodeName"))?;
            (!pod.is_terminating()).then_some((pod, node))
        };
        let Some((pod, node)) = self.pods.get_key(key).and_then(on_node) else {
            self.scheduled.cancel(key);
            return Ok(Next::OnChange);
        };
        let uid = pod.uid();
        match stay(&pod, &node) {
            Stay::Forever => {
                if self.scheduled.cancel(key) {
                    let words = format!("Cancelling deletion of Pod {key}");
                    self.recorder.normal(&pod, "TaintManagerEviction", words);
                }
                return Ok(Next::OnChange);
            }
            Stay::For(time) => {
                let left = self.scheduled.left(key, uid, time, self.host.clock().monotonic());
                if !left.is_zero() {
                    return Ok(Next::After(left));
                }
            }
            Stay::No => {}
        }
        self.recorder.normal(&pod, "TaintManagerEviction", format!("Marking for deletion Pod {key}"));
        self.evict(&pod).await
    }

    async fn evict(&self, pod: &Value) -> Result<Next, String> {
        let now = rfc3339(self.host.clock().wall());
        let (namespace, name) = (pod.namespace(), pod.name());
        let uid = pod.uid();
        // The UID keeps another pod of that name, a stateful set's next, from being marked.
        let patch = json!({
            "metadata": {"uid": uid},
            "status": {"conditions": [{
                "lastTransitionTime": now,
                "message": "Taint manager: deleting due to NoExecute taint",
                "reason": "DeletionByTaintManager",
                "status": "True",
                "type": "DisruptionTarget",
            }]},
        });
        let told =
            self.rest.patch(&PODS, Some(namespace), name, Patch::Strategic(&patch), Some("status")).await;
        match told {
            Err(e) if e.is_not_found() => return Ok(Next::OnChange),
            // The informer will show who has the name now.
            Err(e) if e.is_conflict() => return Ok(Next::Retry),
            Err(e) => return Err(e.to_string()),
            Ok(_) => {}
        }
        match self.rest.delete(&PODS, Some(namespace), name, &DeleteParams::uid(uid)).await {
            Ok(_) => {
                self.host.record("eviction", vec![("pod", client::key_of(pod))]);
                Ok(Next::OnChange)
            }
            Err(e) if e.is_not_found() || e.is_conflict() => Ok(Next::OnChange),
            Err(e) => Err(e.to_string()),
        }
    }
}

/// Since when pods are known to have to go, by key; a pod of the same name with another UID begins anew.
#[derive(Default)]
struct Scheduled(Mutex<BTreeMap<String, (String, Mono)>>);

impl Scheduled {
    /// What is left of `time`, which began when this was first asked.
    fn left(&self, key: &str, uid: &str, time: Duration, now: Mono) -> Duration {
        let mut all = self.0.lock();
        let begin = || (uid.to_owned(), now);
        let known = all.entry(key.to_owned()).or_insert_with(begin);
        if known.0 != uid {
            *known = begin();
        }
        time.saturating_sub(now.since(known.1))
    }

    /// Whether the pod had to go.
    fn cancel(&self, key: &str) -> bool {
        self.0.lock().remove(key).is_some()
    }
}

/// What a node's taints mean for a pod on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    Forever,
    /// From when the taints were first seen.
    For(Duration),
    No,
}

const TAINTS: &str = "/spec/taints";

/// The shortest time of all tolerations that cover a taint counts, whichever taint they cover
/// (`getMinTolerationTime`).
fn stay(pod: &Value, node: &Value) -> Stay {
    let mut shortest: Option<i64> = None;
    for taint in node.list_at(TAINTS).iter().filter(|t| t.str_at("/effect") == "NoExecute") {
        let mut matching = pod.list_at("/spec/tolerations").iter().filter(|t| tolerates(t, taint)).peekable();
        if matching.peek().is_none() {
            return Stay::No;
        }
        shortest = shortest.into_iter().chain(matching.filter_map(|t| t.i64_at("/tolerationSeconds"))).min();
    }
    let time = |seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    shortest.map_or(Stay::Forever, |seconds| Stay::For(time(seconds)))
}

/// Whether a toleration covers a taint (component-helpers `scheduling/corev1`).
pub(crate) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect = toleration.str_at("/effect");
    let key = toleration.str_at("/key");
    if (!effect.is_empty() && effect != taint.str_at("/effect"))
        || (!key.is_empty() && key != taint.str_at("/key"))
    {
        return false;
    }
    match toleration.str_at("/operator") {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && toleration.str_at("/value") == taint.str_at("/value"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use api::status::Status;
    use world::sim::{Config, run};

    use super::*;
    use crate::testing::Fake;

    fn check(tolerations: Value, taints: Value, expect: Stay) {
        let (pod, node) =
            (json!({"spec": {"tolerations": tolerations}}), json!({"spec": {"taints": taints}}));
        assert_eq!(stay(&pod, &node), expect, "{pod} on {node}");
    }

    #[test]
    fn how_long_a_pod_may_stay() {
        let seconds = |n| Stay::For(Duration::from_secs(n));
        let taint = json!([{"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]);
        check(json!([]), json!([]), Stay::Forever);
        check(json!([]), taint.clone(), Stay::No);
        check(json!([{"operator": "Exists"}]), taint.clone(), Stay::Forever);
        let tolerated = |n: i64| json!([{"operator": "Exists", "key": "k", "tolerationSeconds": n}]);
        check(tolerated(300), taint.clone(), seconds(300));
        check(tolerated(-1), taint.clone(), seconds(0));
        check(json!([{"operator": "Exists", "key": "other"}]), taint, Stay::No);
        check(json!([]), json!([{"key": "k", "effect": "NoSchedule"}]), Stay::Forever);
    }

    #[test]
    fn the_time_runs_from_the_first_look_and_anew_for_another_pod_of_that_name() {
        let (all, minute) = (Scheduled::default(), Duration::from_secs(60));
        let at = |seconds| Mono::default() + Duration::from_secs(seconds);
        let left = |uid: &str, now| all.left("n/web-0", uid, minute, at(now)).as_secs();
        assert_eq!([left("a", 0), left("a", 50), left("a", 61)], [60, 10, 0]);
        assert_eq!([left("b", 61), left("b", 71)], [60, 50], "a replacement");
        assert!(all.cancel("n/web-0") && !all.cancel("n/web-0"));
        assert_eq!(left("b", 200), 60, "the taint went and came again");
    }

    /// The pod that the informer shows has gone, and a stateful set has made another of that name.
    #[test]
    fn a_replacement_is_not_marked() {
        let story = run(Config::default(), |sim| async move {
            let (host, server) = (sim.host("cp"), Fake::start(&sim).await);
            let tainted = json!({"metadata": {"name": "node1"}, "spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}});
            server.holds("/api/v1/nodes", vec![tainted]);
            let pod = json!({"metadata": {"namespace": "n", "name": "web-0", "uid": "old"}, "spec": {"nodeName": "node1"}});
            server.holds("/api/v1/pods", vec![pod]);
            server.answer(|_, sent| {
                let other = sent.pointer("/metadata/uid").is_some_and(|uid| uid != "new");
                other.then(|| Status::conflict("pods", "web-0", "Precondition failed"))
            });
            super::run(&server.context(&host, &[]));
            sim.elapse(Duration::from_secs(1)).await;
            let written = server.written();
            assert!(!written.is_empty(), "it was to go");
            for (line, sent) in written {
                assert_eq!(line, "PATCH /api/v1/namespaces/n/pods/web-0/status", "nothing else is done");
                assert_eq!(sent.uid(), "old");
            }
        });
        story.expect("a world");
    }
}
