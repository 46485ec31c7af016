//! When a running container counts as started, ready and alive.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use serde_json::Value;

use super::{
    faults::Faults,
    probe::{Probe, Starts},
    worker::Worker,
};
use crate::{launcher::Behind, runtime::Instance};

/// kubeadm asks its components for a sign of life this often.
const LIVENESS_PACE: Duration = Duration::from_secs(10);

impl Worker {
    /// Probes a running container until it must be killed; says which probe wants that.
    pub(super) async fn probe(self: &Arc<Self>, i: usize, spec: &Value, run: &Arc<Instance>) -> &'static str {
        let running = &run.running;
        let name = spec.str_at("/name");
        let (never, slow) = {
            let pod = self.pod();
            let faults = Faults::of(&pod, name);
            (faults.never_ready(), faults.slow_start())
        };
        // Counted from the container's start, which may be long before this kubelet's.
        let starts = Starts { at: run.began, slow_until: run.began + slow };
        let is_slow = self.host().clock().monotonic() < starts.slow_until;
        let go = self.node().options.profile.go();
        let probe = |kind: &'static str| {
            let asked = spec.get(kind)?;
            // Behind such a container nobody could answer.
            if running.behind() == Behind::Nothing && !is_slow {
                return None;
            }
            Probe::new(self.host(), asked, spec, self.address(), go, running.clone(), starts)
        };
        let (startup, liveness, readiness) =
            (probe("startupProbe"), probe("livenessProbe"), probe("readinessProbe"));
        if startup.is_none() {
            self.edit_container(i, |c| c.started = true);
        }
        if startup.is_none() && readiness.is_none() && !is_slow {
            self.edit_container(i, |c| c.ready = !never);
        }
        let live = async {
            // One that has started stays so, whoever asked before.
            let has_started = self.look(|s| s.containers.get(i).is_some_and(|c| c.started));
            if let Some(startup) = startup.as_ref().filter(|_| !has_started) {
                if !self.becomes_healthy(startup).await {
                    return "startup";
                }
                self.edit_container(i, |c| c.started = true);
            }
            match &liveness {
                Some(liveness) => self.until_unhealthy(liveness).await,
                None => std::future::pending().await,
            }
            "liveness"
        };
        let ready = async {
            self.until(|s| s.containers.get(i).is_some_and(|c| c.started)).await;
            if !never {
                match &readiness {
                    Some(readiness) => self.watch_readiness(i, readiness).await,
                    None => {
                        self.host().clock().sleep_until(starts.slow_until).await;
                        self.edit_container(i, |c| c.ready = true);
                    }
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            which = live => which,
            () = ready => "readiness",
        }
    }

    fn unhealthy(&self, kind: &str, why: &str) {
        self.host().record("probe", vec![("pod", self.key()), ("unhealthy", why.to_owned())]);
        self.warning("Unhealthy", format!("{kind} probe failed: {why}"));
    }

    async fn becomes_healthy(&self, probe: &Probe) -> bool {
        self.host().clock().sleep_until(probe.starts.at).await;
        let mut failures = 0;
        loop {
            match probe.ask(self.host()).await {
                Ok(()) => return true,
                Err(why) => {
                    failures += 1;
                    self.unhealthy("Startup", &why);
                }
            }
            if failures >= probe.failures {
                return false;
            }
            self.host().clock().sleep(probe.period).await;
        }
    }

    /// A healthy container is asked at this world's period, a failing one at upstream's: the
    /// failure threshold counts real periods.
    async fn until_unhealthy(&self, probe: &Probe) {
        self.host().clock().sleep_until(probe.starts.at).await;
        let mut failures = 0;
        loop {
            match probe.ask(self.host()).await {
                Ok(()) => {
                    failures = 0;
                    self.asked_again(probe).await;
                }
                Err(why) => {
                    failures += 1;
                    self.unhealthy("Liveness", &why);
                    if failures >= probe.failures {
                        return;
                    }
                    self.host().clock().sleep(probe.period).await;
                }
            }
        }
    }

    /// A world that stretches time gains nothing from asking every second: liveness sets the pace.
    async fn asked_again(&self, probe: &Probe) {
        let upstream = self.host().periods().is_upstream();
        self.host().recur(if upstream { probe.period } else { probe.period.max(LIVENESS_PACE) }).await;
    }

    async fn watch_readiness(&self, i: usize, probe: &Probe) {
        self.host().clock().sleep_until(probe.starts.at).await;
        let (mut failures, mut successes) = (0, 0);
        loop {
            let answer = probe.ask(self.host()).await;
            (failures, successes) = if answer.is_ok() { (0, successes + 1) } else { (failures + 1, 0) };
            if let Err(why) = &answer {
                self.unhealthy("Readiness", why);
            }
            let was = self.look(|s| s.containers.get(i).is_some_and(|c| c.ready));
            let is = if was { failures < probe.failures } else { successes >= probe.successes };
            if was != is {
                self.edit_container(i, |c| c.ready = is);
            }
            if is && answer.is_ok() {
                self.asked_again(probe).await;
            } else {
                self.host().clock().sleep(probe.period).await;
            }
        }
    }
}
