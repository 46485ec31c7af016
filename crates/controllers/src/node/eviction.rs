//! taint-eviction: pods leave a node with a NoExecute taint, at once or when their toleration ends.

use std::time::Duration;

use client::{DeleteParams, Informer, Next, Patch, Rest, WorkQueue, recorder::Recorder, run_workers};
use serde_json::{Value, json};
use world::{Host, Wall, rfc3339};

use super::{NODES, PODS};
use crate::{
    context::Context,
    objects::{is_deleting, list, text},
};

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let (nodes, pods, rest) = (c.informer(NODES), c.informer(PODS), c.rest("node-controller"));
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let feed = queue.clone();
    pods.on(move |change| feed.add(change.key()));
    let (feed, bound) = (queue.clone(), pods.clone());
    nodes.on(move |change| {
        let name = text(change.object(), "/metadata/name").to_owned();
        for pod in bound.list().iter().filter(|p| text(p, "/spec/nodeName") == name) {
            feed.add(client::key_of(pod));
        }
    });
    let (host, recorder) = (c.host.clone(), c.recorder(&rest, "taint-eviction-controller"));
    run_workers(&c.host, 4, &queue, move |key| {
        let (host, rest, nodes, pods, recorder) =
            (host.clone(), rest.clone(), nodes.clone(), pods.clone(), recorder.clone());
        async move { consider(&host, &rest, &nodes, &pods, &recorder, &key).await }
    });
}

async fn consider(
    host: &Host,
    rest: &Rest,
    nodes: &Informer,
    pods: &Informer,
    recorder: &Recorder,
    key: &str,
) -> Result<Next, String> {
    let Some(pod) = pods.get_key(key).filter(|p| !is_deleting(p)) else { return Ok(Next::OnChange) };
    let Some(node) = nodes.get(None, text(&pod, "/spec/nodeName")) else { return Ok(Next::OnChange) };
    match time_left(&pod, &node, host.clock().wall()) {
        None => Ok(Next::OnChange),
        Some(left) if left > Duration::ZERO => Ok(Next::After(left)),
        Some(_) => {
            recorder.normal(&pod, "TaintManagerEviction", format!("Marking for deletion Pod {key}"));
            let now = rfc3339(host.clock().wall());
            let patch = json!({"status": {"conditions": [{
                "lastTransitionTime": now,
                "message": "Taint manager: deleting due to NoExecute taint",
                "reason": "DeletionByTaintManager",
                "status": "True",
                "type": "DisruptionTarget",
            }]}});
            let (namespace, name) = (text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
            let told =
                rest.patch(&PODS, Some(namespace), name, Patch::Strategic(&patch), Some("status")).await;
            match told {
                Err(e) if !e.is_not_found() => return Err(e.to_string()),
                _ => {}
            }
            let params = DeleteParams::uid(text(&pod, "/metadata/uid"));
            match rest.delete(&PODS, Some(namespace), name, &params).await {
                Ok(_) => {
                    host.record("eviction", vec![("pod", key.to_owned())]);
                    Ok(Next::OnChange)
                }
                Err(e) if e.is_not_found() || e.is_conflict() => Ok(Next::OnChange),
                Err(e) => Err(e.to_string()),
            }
        }
    }
}

/// How long the pod may stay: `None` without limit. The taint's own time is an API time and counts
/// by the wall clock.
fn time_left(pod: &Value, node: &Value, now: Wall) -> Option<Duration> {
    let mut shortest: Option<Duration> = None;
    for taint in list(node, "/spec/taints").filter(|t| text(t, "/effect") == "NoExecute") {
        let matching: Vec<&Value> = list(pod, "/spec/tolerations").filter(|t| tolerates(t, taint)).collect();
        if matching.is_empty() {
            return Some(Duration::ZERO);
        }
        let allowed =
            matching.iter().filter_map(|t| t.get("tolerationSeconds").and_then(Value::as_i64)).min();
        if let Some(seconds) = allowed {
            let added: Wall = text(taint, "/timeAdded").parse().unwrap_or(now);
            let passed = now.duration_since(added);
            let total = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            let left = total.saturating_sub(passed.try_into().unwrap_or(Duration::ZERO));
            shortest = Some(shortest.map_or(left, |s| s.min(left)));
        }
    }
    shortest
}

/// Whether a toleration covers a taint (component-helpers `scheduling/corev1`).
pub(crate) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect = text(toleration, "/effect");
    let key = text(toleration, "/key");
    if (!effect.is_empty() && effect != text(taint, "/effect"))
        || (!key.is_empty() && key != text(taint, "/key"))
    {
        return false;
    }
    match text(toleration, "/operator") {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && text(toleration, "/value") == text(taint, "/value"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tolerations: Value, taints: Value, left: Option<u64>) {
        let (pod, node) =
            (json!({"spec": {"tolerations": tolerations}}), json!({"spec": {"taints": taints}}));
        let now = "2026-01-01T00:01:00Z".parse().expect("a time");
        assert_eq!(time_left(&pod, &node, now), left.map(Duration::from_secs), "{pod} on {node}");
    }

    #[test]
    fn how_long_a_pod_may_stay() {
        let taint = json!([{"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]);
        check(json!([]), json!([]), None);
        check(json!([]), taint.clone(), Some(0));
        check(json!([{"operator": "Exists"}]), taint.clone(), None);
        check(
            json!([{"operator": "Exists", "key": "k", "tolerationSeconds": 300}]),
            taint.clone(),
            Some(240),
        );
        check(json!([{"operator": "Exists", "key": "k", "tolerationSeconds": 60}]), taint.clone(), Some(0));
        check(json!([{"operator": "Exists", "key": "other"}]), taint, Some(0));
        check(json!([]), json!([{"key": "k", "effect": "NoSchedule"}]), None);
    }
}
