//! One container of a pod: it starts, is watched, ends, and starts again when its policy says so.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use serde_json::Value;
use world::{Mono, rfc3339};

use super::{
    environment::substitute,
    faults::Faults,
    probe::Probe,
    state::{Phase, Restart, Role, state_of},
    worker::Worker,
};
use crate::{
    launcher::{Behind, Container, Running},
    logs::Log,
    shell::{Knows, knows},
};

/// Restart delays of a failing container.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// After so long a run the delay begins anew (twice the longest, client-go's backoff).
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// How soon a container that could not be configured is tried again (backOffPeriod).
const CONFIG_RETRY: Duration = Duration::from_secs(10);
/// What is kept of a log as a termination message.
const LAST_LINES: usize = 80;
const LAST_BYTES: usize = 2048;

/// How a run ended.
pub(super) struct End {
    pub code: i32,
    pub reason: &'static str,
    pub words: String,
}

impl End {
    pub(super) fn new(code: i32, words: String) -> Self {
        Self { code, reason: if code == 0 { "Completed" } else { "Error" }, words }
    }
}

/// The delay before a restart, and when a run began (client-go `util/flowcontrol/backoff.go`).
#[derive(Default)]
struct Backoff(Option<(Duration, Mono)>);

impl Backoff {
    /// How long to wait after a run that ended at `ended`.
    fn wait(&self, ended: Mono) -> Option<Duration> {
        self.0.filter(|(_, began)| ended.since(*began) <= FORGIVEN_AFTER).map(|(delay, _)| delay)
    }

    /// A restart after `waited` begins at `now`.
    fn restarts(&mut self, waited: Option<Duration>, now: Mono) {
        let next = waited.map_or(FIRST_BACKOFF, |d| (d * 2).min(LONGEST_BACKOFF));
        self.0 = Some((next, now));
    }
}

impl Worker {
    /// Runs container `i` as often as its policy says; returns whether it succeeded in the end.
    pub(super) async fn supervise(self: Arc<Self>, i: usize) -> bool {
        let Some(spec) = self.spec(i) else { return true };
        let role = self.look(|s| s.containers.get(i).map_or(Role::Main, |c| c.role));
        let mut backoff = Backoff::default();
        loop {
            let Some(end) = self.run_once(i, &spec).await else { return false };
            let ended = self.host().clock().monotonic();
            let code = end.code;
            let again = match (role, self.restart_policy()) {
                (Role::Sidecar, _) | (Role::Main, Restart::Always) => true,
                (_, Restart::Never) => false,
                // For an init container Always means: until it has succeeded.
                (_, Restart::OnFailure | Restart::Always) => code != 0,
            };
            let last = self.look(|s| s.terminating || s.draining) || !again;
            if last {
                return code == 0;
            }
            let wait = backoff.wait(ended);
            if let Some(delay) = wait {
                let pod = self.pod();
                let who = format!("{}_{}({})", pod.name(), pod.namespace(), pod.uid());
                let name = spec.str_at("/name");
                self.edit_container(i, |c| c.retire());
                let words = format!(
                    "back-off {} restarting failed container={name} pod={who}",
                    api::duration::format(delay)
                );
                self.waiting(i, "CrashLoopBackOff", words);
                self.warning("BackOff", format!("Back-off restarting failed container {name} in pod {who}"));
                if self.unless_ending(self.host().clock().sleep_until(ended + delay)).await.is_none() {
                    return false;
                }
            }
            backoff.restarts(wait, self.host().clock().monotonic());
            self.edit_container(i, |c| {
                c.retire();
                c.restarts += 1;
            });
        }
    }

    /// One run from its image to its end; `None` if the pod ended before it had begun.
    async fn run_once(self: &Arc<Self>, i: usize, spec: &Value) -> Option<End> {
        self.unless_ending(self.image(i, spec)).await?;
        let container = self.unless_ending(self.configure(i, spec)).await?;
        let name = container.name.clone();
        let (mono, started) = (self.host().clock().monotonic(), rfc3339(self.host().clock().wall()));
        let launched = self.node().launcher.launch(self.host(), &container).await;
        let end = match launched {
            Ok(running) => {
                let running: Arc<dyn Running> = running.into();
                self.normal("Created", format!("Created container: {name}"));
                let id = format!("chronoplane://{}", self.host().entropy().uuid().replace('-', ""));
                self.edit_container(i, |c| {
                    c.phase = Phase::Running { since: started.clone() };
                    c.running = Some(running.clone());
                    c.id = id;
                    c.previous = c.log.take();
                    c.log = container.log.clone();
                });
                self.normal("Started", format!("Started container {name}"));
                if running.behind() == Behind::Nothing {
                    self.tell_that_nothing_runs(&container);
                }
                self.attend(i, spec, &running, mono).await
            }
            Err(why) => {
                self.warning("Failed", format!("Error: {why}"));
                self.waiting(i, "CreateContainerError", why.clone());
                End::new(128, why)
            }
        };
        Some(self.ended(i, spec, &container, started, end))
    }

