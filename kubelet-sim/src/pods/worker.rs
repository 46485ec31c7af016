//! One pod: its containers start, are probed, end, start again; its status says so.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use world::{Host, rfc3339};

use super::probe::Probe;
use crate::{
    launcher::{Container, Launcher, Running},
    options::Options,
};

/// kubeadm asks its components for a sign of life this often.
const LIVENESS_PACE: Duration = Duration::from_secs(10);
/// Restart delays of a failing container.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// After so long a run the delay begins anew.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// See the module.
pub(super) struct Worker {
    host: Host,
    options: Arc<Options>,
    launcher: Arc<dyn Launcher>,
    pod: Value,
    ip: String,
    is_static: bool,
    started: String,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    initialized: bool,
    containers: Vec<ContainerState>,
    terminating: bool,
}

#[derive(Clone)]
struct ContainerState {
    name: String,
    image: String,
    phase: Phase,
    last: Option<Value>,
    restarts: u64,
    ready: bool,
    running: Option<Arc<dyn Running>>,
    id: String,
}

#[derive(Clone)]
enum Phase {
    Waiting { reason: &'static str, message: String },
    Running { since: String },
    Terminated { code: i32, reason: &'static str, message: String, started: String, finished: String },
}

/// Whether and how a container starts again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Restart {
    Always,
    OnFailure,
    Never,
}

impl Worker {
    pub(super) fn new(
        host: &Host,
        options: Arc<Options>,
        launcher: Arc<dyn Launcher>,
        pod: Value,
        ip: String,
        is_static: bool,
    ) -> Arc<Self> {
        let containers = specs(&pod, "containers")
            .map(|c| ContainerState {
                name: text(c, "name"),
                image: text(c, "image"),
                phase: Phase::Waiting { reason: "ContainerCreating", message: String::new() },
                last: None,
                restarts: 0,
                ready: false,
                running: None,
                id: String::new(),
            })
            .collect();
        Arc::new(Self {
            started: rfc3339(host.clock().wall()),
            host: host.clone(),
            options,
            launcher,
            pod,
            ip,
            is_static,
            state: Mutex::new(State { initialized: false, containers, terminating: false }),
            changed: Notify::new(),
        })
    }

    pub(super) fn is_static(&self) -> bool {
        self.is_static
    }

    /// `namespace/name`.
    pub(super) fn key(&self) -> String {
        client::key_of(&self.pod)
    }

    /// The pod with its present status.
    pub(super) fn pod(&self) -> Value {
        let mut pod = self.pod.clone();
        pod["status"] = self.status();
        pod
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn restart_policy(&self) -> Restart {
        match self.pod.pointer("/spec/restartPolicy").and_then(Value::as_str) {
            Some("Never") => Restart::Never,
            Some("OnFailure") => Restart::OnFailure,
            _ => Restart::Always,
        }
    }

    /// Runs the pod until all its containers have ended for good.
    pub(super) async fn run(self: Arc<Self>) {
        self.note("started");
        for init in specs(&self.pod, "initContainers") {
            // A simulated init container has nothing to do and is done at once.
            let container = self.container(init);
            tracing::debug!(pod = container.pod_name, container = container.name, "init container completed");
        }
        self.edit(|s| s.initialized = true);
        let tasks = (0..self.state.lock().containers.len()).map(|i| {
            let this = self.clone();
            self.host.spawn(async move { this.supervise(i).await }).join()
        });
        futures::future::join_all(tasks.collect::<Vec<_>>()).await;
        self.note("ended");
    }

    fn note(&self, state: &str) {
        self.host.record("pod", vec![("pod", self.key()), ("state", state.to_owned())]);
    }

    fn edit(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.state.lock());
        self.changed.notify_waiters();
    }

    fn edit_container(&self, i: usize, f: impl FnOnce(&mut ContainerState)) {
        self.edit(|s| {
            if let Some(container) = s.containers.get_mut(i) {
                f(container);
            }
        });
    }

