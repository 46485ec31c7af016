//! What is known about a pod's containers, and the PodStatus that follows from it.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::container::last_message;
use crate::{
    logs::Log,
    runtime::{End, Instance},
};

/// Everything about a pod that changes.
#[derive(Default)]
pub(super) struct State {
    /// Init containers first, then the others, as in the spec; ephemeral ones as they came.
    pub containers: Vec<ContainerState>,
    pub initialized: bool,
    /// Its volumes are there. A kubelet that came back looks for them while its containers run.
    pub mounted: bool,
    /// Ephemeral containers that come are run as they come.
    pub takes_ephemeral: bool,
    pub terminating: bool,
    /// Only sidecars are left, and nobody needs them any more.
    pub draining: bool,
    /// Nothing runs any more and nothing will.
    pub finished: bool,
    /// Why the pod as a whole has failed: reason and message.
    pub failure: Option<(&'static str, String)>,
    /// A change of resources that is not done.
    pub resize: Option<Resize>,
    /// There was one: the API may have a condition of it.
    pub was_resized: bool,
    /// Of each condition: its status and since when.
    pub transitions: BTreeMap<&'static str, (bool, String)>,
}

#[derive(Clone)]
pub(super) struct ContainerState {
    pub name: String,
    pub image: String,
    pub role: Role,
    pub phase: Phase,
    pub last: Option<Value>,
    pub restarts: u64,
    pub ready: bool,
    /// Its startup probe, if it has one, has passed.
    pub started: bool,
    pub running: Option<Arc<Instance>>,
    /// What it may use, as its kubelet has granted it; `None` where kubelets do not tell.
    pub resources: Option<Value>,
    pub id: String,
    pub log: Option<Arc<Log>>,
    pub previous: Option<Arc<Log>>,
}

/// The condition of a change of resources that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resize {
    pub kind: &'static str,
    pub reason: &'static str,
    pub message: String,
    pub since: String,
}

/// Conditions that come and go.
pub(super) const RESIZE_PENDING: &str = "PodResizePending";
pub(super) const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Init,
    /// An init container that runs beside the others (restartPolicy Always).
    Sidecar,
    Main,
    /// Added to look into a pod that runs.
    Ephemeral,
}

#[derive(Clone)]
pub(super) enum Phase {
    Waiting { reason: &'static str, message: String },
    Running { since: String },
    Terminated { code: i32, reason: &'static str, message: String, started: String, finished: String },
}

/// Whether and how a container starts again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

impl ContainerState {
    pub(super) fn new(name: String, image: String, role: Role) -> Self {
        let waits_for_others = matches!(role, Role::Init | Role::Sidecar);
        let reason = if waits_for_others { "PodInitializing" } else { "ContainerCreating" };
        Self {
            name,
            image,
            role,
            phase: Phase::Waiting { reason, message: String::new() },
            last: None,
            restarts: 0,
            ready: false,
            started: false,
            running: None,
            resources: None,
            id: String::new(),
            log: None,
            previous: None,
        }
    }

    /// A run has begun.
    pub(super) fn runs(&mut self, run: &Arc<Instance>) {
        self.phase = Phase::Running { since: run.started.clone() };
        self.running = Some(run.clone());
        self.image.clone_from(&run.image);
        self.id.clone_from(&run.id);
        self.log = Some(run.log.clone());
    }

    /// A run has ended.
    pub(super) fn ends(&mut self, spec: &Value, run: &Instance, end: &End) {
        self.phase = Phase::ended(spec, run, end);
        self.running = None;
        // An init container that is done stays ready.
        self.ready = self.role == Role::Init && end.code == 0;
        self.started = false;
    }

    /// The exit code of a run that is over: the present one, or the one before a restart.
    fn ended(&self) -> Option<i64> {
        match &self.phase {
            Phase::Terminated { code, .. } => Some((*code).into()),
            Phase::Waiting { .. } => {
                self.last.as_ref().and_then(|l| l.pointer("/terminated/exitCode")).and_then(Value::as_i64)
            }
            Phase::Running { .. } => None,
        }
    }

    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "containerID": self.id,
            "image": self.image,
            "imageID": "",
            "lastState": self.last.clone().unwrap_or_else(|| json!({})),
            "name": self.name,
            "ready": self.ready,
            "restartCount": self.restarts,
            "started": self.started,
            "state": state_of(&self.phase, &self.id),
        });
        if let Some(resources) = self.resources.as_ref().filter(|_| self.running.is_some()) {
            if let Some(requests) = resources.get("requests") {
                status["allocatedResources"] = requests.clone();
            }
            status["resources"] = resources.clone();
        }
        status
    }
}

impl Phase {
    pub(super) fn of(spec: &Value, run: &Instance) -> Self {
        match run.end() {
            Some(end) => Self::ended(spec, run, &end),
            None => Self::Running { since: run.started.clone() },
        }
    }

