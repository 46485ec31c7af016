//! Pods that were told to expect their end (condition DisruptionTarget) and that nobody deleted after all.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{Next, Patch, Rest, WorkQueue};
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::{Wall, rfc3339};

use crate::{
    context::Context,
    objects::condition,
    pods::{PODS, is_finished},
    start::start,
};

/// After so long the announcement is taken back.
const TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

/// How long until the announcement is void; `None` if there is none. What the kubelet announces is
/// never void: its end may take long.
fn left(pod: &Value, now: Wall) -> Option<SignedDuration> {
    let announced = condition(pod, "DisruptionTarget")
        .filter(|c| c.str_at("/status") == "True" && c.str_at("/reason") != "TerminationByKubelet")?;
    if pod.is_terminating() || is_finished(pod) {
        return None;
    }
    let since = announced.time_at("/lastTransitionTime").unwrap_or(now);
    Some(TIMEOUT - now.duration_since(since))
}

pub(super) fn run(c: &Context, rest: &Rest) {
    let (pods, rest, host) = (c.informer(PODS), rest.clone(), c.host.clone());
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let (all, clock) = (pods.clone(), c.host.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        all.on(move |change| {
            if left(change.object(), clock.clock().wall()).is_some() {
                feed.add(change.key());
            }
        });
    };
    start(&c.host, [pods.clone()], queue, 1, follow, move |key| {
        let (pods, rest, host) = (pods.clone(), rest.clone(), host.clone());
        async move {
            let now = host.clock().wall();
            let Some(pod) = pods.get_key(&key) else { return Ok(Next::OnChange) };
            let Some(left) = left(&pod, now) else { return Ok(Next::OnChange) };
            if left.is_positive() {
                return Ok(Next::After(Duration::try_from(left).unwrap_or_default()));
            }
            let patch = json!({
                "metadata": {"uid": pod.uid()},
                "status": {"conditions": [{
                    "lastTransitionTime": rfc3339(now),
                    "message": null,
                    "reason": null,
                    "status": "False",
                    "type": "DisruptionTarget",
                }]},
            });
            let (namespace, name) = (pod.namespace(), pod.name());
            match rest.patch(&PODS, Some(namespace), name, Patch::Strategic(&patch), Some("status")).await {
                // The informer will show who has the name now.
                Err(e) if e.is_conflict() => Ok(Next::Retry),
                Err(e) if !e.is_not_found() => Err(e.to_string()),
                _ => Ok(Next::OnChange),
            }
        }
    });
}