    fn container(&self, spec: &Value) -> Container {
        let list = |key: &str| spec.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let words = list("command").into_iter().chain(list("args"));
        Container {
            pod_name: self
                .pod
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            namespace: self
                .pod
                .pointer("/metadata/namespace")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            name: text(spec, "name"),
            image: text(spec, "image"),
            command: words.filter_map(|w| w.as_str().map(str::to_owned)).collect(),
            host_network: self.pod.pointer("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or(false),
            own_entrypoint: list("command").is_empty(),
            ..Container::default()
        }
    }

    async fn supervise(self: Arc<Self>, i: usize) {
        let Some(spec) = specs(&self.pod, "containers").nth(i).cloned() else { return };
        let container = self.container(&spec);
        let mut backoff = FIRST_BACKOFF;
        loop {
            let began = self.host.clock().monotonic();
            let started = rfc3339(self.host.clock().wall());
            let (code, words) = match self.launcher.launch(&self.host, &container).await {
                Ok(running) => {
                    let running: Arc<dyn Running> = running.into();
                    let id = format!("chronoplane://{}", self.host.entropy().uuid().replace('-', ""));
                    self.edit_container(i, |c| {
                        c.phase = Phase::Running { since: started.clone() };
                        c.ready = running.behind() != crate::launcher::Behind::Program
                            || spec.get("readinessProbe").is_none();
                        c.running = Some(running.clone());
                        c.id = id;
                    });
                    self.attend(i, &spec, &running).await
                }
                Err(why) => {
                    self.edit_container(i, |c| {
                        c.phase = Phase::Waiting { reason: "CreateContainerError", message: why.clone() }
                    });
                    (128, why)
                }
            };
            let finished = rfc3339(self.host.clock().wall());
            tracing::warn!(
                pod = container.pod_name,
                container = container.name,
                code,
                "container ended: {words}"
            );
            self.host.record(
                "container",
                vec![("name", container.name.clone()), ("code", code.to_string()), ("words", words.clone())],
            );
            let reason = if code == 0 { "Completed" } else { "Error" };
            let ended = Phase::Terminated { code, reason, message: words, started, finished };
            let again = match self.restart_policy() {
                Restart::Always => true,
                Restart::OnFailure => code != 0,
                Restart::Never => false,
            };
            if self.state.lock().terminating || !again {
                self.edit_container(i, |c| {
                    (c.phase, c.ready, c.running) = (ended, false, None);
                });
                return;
            }
            if self.host.clock().monotonic().since(began) > FORGIVEN_AFTER {
                backoff = FIRST_BACKOFF;
            }
            let message =
                format!("back-off {}s restarting failed container={}", backoff.as_secs(), container.name);
            // The first restart comes at once.
            let first = self.state.lock().containers.get(i).is_some_and(|c| c.restarts == 0);
            self.edit_container(i, |c| {
                c.last = Some(state_of(&ended, &c.id));
                (c.ready, c.running) = (false, None);
                c.phase = Phase::Waiting { reason: "CrashLoopBackOff", message };
            });
            if !first {
                self.host.clock().sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
            self.edit_container(i, |c| c.restarts += 1);
        }
    }

    /// Waits for the end of a running container, probing it meanwhile.
    async fn attend(self: &Arc<Self>, i: usize, spec: &Value, running: &Arc<dyn Running>) -> (i32, String) {
        if running.behind() != crate::launcher::Behind::Program {
            return running.wait().await;
        }
        let go = self.options.profile.go();
        let probe = |key: &str| spec.get(key).and_then(|p| Probe::new(&self.host, p, &self.ip, go));
        let (startup, liveness, readiness) =
            (probe("startupProbe"), probe("livenessProbe"), probe("readinessProbe"));
        let probes = async {
            let live = async {
                if let Some(startup) = &startup
                    && !self.becomes_healthy(startup).await
                {
                    return "startup";
                }
                match &liveness {
                    Some(liveness) => self.until_unhealthy(liveness).await,
                    None => std::future::pending().await,
                }
                "liveness"
            };
            let ready = async {
                match &readiness {
                    Some(readiness) => self.watch_readiness(i, readiness).await,
                    None => std::future::pending::<()>().await,
                }
            };
            tokio::select! {
                biased;
                which = live => which,
                () = ready => "readiness",
            }
        };
        tokio::select! {
            biased;
            ended = running.wait() => ended,
            which = probes => {
                self.host.record("probe", vec![("pod", self.key()), ("failed", which.to_owned())]);
                running.kill().await;
                (137, format!("container failed its {which} probe and was killed"))
            }
        }
    }

    async fn becomes_healthy(&self, probe: &Probe) -> bool {
        self.host.clock().sleep(probe.initial_delay).await;
        for _ in 0..probe.failures {
            if probe.ask(&self.host).await.is_ok() {
                return true;
            }
            self.host.clock().sleep(probe.period).await;
        }
        false
    }

    /// A healthy container is asked at this world's period, a failing one at upstream's: the
    /// failure threshold counts real periods.
    async fn until_unhealthy(&self, probe: &Probe) {
        self.host.clock().sleep(probe.initial_delay).await;
        let mut failures = 0;
        while failures < probe.failures {
            match probe.ask(&self.host).await {
                Ok(()) => {
                    failures = 0;
                    self.asked_again(probe).await;
                }
                Err(why) => {
                    failures += 1;
                    self.host.record("probe", vec![("pod", self.key()), ("unhealthy", why)]);
                    self.host.clock().sleep(probe.period).await;
                }
            }
        }
    }

    /// A world that stretches time gains nothing from asking every second: liveness sets the pace.
    async fn asked_again(&self, probe: &Probe) {
        let upstream = self.host.periods().is_upstream();
        self.host.recur(if upstream { probe.period } else { probe.period.max(LIVENESS_PACE) }).await;
    }

    async fn watch_readiness(&self, i: usize, probe: &Probe) {
        self.host.clock().sleep(probe.initial_delay).await;
        let mut failures = 0;
        loop {
            let healthy = probe.ask(&self.host).await.is_ok();
            failures = if healthy { 0 } else { failures + 1 };
            let was = self.state.lock().containers.get(i).is_some_and(|c| c.ready);
            let is = healthy || (was && failures < probe.failures);
            if was != is {
                self.edit_container(i, |c| c.ready = is);
            }
            if is {
                self.asked_again(probe).await;
            } else {
                self.host.clock().sleep(probe.period).await;
            }
        }
    }

    /// Ends all containers.
    pub(super) async fn terminate(&self) {
        let running: Vec<_> = {
            let mut state = self.state.lock();
            state.terminating = true;
            state.containers.iter().filter_map(|c| c.running.clone()).collect()
        };
        for container in running {
            container.kill().await;
        }
    }

    /// PodStatus as the API shows it.
    pub(super) fn status(&self) -> Value {
        let state = self.state.lock();
        let all_ready =
            state.initialized && !state.containers.is_empty() && state.containers.iter().all(|c| c.ready);
        let phase = phase_of(&state, self.restart_policy());
        let condition = |kind: &str, ok: bool, reason: &str| {
            let mut c = json!({"type": kind, "status": if ok { "True" } else { "False" }, "lastProbeTime": null, "lastTransitionTime": self.started});
            if !ok {
                c["reason"] = reason.into();
            }
            c
        };
        let not_ready = if matches!(phase, "Succeeded") { "PodCompleted" } else { "ContainersNotReady" };
        let statuses: Vec<Value> = state.containers.iter().map(container_status).collect();
        let host_ip = self.options.node_ip.to_string();
        json!({
            "conditions": [
                condition("PodReadyToStartContainers", true, ""),
                condition("Initialized", state.initialized, "ContainersNotInitialized"),
                condition("Ready", all_ready, not_ready),
                condition("ContainersReady", all_ready, not_ready),
                condition("PodScheduled", true, ""),
            ],
            "containerStatuses": statuses,
            "hostIP": host_ip,
            "hostIPs": [{"ip": host_ip}],
            "phase": phase,
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "qosClass": api::strategy::pods::qos_class(&self.pod),
            "startTime": self.started,
        })
    }
}

fn phase_of(state: &State, restart: Restart) -> &'static str {
    let codes: Vec<Option<i32>> = state
        .containers
        .iter()
        .map(|c| match &c.phase {
            Phase::Terminated { code, .. } => Some(*code),
            _ => None,
        })
        .collect();
    let started = state
        .containers
        .iter()
        .any(|c| !matches!(c.phase, Phase::Waiting { .. }) || c.restarts > 0 || c.last.is_some());
    if !codes.is_empty()
        && codes.iter().all(Option::is_some)
        && (restart != Restart::Always || state.terminating)
    {
        return if codes.iter().all(|c| *c == Some(0)) { "Succeeded" } else { "Failed" };
    }
    if started { "Running" } else { "Pending" }
}

fn state_of(phase: &Phase, id: &str) -> Value {
    match phase {
        Phase::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        Phase::Waiting { reason, message } => json!({"waiting": {"message": message, "reason": reason}}),
        Phase::Running { since } => json!({"running": {"startedAt": since}}),
        Phase::Terminated { code, reason, message, started, finished } => json!({"terminated": {
            "containerID": id,
            "exitCode": code,
            "finishedAt": finished,
            "message": message,
            "reason": reason,
            "startedAt": started,
        }}),
    }
}

fn container_status(c: &ContainerState) -> Value {
    json!({
        "containerID": c.id,
        "image": c.image,
        "imageID": "",
        "lastState": c.last.clone().unwrap_or_else(|| json!({})),
        "name": c.name,
        "ready": c.ready,
        "restartCount": c.restarts,
        "started": matches!(c.phase, Phase::Running { .. }),
        "state": state_of(&c.phase, &c.id),
    })
}

fn specs<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    pod.get("spec").and_then(|s| s.get(list)).and_then(Value::as_array).into_iter().flatten()
}

fn text(spec: &Value, key: &str) -> String {
    spec.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