    fn ended(spec: &Value, run: &Instance, end: &End) -> Self {
        Self::Terminated {
            code: end.code,
            reason: end.reason,
            message: last_message(spec, run, end),
            started: run.started.clone(),
            finished: end.finished.clone(),
        }
    }
}

/// A phase as ContainerState shows it.
pub(super) fn state_of(phase: &Phase, id: &str) -> Value {
    match phase {
        Phase::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        Phase::Waiting { reason, message } => json!({"waiting": {"message": message, "reason": reason}}),
        Phase::Running { since } => json!({"running": {"startedAt": since}}),
        Phase::Terminated { code, reason, message, started, finished } => {
            let mut ended = json!({
                "containerID": id,
                "exitCode": code,
                "finishedAt": finished,
                "reason": reason,
                "startedAt": started,
            });
            if !message.is_empty() {
                ended["message"] = message.as_str().into();
            }
            json!({"terminated": ended})
        }
    }
}

impl Resize {
    fn condition(&self) -> Value {
        let mut condition = json!({
            "type": self.kind,
            "status": "True",
            "lastProbeTime": null,
            "lastTransitionTime": self.since,
        });
        for (field, text) in [("reason", self.reason), ("message", &self.message)] {
            if !text.is_empty() {
                condition[field] = text.into();
            }
        }
        condition
    }
}

impl State {
    fn of(&self, roles: &[Role]) -> impl Iterator<Item = &ContainerState> {
        let roles = roles.to_vec();
        self.containers.iter().filter(move |c| roles.contains(&c.role))
    }

