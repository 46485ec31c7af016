//! A pod finds no node: others make room for it, or people are told why not.

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, Patch};
use serde_json::{Value, json};
use world::rfc3339;

use super::{
    NAME, PODS, Scheduler,
    around::Around,
    decide,
    filter::{Incoming, Refusal},
    is_waiting,
    preemption::{self, Candidate, priority},
    words::{self, Reasons},
};
use crate::objects::condition;

impl Scheduler {
    /// Looks for pods that are less important; they are asked to go, and the pod gets their node promised.
    pub(super) async fn make_room(
        &self,
        incoming: &Incoming<'_>,
        around: &Around,
        promised: &[(Arc<Value>, String)],
        refused: BTreeMap<String, Refusal>,
    ) {
        let pod = incoming.pod;
        let mut reasons = Reasons::new();
        for why in refused.values().flat_map(|r| &r.reasons) {
            *reasons.entry(why.clone()).or_default() += 1;
        }
        let words = words::not_available(around.nodes.len(), &reasons);
        if let Some(why) = preemption::ineligible(pod, around) {
            let nominated = pod.str_at("/status/nominatedNodeName").to_owned();
            return self.refuse(pod, self.with_preemption(words, why), Some(nominated)).await;
        }
        let fits = |node: &Value, around: &Around| decide::fits(incoming, node, around, promised);
        let budgets = self.budgets.list();
        let (candidates, hopeless) = preemption::candidates(pod, around, &refused, &budgets, fits);
        let Some(chosen) = preemption::pick(candidates) else {
            let why = words::not_available(around.nodes.len(), &hopeless);
            return self.refuse(pod, self.with_preemption(words, &why), None).await;
        };
        match self.preempt(pod, &chosen).await {
            Ok(()) => self.refuse(pod, words, Some(chosen.node)).await,
            Err(e) => self.failed(pod, e.to_string()).await,
        }
    }

    /// A pod that no node can help.
    pub(super) async fn suits_nowhere(&self, pod: &Value, around: &Around, why: &str) {
        let nodes = around.nodes.len();
        let unhelpful = Reasons::from([("Preemption is not helpful for scheduling".to_owned(), nodes)]);
        let preemption = words::not_available(nodes, &unhelpful);
        let words = self.with_preemption(words::pod_itself(nodes, why), &preemption);
        self.refuse(pod, words, None).await;
    }

    fn with_preemption(&self, words: String, why: &str) -> String {
        if self.profile.tells_of_preemption() { format!("{words} preemption: {why}") } else { words }
    }

    async fn preempt(&self, pod: &Value, chosen: &Candidate) -> Result<(), ClientError> {
        for victim in chosen.victims.iter().filter(|v| !v.is_terminating()) {
            let (namespace, name) = (victim.namespace(), victim.name());
            let patch = json!({"status": {"conditions": [{
                "lastTransitionTime": rfc3339(self.host.clock().wall()),
                "message": format!("{NAME}: preempting to accommodate a higher priority pod"),
                "reason": "PreemptionByScheduler",
                "status": "True",
                "type": "DisruptionTarget",
            }]}});
            match self.patch_status(victim, &patch).await {
                Err(e) if e.is_not_found() => continue,
                outcome => outcome?,
            };
            match self.rest.delete(&PODS, Some(namespace), name, &DeleteParams::default()).await {
                Err(e) if e.is_not_found() => continue,
                outcome => outcome?,
            };
            let words = format!("Preempted by pod {} on node {}", pod.uid(), chosen.node);
            self.recorder.normal(victim, "Preempted", words);
            let fields = [("pod", client::key_of(victim)), ("for", client::key_of(pod))];
            self.host.record("preempt", fields.into());
        }
        // Who is less important and was promised the same node looks for another one.
        for other in self.pods.list() {
            let loses = is_waiting(&other)
                && other.str_at("/status/nominatedNodeName") == chosen.node
                && priority(&other) < priority(pod);
            if loses {
                let patch = json!({"status": {"nominatedNodeName": null}});
                if let Err(e) = self.patch_status(&other, &patch).await {
                    tracing::error!("cannot clear nominatedNodeName of {}: {e}", client::key_of(&other));
                }
            }
        }
        Ok(())
    }

    /// The pod rests until something changes. `nominated` is the node that it was promised, if any.
    pub(super) async fn refuse(&self, pod: &Value, message: String, nominated: Option<String>) {
        self.queue.unschedulable(&client::key_of(pod));
        self.tell(pod, "Unschedulable", message, nominated).await;
    }

    /// The attempt failed for no fault of the pod; it is made again.
    pub(super) async fn failed(&self, pod: &Value, message: String) {
        let key = client::key_of(pod);
        match self.pods.get_key(&key).filter(|p| is_waiting(p)) {
            // It has come back, or never went: its attempts still count.
            Some(_) => self.queue.failed(&key, priority(pod)),
            None => return,
        }
        self.tell(pod, "SchedulerError", message, None).await;
    }

    async fn tell(&self, pod: &Value, reason: &str, message: String, nominated: Option<String>) {
        let message = words::truncated(message);
        self.recorder.warning(pod, "FailedScheduling", message.clone());
        let told = condition(pod, "PodScheduled")
            .is_some_and(|c| c.str_at("/reason") == reason && c.str_at("/message") == message);
        let nominated = nominated.unwrap_or_default();
        if told && nominated == pod.str_at("/status/nominatedNodeName") {
            return;
        }
        let mut status = json!({"conditions": [{
            "lastProbeTime": null,
            "lastTransitionTime": rfc3339(self.host.clock().wall()),
            "message": message,
            "reason": reason,
            "status": "False",
            "type": "PodScheduled",
        }]});
        if nominated != pod.str_at("/status/nominatedNodeName") {
            status["nominatedNodeName"] = if nominated.is_empty() { Value::Null } else { nominated.into() };
        }
        match self.patch_status(pod, &json!({"status": status})).await {
            Err(e) if !e.is_not_found() => {
                tracing::error!("status of pod {} not written: {e}", client::key_of(pod));
            }
            _ => {}
        }
    }

    async fn patch_status(&self, pod: &Value, patch: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (pod.namespace(), pod.name());
        let patch = Patch::Strategic(patch);
        self.rest.patch(&PODS, Some(namespace), name, patch, Some("status")).await.map(drop)
    }
}
