//! One container of a pod: it starts, is watched, ends, and starts again when its policy says so.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use serde_json::Value;
use world::{Mono, rfc3339};

use super::{
    environment::substitute,
    faults::Faults,
    probe::{Probe, Starts},
    state::{Phase, Restart, Role, state_of},
    worker::{Worker, containers_of},
};
use crate::{
    launcher::{Behind, Container, Running},
    runtime::{End, Fate, Instance},
    shell::{Knows, knows},
};

/// Restart delays of a failing container.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// After so long a run the delay begins anew (twice the longest, client-go's backoff).
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// How soon a container that could not be configured is tried again (backOffPeriod).
const CONFIG_RETRY: Duration = Duration::from_secs(10);
/// Containers always get so long to end (`minimumGracePeriodInSeconds`).
pub(super) const LEAST_GRACE: Duration = Duration::from_secs(2);
/// What is kept of a log as a termination message.
const LAST_LINES: usize = 80;
const LAST_BYTES: usize = 2048;

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

/// Why a run is over, as far as the kubelet is concerned.
struct Over {
    code: i32,
    /// It starts again, whatever its policy says.
    replaced: bool,
}

impl Worker {
    /// Runs container `i` as often as its policy says; returns whether it succeeded in the end. A run that the
    /// runtime has already is taken over.
    pub(super) async fn supervise(self: Arc<Self>, i: usize) -> bool {
        let role = self.look(|s| s.containers.get(i).map_or(Role::Main, |c| c.role));
        let mut backoff = Backoff::default();
        let mut found = self.spec(i).and_then(|spec| self.sandbox().newest(spec.str_at("/name")));
        loop {
            // Its image may be another one than at the last start.
            let Some(spec) = self.spec(i) else { return true };
            // A pod that begins anew begins with all its init containers.
            let mut stale = false;
            let over = match found.take() {
                Some(run) => {
                    stale = run.sandbox != self.sandbox().attempt();
                    self.resume(i, &spec, &run).await
                }
                None => match self.run_once(i, &spec).await {
                    Some(over) => over,
                    None => return false,
                },
            };
            let ended = self.host().clock().monotonic();
            let again = match (role, self.restart_policy()) {
                _ if over.replaced => true,
                // It is there once.
                (Role::Ephemeral, _) => false,
                (Role::Sidecar, _) | (Role::Main, Restart::Always) => true,
                (_, Restart::Never) => false,
                // For an init container Always means: until it has succeeded.
                (_, Restart::OnFailure | Restart::Always) => over.code != 0 || stale && role == Role::Init,
            };
            let last = self.look(|s| s.terminating || s.draining) || !again;
            if last {
                return over.code == 0;
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

    /// What became of a run that began before this kubelet did.
    async fn resume(self: &Arc<Self>, i: usize, spec: &Value, run: &Arc<Instance>) -> Over {
        match run.end() {
            Some(end) => Over { code: end.code, replaced: false },
            None => self.attend(i, spec, run).await,
        }
    }

    /// One run from its image to its end; `None` if the pod ended before it had begun.
    async fn run_once(self: &Arc<Self>, i: usize, spec: &Value) -> Option<Over> {
        self.unless_ending(self.until(|s| s.mounted)).await?;
        self.unless_ending(self.image(i, spec)).await?;
        let container = self.unless_ending(self.configure(i, spec)).await?;
        let name = container.name.clone();
        let attempt = self.look(|s| s.containers.get(i).map_or(0, |c| c.restarts));
        let fates = self.fates(&name);
        let launcher = self.node().launcher.clone();
        let started = rfc3339(self.host().clock().wall());
        match self.sandbox().start(launcher, container, attempt, fates).await {
            Ok(run) => {
                self.normal("Created", format!("Created container: {name}"));
                self.edit_container(i, |c| {
                    c.previous = c.log.take();
                    c.runs(&run);
                });
                self.normal("Started", format!("Started container {name}"));
                if run.running.behind() == Behind::Nothing {
                    self.tell_that_nothing_runs(&run);
                }
                if let Some(hook) = spec.at("/lifecycle/postStart")
                    && let Err(why) = self.hook(spec, hook, &run.running).await
                {
                    self.warning("FailedPostStartHook", format!("PostStartHook failed: {why}"));
                    run.running.kill().await;
                }
                Some(self.attend(i, spec, &run).await)
            }
            Err(why) => {
                self.warning("Failed", format!("Error: {why}"));
                let finished = rfc3339(self.host().clock().wall());
                self.note_end(&name, 128, &why);
                self.edit_container(i, |c| {
                    let reason = "CreateContainerError";
                    c.phase = Phase::Terminated { code: 128, reason, message: why, started, finished };
                });
                Some(Over { code: 128, replaced: false })
            }
        }
    }

    /// Ends that the pod's annotations wish for a container.
    fn fates(&self, name: &str) -> Vec<Fate> {
        let pod = self.pod();
        let faults = Faults::of(&pod, name);
        let oom = faults.oom_after().map(|after| Fate { after, code: 137, reason: Some("OOMKilled") });
        let crash = faults.crash_after().map(|(after, code)| Fate { after, code, reason: None });
        oom.into_iter().chain(crash).collect()
    }

    /// Once for each pod and container: what looks like a program is none.
    fn tell_that_nothing_runs(&self, run: &Instance) {
        if run.attempt == 0 {
            let words = format!(
                "Image {:?} is not interpreted: container {} runs until it is stopped, and its probes pass",
                run.image, run.name
            );
            self.normal("Simulated", words);
        }
    }

    fn note_end(&self, name: &str, code: i32, words: &str) {
        tracing::warn!(pod = self.pod().name(), container = name, code, "container ended: {words}");
        self.host().record(
            "container",
            vec![("name", name.to_owned()), ("code", code.to_string()), ("words", words.to_owned())],
        );
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
            log: None,
            host_network: pod.bool_at("/spec/hostNetwork"),
            stdin: spec.bool_at("/stdin"),
            tty: spec.bool_at("/tty"),
        }
    }

    /// Whether any of its containers is interpreted.
    pub(super) fn runs_scripts(&self) -> bool {
        let pod = self.pod();
        let mut all = containers_of(&pod);
        all.any(|spec| matches!(knows(&self.container(spec)), Knows::Command(_)))
    }

    /// Waits for the end of a run, probing it meanwhile.
    async fn attend(self: &Arc<Self>, i: usize, spec: &Value, run: &Arc<Instance>) -> Over {
        let name = spec.str_at("/name");
        let is_ephemeral = self.look(|s| s.containers.get(i).is_some_and(|c| c.role == Role::Ephemeral));
        let mut words = None;
        let mut replaced = false;
        let end = tokio::select! {
            biased;
            end = run.wait() => end,
            which = self.probe(i, spec, run), if !is_ephemeral => {
                self.host().record("probe", vec![("pod", self.key()), ("failed", which.to_owned())]);
                self.normal("Killing", format!("Container {name} failed {which} probe, will be restarted"));
                let own = spec.i64_at(&format!("/{which}Probe/terminationGracePeriodSeconds"));
                let grace = own.and_then(|s| u64::try_from(s).ok()).map_or(self.grace(), Duration::from_secs);
                if run.running.behind() == Behind::Program {
                    run.running.kill().await;
                    words = Some(format!("container failed its {which} probe and was killed"));
                }
                self.end(spec, run, grace).await
            }
            () = self.redefined(i, &run.image) => {
                self.normal("Killing", format!("Container {name} definition changed, will be restarted"));
                replaced = true;
                self.end(spec, run, self.grace()).await
            }
            () = run.to_be_resized() => {
                self.normal("Killing", format!("Container {name} resize requires restart"));
                replaced = true;
                self.end(spec, run, self.grace()).await
            }
        };
        let end = End { words: words.unwrap_or(end.words), ..end };
        self.note_end(name, end.code, &end.words);
        self.edit_container(i, |c| c.ends(spec, run, &end));
        Over { code: end.code, replaced }
    }

    /// Waits until the pod wants another image for container `i` than `image`.
    async fn redefined(&self, i: usize, image: &str) {
        self.until_updated(|_| self.spec(i).is_none_or(|spec| spec.str_at("/image") != image)).await;
    }

    /// Ends a run within `grace`: its hook, SIGTERM, and SIGKILL when its time is over.
    pub(super) async fn end(&self, spec: &Value, run: &Arc<Instance>, grace: Duration) -> End {
        let deadline = self.host().clock().monotonic() + grace;
        if let Some(hook) = spec.at("/lifecycle/preStop") {
            let hook = self.hook(spec, hook, &run.running);
            if let Ok(Err(why)) = self.host().clock().timeout(grace, hook).await {
                self.warning("FailedPreStopHook", format!("PreStopHook failed: {why}"));
            }
        }
        run.running.terminate().await;
        let left = deadline.since(self.host().clock().monotonic()).max(LEAST_GRACE);
        match self.host().clock().timeout(left, run.wait()).await {
            Ok(end) => end,
            Err(_) => {
                run.running.kill().await;
                run.wait().await
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
            let probe = Probe::new(
                self.host(),
                hook,
                container,
                self.address(),
                go,
                running.clone(),
                Starts::default(),
            );
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

/// The message of a run's end: its last words, or those of its log where the container wants that.
pub(super) fn last_message(spec: &Value, run: &Instance, end: &End) -> String {
    let from_log = spec.str_at("/terminationMessagePolicy") == "FallbackToLogsOnError";
    match end.words.is_empty() && end.code != 0 && from_log {
        true => run.log.last_words(LAST_LINES, LAST_BYTES),
        false => end.words.clone(),
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