    /// The pod's phase (`getPhase` of `pkg/kubelet/kubelet_pods.go`).
    pub(super) fn phase(&self, restart: Restart) -> &'static str {
        if self.failure.is_some() {
            return "Failed";
        }
        let init_failed = self.of(&[Role::Init]).any(|c| c.ended().is_some_and(|code| code != 0));
        if init_failed && (restart == Restart::Never || self.finished) {
            return "Failed";
        }
        let mains: Vec<_> = self.of(&[Role::Main]).collect();
        let (mut running, mut stopped, mut succeeded, mut waiting) = (0, 0, 0, 0);
        for container in &mains {
            match (&container.phase, container.ended()) {
                (Phase::Running { .. }, _) => running += 1,
                (_, Some(code)) => {
                    stopped += 1;
                    succeeded += usize::from(code == 0);
                }
                _ => waiting += 1,
            }
        }
        if self.finished {
            // Ended before all had begun, or after.
            return if stopped == mains.len() && stopped == succeeded { "Succeeded" } else { "Failed" };
        }
        if !self.initialized || waiting > 0 {
            return "Pending";
        }
        if running > 0 {
            return "Running";
        }
        match restart {
            Restart::Always => "Running",
            _ if stopped == succeeded => "Succeeded",
            Restart::Never => "Failed",
            Restart::OnFailure => "Running",
        }
    }

    /// Conditions in the kubelet's order: kind, status, reason, message.
    fn conditions(&self, phase: &str) -> Vec<(&'static str, bool, &'static str, String)> {
        let unready: Vec<&str> =
            self.of(&[Role::Main, Role::Sidecar]).filter(|c| !c.ready).map(|c| c.name.as_str()).collect();
        let uninitialized: Vec<&str> = self
            .of(&[Role::Init, Role::Sidecar])
            .filter(|c| match c.role {
                Role::Init => !matches!(c.phase, Phase::Terminated { code: 0, .. }),
                _ => !c.started,
            })
            .map(|c| c.name.as_str())
            .collect();
        let all_ready = self.initialized && unready.is_empty() && !self.containers.is_empty();
        let (reason, message) = match phase {
            "Succeeded" => ("PodCompleted", String::new()),
            "Failed" => ("PodFailed", String::new()),
            _ => ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
        };
        let (initialized, why, which) = match phase {
            "Succeeded" => (true, "PodCompleted", String::new()),
            _ if self.initialized => (true, "", String::new()),
            _ => {
                let which = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
                (false, "ContainersNotInitialized", which)
            }
        };
        let unless_ready = |reason| if all_ready { "" } else { reason };
        let words = if all_ready { String::new() } else { message };
        vec![
            ("PodReadyToStartContainers", !self.finished, "", String::new()),
            ("Initialized", initialized, why, which),
            ("Ready", all_ready, unless_ready(reason), words.clone()),
            ("ContainersReady", all_ready, unless_ready(reason), words),
            ("PodScheduled", true, "", String::new()),
        ]
    }

    /// Notes at `now` which conditions have changed; called after every change.
    pub(super) fn settle(&mut self, restart: Restart, now: &str) {
        for (kind, status, _, _) in self.conditions(self.phase(restart)) {
            let known = self.transitions.get(kind).is_some_and(|(was, _)| *was == status);
            if !known {
                self.transitions.insert(kind, (status, now.to_owned()));
            }
        }
    }

    /// Phase, conditions and containers of PodStatus.
    pub(super) fn status(&self, restart: Restart) -> Value {
        let phase = self.phase(restart);
        let mut conditions: Vec<Value> = self
            .conditions(phase)
            .into_iter()
            .map(|(kind, status, reason, message)| {
                let since = self.transitions.get(kind).map(|(_, since)| since.as_str());
                let mut condition = json!({
                    "type": kind,
                    "status": if status { "True" } else { "False" },
                    "lastProbeTime": null,
                    "lastTransitionTime": since,
                });
                for (field, text) in [("reason", reason), ("message", &message)] {
                    if !text.is_empty() {
                        condition[field] = text.into();
                    }
                }
                condition
            })
            .collect();
        if self.was_resized {
            for kind in [RESIZE_PENDING, RESIZE_IN_PROGRESS] {
                conditions.push(match self.resize.as_ref().filter(|resize| resize.kind == kind) {
                    Some(resize) => resize.condition(),
                    // Conditions are merged by type: one that is over is taken away.
                    None => json!({"$patch": "delete", "type": kind}),
                });
            }
        }
        let all = |roles: &[Role]| self.of(roles).map(ContainerState::status).collect::<Vec<_>>();
        let mut status = json!({
            "conditions": conditions,
            "containerStatuses": all(&[Role::Main]),
            "phase": phase,
        });
        let inits = all(&[Role::Init, Role::Sidecar]);
        if !inits.is_empty() {
            status["initContainerStatuses"] = inits.into();
        }
        let ephemeral = all(&[Role::Ephemeral]);
        if !ephemeral.is_empty() {
            status["ephemeralContainerStatuses"] = ephemeral.into();
        }
        if let Some((reason, message)) = &self.failure {
            status["reason"] = (*reason).into();
            status["message"] = message.as_str().into();
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Option<i32> = None;

    fn container(role: Role, phase: &str, code: Option<i32>) -> ContainerState {
        let mut container = ContainerState::new("c".into(), "i".into(), role);
        let ended = |code| Phase::Terminated {
            code,
            reason: "",
            message: String::new(),
            started: String::new(),
            finished: String::new(),
        };
        match (phase, code) {
            ("running", _) => container.phase = Phase::Running { since: String::new() },
            ("ended", Some(code)) => container.phase = ended(code),
            (_, Some(code)) => container.last = Some(state_of(&ended(code), "")),
            _ => {}
        }
        container
    }

    #[test]
    fn the_phase_follows_from_the_containers() {
        #[track_caller]
        fn check(restart: Restart, mains: &[(&str, Option<i32>)], phase: &str) {
            let containers = mains.iter().map(|(p, c)| container(Role::Main, p, *c)).collect();
            let state = State { containers, initialized: true, ..State::default() };
            assert_eq!(state.phase(restart), phase, "{mains:?}");
        }
        check(Restart::Always, &[("waiting", WAITS)], "Pending");
        check(Restart::Always, &[("running", None), ("waiting", WAITS)], "Pending");
        check(Restart::Always, &[("waiting", Some(1))], "Running");
        check(Restart::Always, &[("ended", Some(0))], "Running");
        check(Restart::Never, &[("ended", Some(0)), ("running", None)], "Running");
        check(Restart::Never, &[("ended", Some(0)), ("ended", Some(0))], "Succeeded");
        check(Restart::Never, &[("ended", Some(0)), ("ended", Some(2))], "Failed");
        check(Restart::OnFailure, &[("ended", Some(0)), ("waiting", Some(2))], "Running");
        check(Restart::OnFailure, &[("ended", Some(0))], "Succeeded");
    }

    #[test]
    fn a_failed_init_container_fails_the_pod_only_if_it_may_not_restart() {
        let state = || State {
            containers: vec![
                container(Role::Init, "ended", Some(1)),
                container(Role::Main, "waiting", WAITS),
            ],
            ..State::default()
        };
        assert_eq!(state().phase(Restart::Never), "Failed");
        assert_eq!(state().phase(Restart::OnFailure), "Pending");
    }

    #[test]
    fn a_condition_keeps_its_time_while_it_stays() {
        let mut state =
            State { containers: vec![container(Role::Main, "running", None)], ..State::default() };
        state.settle(Restart::Always, "t1");
        state.initialized = true;
        state.settle(Restart::Always, "t2");
        let since = |kind: &str| state.transitions.get(kind).map(|(_, since)| since.as_str());
        assert_eq!((since("Initialized"), since("Ready")), (Some("t2"), Some("t1")));
    }
}
