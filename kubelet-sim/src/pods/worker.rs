//! One pod: volumes, init containers, containers, and its end.
//!
//! ```text
//!   run: mount ─► init containers in order (sidecars stay) ─► containers ─► sidecars end ─► finished
//!   terminate: everything that waits gives up, everything that runs gets SIGTERM, later SIGKILL
//! ```

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use world::{Host, rfc3339};

use super::{
    container::LEAST_GRACE,
    node::Node,
    state::{ContainerState, Restart, Role, State},
    takeover::{self, state_of},
    token::Tokens,
};
use crate::{launcher::Running, logs::Log, runtime::Sandbox};

/// See the module.
pub(crate) struct Worker {
    host: Host,
    node: Arc<Node>,
    /// The pod as it was last seen.
    pod: Mutex<Arc<Value>>,
    /// Where its containers run, with or without this kubelet.
    sandbox: Arc<Sandbox>,
    is_static: bool,
    /// When a kubelet saw the pod first.
    started: Mutex<String>,
    state: Mutex<State>,
    tokens: Tokens,
    /// Where on the host the volumes are that its claims are bound to, by the volume's name in the pod.
    claims: Mutex<BTreeMap<String, String>>,
    changed: Notify,
    updated: Notify,
}

/// All containers of a pod's spec, in the order in which upstream looks at them.
pub(super) fn containers_of(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"]
        .into_iter()
        .flat_map(|list| pod.list_at(list))
}

/// Reason and message of a pod that has used up its time (activeDeadlineSeconds).
pub(super) const DEADLINE: (&str, &str) =
    ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline");

/// Whether the API has it that the pod has ended for good.
pub(super) fn is_over(pod: &Value) -> bool {
    matches!(pod.str_at("/status/phase"), "Succeeded" | "Failed")
}

impl Worker {
    pub(super) fn new(
        host: &Host,
        node: Arc<Node>,
        pod: Arc<Value>,
        sandbox: Arc<Sandbox>,
        is_static: bool,
    ) -> Arc<Self> {
        let told = pod.at("/status").cloned().unwrap_or_default();
        let state = takeover::state(&pod, &told, &sandbox, node.options.profile);
        let started = match told.str_at("/startTime") {
            "" if sandbox.attempt() == 0 => sandbox.created().to_owned(),
            "" => rfc3339(host.clock().wall()),
            told => told.to_owned(),
        };
        let worker = Self {
            started: Mutex::new(started),
            host: host.clone(),
            node,
            pod: Mutex::new(pod),
            sandbox,
            is_static,
            state: Mutex::new(state),
            tokens: Tokens::default(),
            claims: Mutex::default(),
            changed: Notify::new(),
            updated: Notify::new(),
        };
        worker.edit(|_| {});
        worker.recall(&told);
        Arc::new(worker)
    }

    /// Takes over from a status that the API has what a kubelet cannot know that came later.
    pub(super) fn recall(&self, told: &Value) {
        if !told.str_at("/startTime").is_empty() {
            told.str_at("/startTime").clone_into(&mut self.started.lock());
        }
        self.edit(|state| state.recall(told));
    }

