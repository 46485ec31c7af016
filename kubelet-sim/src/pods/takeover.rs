//! What a kubelet that starts finds of a pod: runs of its containers in the runtime, and its status in the API.
//! A pod that is new to both begins with nothing.

use std::sync::Arc;

use api::{object::ObjectExt as _, profile::Profile};
use serde_json::{Value, json};

use super::{
    state::{self, ContainerState, Phase, Role, State},
    worker::{DEADLINE, is_over},
};
use crate::runtime::{Instance, Sandbox};

/// A container of which nothing is known but its spec.
pub(super) fn state_of(spec: &Value, role: Role) -> ContainerState {
    ContainerState::new(spec.str_at("/name").to_owned(), spec.str_at("/image").to_owned(), role)
}

/// The state of `pod`, whose status in the API is `told`.
pub(super) fn state(pod: &Value, told: &Value, sandbox: &Sandbox, profile: Profile) -> State {
    let inits = pod.list_at("/spec/initContainers").iter().map(|c| {
        let role = if c.str_at("/restartPolicy") == "Always" { Role::Sidecar } else { Role::Init };
        (c, state_of(c, role))
    });
    let mains = pod.list_at("/spec/containers").iter().map(|c| (c, state_of(c, Role::Main)));
    let later = pod.list_at("/spec/ephemeralContainers").iter().map(|c| (c, state_of(c, Role::Ephemeral)));
    let mut all: Vec<(&Value, ContainerState)> = inits.chain(mains).chain(later).collect();
    let initializes = all.iter().any(|(_, c)| matches!(c.role, Role::Init | Role::Sidecar));
    let tells_resources = profile.in_place_pod_resize();
    let keeps_ready = profile.kubelet_restart_keeps_ready();
    let lists = ["/initContainerStatuses", "/containerStatuses"];
    for (spec, container) in &mut all {
        if initializes && container.role != Role::Ephemeral {
            container.phase = Phase::Waiting { reason: "PodInitializing", message: String::new() };
        }
        container.adopt(spec, &sandbox.runs(&container.name));
        if tells_resources && container.role != Role::Ephemeral {
            container.resources = Some(spec.at("/resources").cloned().unwrap_or_else(|| json!({})));
        }
        let mut known = lists.iter().flat_map(|list| told.list_at(list));
        let Some(known) = known.find(|status| status.str_at("/name") == container.name) else { continue };
        if container.running.is_some() {
            // What another kubelet granted, whatever is wished by now.
            let granted = known.at("/resources").filter(|_| container.resources.is_some());
            container.resources = granted.cloned().or(container.resources.take());
            let same = known.str_at("/containerID") == container.id && keeps_ready;
            container.started = same && known.bool_at("/started");
            container.ready = same && known.bool_at("/ready");
        } else if container.id.is_empty() {
            container.lose(known);
        }
    }
    let begun = |c: &ContainerState| {
        let newest = sandbox.newest(&c.name);
        c.role == Role::Main && newest.is_some_and(|run| run.sandbox == sandbox.attempt())
    };
    let mut state = State {
        initialized: all.iter().any(|(_, c)| begun(c)),
        containers: all.into_iter().map(|(_, container)| container).collect(),
        // What has ended for good starts nothing any more.
        terminating: is_over(pod),
        was_resized: told.list_at("/conditions").iter().any(|c| c.str_at("/type").starts_with("PodResize")),
        ..State::default()
    };
    if told.str_at("/phase") == "Failed" && told.str_at("/reason") == DEADLINE.0 {
        state.failure = Some((DEADLINE.0, DEADLINE.1.to_owned()));
    }
    state
}

impl ContainerState {
    /// Takes over what the runtime knows: `runs` of the container that `spec` describes, oldest first.
    pub(super) fn adopt(&mut self, spec: &Value, runs: &[Arc<Instance>]) {
        let Some((newest, before)) = runs.split_last() else { return };
        self.restarts = newest.attempt;
        self.previous = before.last().map(|run| run.log.clone());
        self.last = before.last().map(|run| state::state_of(&Phase::of(spec, run), &run.id));
        self.runs(newest);
        if let Some(end) = newest.end() {
            self.ends(spec, newest, &end);
        }
    }

    /// The API says that it was started, and the runtime knows nothing of it: somebody took it away.
    pub(super) fn lose(&mut self, told: &Value) {
        let number = told.get("restartCount").and_then(Value::as_u64).unwrap_or_default();
        match told.get("state") {
            Some(state) if state.get("running").is_some() => {
                self.last = Some(json!({"terminated": {
                    "exitCode": 137,
                    "finishedAt": null,
                    "message": "The container could not be located when the pod was terminated",
                    "reason": "ContainerStatusUnknown",
                    "startedAt": null,
                }}));
            }
            Some(state) if state.get("terminated").is_some() => self.last = Some(state.clone()),
            _ => return,
        }
        self.restarts = number + 1;
    }
}

impl State {
    /// Takes over from a status that the API has since when its conditions are what they still are.
    pub(super) fn recall(&mut self, told: &Value) {
        for condition in told.get("conditions").and_then(Value::as_array).into_iter().flatten() {
            let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default();
            let known = self.transitions.iter_mut().find(|(kind, _)| **kind == text("type"));
            if let Some((_, (status, since))) = known
                && *status == (text("status") == "True")
                && !text("lastTransitionTime").is_empty()
            {
                *since = text("lastTransitionTime").to_owned();
            }
        }
    }
}