    /// Once for each pod and container: what looks like a program is none.
    fn tell_that_nothing_runs(&self, container: &Container) {
        let first = self.look(|s| {
            s.containers.iter().find(|c| c.name == container.name).is_some_and(|c| c.restarts == 0)
        });
        if first {
            let words = format!(
                "Image {:?} is not interpreted: container {} runs until it is stopped, and its probes pass",
                container.image, container.name
            );
            self.normal("Simulated", words);
        }
    }

    fn ended(&self, i: usize, spec: &Value, container: &Container, started: String, end: End) -> End {
        let End { code, reason, words } = end;
        let finished = rfc3339(self.host().clock().wall());
        tracing::warn!(
            pod = container.pod_name,
            container = container.name,
            code,
            "container ended: {words}"
        );
        self.host().record(
            "container",
            vec![("name", container.name.clone()), ("code", code.to_string()), ("words", words.clone())],
        );
        let mut message = words.clone();
        if message.is_empty()
            && code != 0
            && spec.str_at("/terminationMessagePolicy") == "FallbackToLogsOnError"
        {
            message = container.log.as_ref().map_or(String::new(), |l| l.last_words(LAST_LINES, LAST_BYTES));
        }
        self.edit_container(i, |c| {
            c.phase = Phase::Terminated { code, reason, message, started, finished };
            c.running = None;
            // An init container that is done stays ready.
            c.ready = c.role == Role::Init && code == 0;
            c.started = false;
        });
        End { code, reason, words }
    }

    /// What the launcher is to start; waits until all that its environment refers to is there.
    async fn configure(&self, i: usize, spec: &Value) -> Container {
        let mut container = self.container(spec);
        // The components of a control plane take no environment unless their manifest gives them one.
        if self.is_static() && spec.list_at("/env").is_empty() && spec.list_at("/envFrom").is_empty() {
            return container;
        }
        let scripted = matches!(knows(&container), Knows::Command(_));
        loop {
            match self.environment(spec, scripted).await {
                Ok(env) => {
                    container.command = container.command.iter().map(|w| substitute(w, &env)).collect();
                    container.env = env;
                    return container;
                }
                Err(why) => {
                    self.warning("Failed", format!("Error: {why}"));
                    self.waiting(i, "CreateContainerConfigError", why);
                    self.host().clock().sleep(CONFIG_RETRY).await;
                }
            }
        }
    }

    fn container(&self, spec: &Value) -> Container {
        let pod = self.pod();
        let words = spec.list_at("/command").iter().chain(spec.list_at("/args"));
        Container {
            pod_name: pod.name().to_owned(),
            namespace: pod.namespace().to_owned(),
            name: spec.str_at("/name").to_owned(),
            image: spec.str_at("/image").to_owned(),
            command: words.filter_map(|w| w.as_str().map(str::to_owned)).collect(),
            own_entrypoint: spec.list_at("/command").is_empty(),
            env: Vec::new(),
            mounts: self.mounts(spec),
            working_dir: spec.str_at("/workingDir").to_owned(),
            termination_message: spec.str_at("/terminationMessagePath").to_owned(),
            hostname: self.hostname(),
            log: Some(Arc::new(Log::new(self.host()))),
            host_network: pod.bool_at("/spec/hostNetwork"),
            stdin: spec.bool_at("/stdin"),
            tty: spec.bool_at("/tty"),
        }
    }

    /// Whether any of its containers is interpreted.
    pub(super) fn runs_scripts(&self) -> bool {
        let pod = self.pod();
        let mut all = pod.list_at("/spec/initContainers").iter().chain(pod.list_at("/spec/containers"));
        all.any(|spec| matches!(knows(&self.container(spec)), Knows::Command(_)))
    }