    pub(super) fn is_static(&self) -> bool {
        self.is_static
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(super) fn claimed(&self, volume: &str) -> Option<String> {
        self.claims.lock().get(volume).cloned()
    }

    pub(super) fn claims(&self, volume: &str, path: String) {
        self.claims.lock().insert(volume.to_owned(), path);
    }

    pub(super) fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// `namespace/name`.
    pub(super) fn key(&self) -> String {
        client::key_of(&self.pod())
    }

    /// The pod as it was last seen.
    pub(super) fn pod(&self) -> Arc<Value> {
        self.pod.lock().clone()
    }

    /// A newer version of the pod: labels, annotations, images and the time to end may differ.
    pub(super) fn update(self: &Arc<Self>, pod: Arc<Value>) {
        let known = self.look(|s| s.containers.iter().map(|c| c.name.clone()).collect::<Vec<_>>());
        let added = pod.list_at("/spec/ephemeralContainers").iter();
        let added: Vec<ContainerState> = added
            .filter(|spec| !known.iter().any(|name| name == spec.str_at("/name")))
            .map(|spec| state_of(spec, Role::Ephemeral))
            .collect();
        *self.pod.lock() = pod;
        self.updated.notify_waiters();
        let over = self.look(|s| s.terminating || s.finished);
        for container in added.into_iter().filter(|_| !over) {
            let mut place = None;
            self.edit(|s| {
                s.containers.push(container);
                place = s.takes_ephemeral.then(|| s.containers.len() - 1);
            });
            if let Some(i) = place {
                let this = self.clone();
                self.host.spawn(async move { this.supervise(i).await });
            }
        }
    }

    /// Waits until `holds` does of the pod as it was last seen.
    pub(super) async fn until_updated(&self, holds: impl Fn(&Value) -> bool) {
        loop {
            let updated = self.updated.notified();
            if holds(&self.pod()) {
                return;
            }
            updated.await;
        }
    }

    /// The pod with its present status.
    pub(crate) fn snapshot(&self) -> Value {
        let (mut pod, mut status) = ((*self.pod()).clone(), self.status());
        // What a patch takes away is not there.
        if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
            conditions.retain(|condition| condition.get("$patch").is_none());
        }
        pod["status"] = status;
        pod
    }

    /// What containers take for their host's name.
    pub(super) fn hostname(&self) -> String {
        let pod = self.pod();
        match pod.str_at("/spec/hostname") {
            _ if pod.bool_at("/spec/hostNetwork") => self.host.name().to_owned(),
            "" => pod.name().chars().take(63).collect(),
            name => name.to_owned(),
        }
    }

    /// What the pod says of container `i`.
    pub(super) fn spec(&self, i: usize) -> Option<Value> {
        let name = self.look(|s| s.containers.get(i).map(|c| c.name.clone()))?;
        let pod = self.pod();
        containers_of(&pod).find(|spec| spec.str_at("/name") == name).cloned()
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The output of a container, or of the one before its last restart.
    pub(crate) fn log(&self, container: &str, previous: bool) -> Option<Option<Arc<Log>>> {
        let state = self.state.lock();
        let found = state.containers.iter().find(|c| c.name == container)?;
        Some(if previous { found.previous.clone() } else { found.log.clone() })
    }

    /// The running container of that name.
    pub(crate) fn running(&self, container: &str) -> Option<Arc<dyn Running>> {
        self.look(|s| {
            Some(s.containers.iter().find(|c| c.name == container)?.running.as_ref()?.running.clone())
        })
    }

    /// Whether a container's standard input ends with whoever attaches first.
    pub(crate) fn stdin_once(&self, container: &str) -> bool {
        let pod = self.pod();
        containers_of(&pod).any(|c| c.str_at("/name") == container && c.bool_at("/stdinOnce"))
    }

    /// The pod's UID.
    pub(crate) fn uid(&self) -> String {
        self.pod().uid().to_owned()
    }

    /// What the runtime calls the pod's sandbox.
    pub(crate) fn sandbox_id(&self) -> String {
        let uid = self.uid().replace('-', "");
        format!("{uid}{uid}")
    }

    /// Whether it shares its host's network.
    pub(crate) fn host_network(&self) -> bool {
        self.pod().bool_at("/spec/hostNetwork")
    }

    /// Its address.
    pub(crate) fn address(&self) -> &str {
        self.sandbox.address()
    }

    pub(super) fn restart_policy(&self) -> Restart {
        match self.pod().str_at("/spec/restartPolicy") {
            "Never" => Restart::Never,
            "OnFailure" => Restart::OnFailure,
            _ => Restart::Always,
        }
    }

    pub(super) fn normal(&self, reason: &str, message: String) {
        if let Some(recorder) = self.node.recorder().filter(|_| !self.is_static) {
            recorder.normal(&self.pod(), reason, message);
        }
    }

    pub(super) fn warning(&self, reason: &str, message: String) {
        if let Some(recorder) = self.node.recorder().filter(|_| !self.is_static) {
            recorder.warning(&self.pod(), reason, message);
        }
    }

    fn note(&self, state: &str) {
        self.host.record("pod", vec![("pod", self.key()), ("state", state.to_owned())]);
    }

    pub(super) fn look<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.lock())
    }

    pub(super) fn edit(&self, f: impl FnOnce(&mut State)) {
        let (restart, now) = (self.restart_policy(), rfc3339(self.host.clock().wall()));
        let mut state = self.state.lock();
        f(&mut state);
        state.settle(restart, &now);
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn edit_container(&self, i: usize, f: impl FnOnce(&mut ContainerState)) {
        self.edit(|s| {
            if let Some(container) = s.containers.get_mut(i) {
                f(container);
            }
        });
    }

    /// Waits until `holds` does.
    pub(super) async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            if self.look(&holds) {
                return;
            }
            changed.await;
        }
    }

    /// `work`'s output; `None` if the pod is to end before that.
    pub(super) async fn unless_ending<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.until(|s| s.terminating || s.draining) => None,
            done = work => Some(done),
        }
    }

    /// Runs the pod until all its containers have ended for good.
    pub(super) async fn run(self: Arc<Self>) {
        self.note("started");
        if self.sandbox.attempt() > 0 && !self.look(|s| s.initialized || s.terminating) {
            self.normal("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.".into());
        }
        if let Some(seconds) = self.pod().i64_at("/spec/activeDeadlineSeconds") {
            let this = self.clone();
            let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            let left = limit.saturating_sub(self.age());
            self.host.spawn(async move {
                this.host.clock().sleep(left).await;
                let (reason, words) = DEADLINE;
                this.normal(reason, words.into());
                this.edit(|s| s.failure = Some((reason, words.to_owned())));
                this.terminate(this.grace()).await;
            });
        }
        let runs = self.look(|s| s.containers.iter().any(|c| c.running.is_some()));
        if runs {
            // They have had their volumes for long, and go on meanwhile.
            let this = self.clone();
            self.host.spawn(async move {
                this.mount().await;
                this.edit(|s| s.mounted = true);
                this.keep_volumes().await;
            });
        } else if self.unless_ending(self.mount()).await.is_some() {
            self.edit(|s| s.mounted = true);
            let this = self.clone();
            self.host.spawn(async move { this.keep_volumes().await });
        }
        let ephemeral = |s: &State| -> Vec<usize> {
            let all = s.containers.iter().enumerate();
            all.filter(|(_, c)| c.role == Role::Ephemeral).map(|(i, _)| i).collect()
        };
        // Those that are there already; later ones are run as they come.
        let mut there = Vec::new();
        self.edit(|s| {
            s.takes_ephemeral = true;
            there = ephemeral(s);
        });
        for i in there {
            let this = self.clone();
            self.host.spawn(async move { this.supervise(i).await });
        }
        let this = self.clone();
        self.host.spawn(async move { this.keep_size().await });
        let sidecars = self.clone().run_containers().await;
        self.edit(|s| s.draining = true);
        for i in self.look(ephemeral) {
            self.stop_container(i, self.grace()).await;
        }
        // Last started first, as upstream.
        for (i, sidecar) in sidecars.into_iter().rev() {
            self.stop_container(i, self.grace()).await;
            sidecar.join().await;
        }
        self.edit(|s| s.finished = true);
        // What it was granted is free again, even while its object stays.
        self.node.grants.forget(self.pod().uid());
        self.note("ended");
    }

    /// Runs init containers and containers to their end; returns the sidecars, which run on.
    async fn run_containers(self: Arc<Self>) -> Vec<(usize, world::Task<bool>)> {
        let mut sidecars = Vec::new();
        let roles: Vec<Role> = self.look(|s| s.containers.iter().map(|c| c.role).collect());
        // A kubelet that comes back finds some of it done.
        let begun = self.look(|s| s.initialized);
        for (i, role) in roles.iter().enumerate() {
            match role {
                Role::Init if begun => {}
                Role::Init => {
                    if !self.clone().supervise(i).await {
                        return sidecars;
                    }
                }
                Role::Sidecar => {
                    let runs = self.look(|s| s.containers.get(i).is_some_and(|c| c.running.is_some()));
                    let this = self.clone();
                    sidecars.push((i, self.host.spawn(async move { this.supervise(i).await })));
                    if begun || runs {
                        continue;
                    }
                    let up = self.until(|s| s.containers.get(i).is_some_and(|c| c.started));
                    if self.unless_ending(up).await.is_none() {
                        return sidecars;
                    }
                }
                Role::Main | Role::Ephemeral => {}
            }
        }
        self.edit(|s| s.initialized = true);
        let mains = roles.iter().enumerate().filter(|(_, role)| **role == Role::Main).map(|(i, _)| {
            let this = self.clone();
            self.host.spawn(async move { this.supervise(i).await }).join()
        });
        futures::future::join_all(mains.collect::<Vec<_>>()).await;
        sidecars
    }

    /// Since when a kubelet knows it, by the wall clock.
    fn age(&self) -> Duration {
        let since = self.started.lock().parse::<world::Wall>();
        let age = since.map(|since| self.host.clock().wall().duration_since(since));
        age.ok().and_then(|age| Duration::try_from(age).ok()).unwrap_or_default()
    }

    /// How long its containers get to end.
    pub(super) fn grace(&self) -> Duration {
        let pod = self.pod();
        let seconds = pod.deletion_grace_period_seconds();
        let seconds = seconds.or_else(|| pod.i64_at("/spec/terminationGracePeriodSeconds"));
        Duration::from_secs(seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(30)).max(LEAST_GRACE)
    }

    /// Ends all containers within `grace`, and returns when nothing runs any more.
    pub(super) async fn terminate(&self, grace: Duration) {
        self.edit(|s| s.terminating = true);
        let running = |s: &State| -> Vec<usize> {
            let all = s.containers.iter().enumerate();
            all.filter(|(_, c)| c.running.is_some() && c.role != Role::Sidecar).map(|(i, _)| i).collect()
        };
        let ends = self.look(running).into_iter().map(|i| self.stop_container(i, grace));
        futures::future::join_all(ends.collect::<Vec<_>>()).await;
        self.until(|s| s.finished).await;
    }

    /// Ends one container, and returns when its end is known.
    async fn stop_container(&self, i: usize, grace: Duration) {
        let Some(run) = self.look(|s| s.containers.get(i).and_then(|c| c.running.clone())) else {
            return;
        };
        let Some(spec) = self.spec(i) else { return };
        self.normal("Killing", format!("Stopping container {}", spec.str_at("/name")));
        self.end(&spec, &run, grace).await;
        self.until(|s| s.containers.get(i).is_none_or(|c| c.running.is_none())).await;
    }

    /// PodStatus as the API shows it.
    pub(super) fn status(&self) -> Value {
        let mut status = self.look(|s| s.status(self.restart_policy()));
        let host_ip = self.node.options.node_ip.to_string();
        status["hostIP"] = host_ip.as_str().into();
        status["hostIPs"] = json!([{"ip": host_ip}]);
        status["podIP"] = self.address().into();
        status["podIPs"] = json!([{"ip": self.address()}]);
        status["qosClass"] = api::strategy::pods::qos_class(&self.pod()).into();
        status["startTime"] = self.started.lock().as_str().into();
        status
    }
}