    /// Waits for the end of a running container, probing it meanwhile.
    async fn attend(
        self: &Arc<Self>,
        i: usize,
        spec: &Value,
        running: &Arc<dyn Running>,
        began: Mono,
    ) -> End {
        let name = spec.str_at("/name");
        let (oom, crash) = {
            let pod = self.pod();
            let faults = Faults::of(&pod, name);
            (faults.oom_after(), faults.crash_after())
        };
        let doom = async |after: Option<Duration>| match after {
            Some(after) => self.host().clock().sleep_until(began + after).await,
            None => std::future::pending().await,
        };
        if let Some(hook) = spec.at("/lifecycle/postStart")
            && let Err(why) = self.hook(spec, hook, running).await
        {
            self.warning("FailedPostStartHook", format!("PostStartHook failed: {why}"));
            running.kill().await;
        }
        tokio::select! {
            biased;
            (code, words) = running.wait() => End::new(code, words),
            () = doom(oom) => {
                running.kill().await;
                End { code: 137, reason: "OOMKilled", words: String::new() }
            }
            () = doom(crash.map(|(after, _)| after)) => {
                running.kill().await;
                End::new(crash.map_or(1, |(_, code)| code), String::new())
            }
            which = self.probe(i, spec, running) => self.stop_unhealthy(spec, running, which).await,
        }
    }

    async fn stop_unhealthy(&self, spec: &Value, running: &Arc<dyn Running>, which: &'static str) -> End {
        let name = spec.str_at("/name");
        self.host().record("probe", vec![("pod", self.key()), ("failed", which.to_owned())]);
        self.normal("Killing", format!("Container {name} failed {which} probe, will be restarted"));
        let killed = || (137, format!("container failed its {which} probe and was killed"));
        if running.behind() == Behind::Program {
            running.kill().await;
            let (code, words) = killed();
            return End::new(code, words);
        }
        let own = spec.i64_at(&format!("/{which}Probe/terminationGracePeriodSeconds"));
        let grace = own.and_then(|s| u64::try_from(s).ok()).map_or(self.grace(), Duration::from_secs);
        running.terminate().await;
        match self.host().clock().timeout(grace, running.wait()).await {
            Ok((code, words)) => End::new(code, words),
            Err(_) => {
                running.kill().await;
                End::new(137, String::new())
            }
        }
    }

    /// Does what a lifecycle hook says: sleeps, asks, or has a command interpreted.
    pub(super) async fn hook(
        &self,
        container: &Value,
        hook: &Value,
        running: &Arc<dyn Running>,
    ) -> Result<(), String> {
        if let Some(seconds) = hook.i64_at("/sleep/seconds") {
            self.host().clock().sleep(Duration::from_secs(u64::try_from(seconds).unwrap_or_default())).await;
        }
        if hook.at("/httpGet").is_some() {
            let go = self.node().options.profile.go();
            let probe =
                Probe::new(self.host(), hook, container, self.ip(), go, running.clone(), Mono::default());
            return match probe {
                Some(probe) => probe.ask(self.host()).await,
                None => Err("the hook's httpGet names no port".into()),
            };
        }
        let words: Vec<String> =
            hook.list_at("/exec/command").iter().filter_map(|w| w.as_str().map(str::to_owned)).collect();
        match running.exec(&words).await {
            Some((code, output)) if code != 0 => {
                Err(format!("command {words:?} exited with {code}: {output}"))
            }
            _ => Ok(()),
        }
    }
}

impl super::state::ContainerState {
    /// The run that has ended becomes the last one.
    fn retire(&mut self) {
        if let Phase::Terminated { .. } = self.phase {
            self.last = Some(state_of(&self.phase, &self.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_five_minutes_and_are_forgiven_after_ten_minutes_of_running() {
        let at = |seconds: u64| Mono::default() + Duration::from_secs(seconds);
        let (mut backoff, mut now, mut waits) = (Backoff::default(), 0, Vec::new());
        for run in [1, 1, 1, 1, 1, 1, 1, 1, 600, 601, 1] {
            now += run;
            let wait = backoff.wait(at(now));
            waits.push(wait.map(|d| d.as_secs()));
            now += wait.map_or(0, |d| d.as_secs());
            backoff.restarts(wait, at(now));
        }
        let some = |n: &[u64]| n.iter().map(|n| Some(*n)).collect::<Vec<_>>();
        assert_eq!(waits[0], None);
        assert_eq!(waits[1..9], some(&[10, 20, 40, 80, 160, 300, 300, 300]));
        assert_eq!(waits[9..], [None, Some(10)]);
    }
}
