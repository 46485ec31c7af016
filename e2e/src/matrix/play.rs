//! How a cell is told: the cluster grows old, stops and wakes; what is found is checked, and so is what heals it.
//!
//! Below the certificates' year nothing has ended and everything heals by itself: the control run of the cells above.
//!
//! Above it every certificate but the authorities' has ended. Nothing heals by itself then:
//!
//! * Suspended, the apiservers go on and answer whoever does not look at their certificate; controller manager and
//!   scheduler can no longer renew their leases, stop leading and start in vain. Kubelets end after five minutes, or go
//!   on and call the server unresponsive (see the story kubelet-jump-year), and whoever has ended starts no more.
//! * Switched off, no kubelet starts: its certificate has ended and kubeadm has deleted its bootstrap kubeconfig. So no
//!   static pod starts either, and nobody listens.
//!
//! Healed by three things, in this order, and each of the last two is needed although the one before has been done:
//! `kubeadm certs renew all`, new kubelet.confs and restarts on the control planes; a bootstrap with a new token on each
//! worker; an approval of its request, where nobody vouches for bootstrappers.

use std::time::Duration;

use api::object::ObjectExt as _;
use chronoplane::{
    cluster::{WORKSTATION, is_ready},
    expirations,
};
use client::{ListParams, Resource, Rest};
use serde_json::{Value, json};
use world::{Exit, Host, Periods, Wall, rfc3339, sim::Sim};

use super::{
    cell::{Cell, Stop},
    fleet::Fleet,
    health::{LEADERS, ailing, pending, until},
};
use crate::{
    scenarios::{raw, verdict},
    story::{Settings, StoryError, Teller},
};

const MINUTE: Duration = Duration::from_secs(60);
/// How long things may take that heal by themselves. A kubelet without certificate lives for five minutes.
const BY_ITSELF: Duration = Duration::from_secs(7 * 60);
pub(super) const NODES: Resource = Resource::core("nodes");
const PODS: Resource = Resource::core("pods");
pub(super) const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
const NO_BOOTSTRAP: &str = "failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory";
const NOT_RESPONSIVE: &str =
    "but the server is not responsive. A restart may be necessary to retrieve new initial credentials.";
const EXPIRED: &str = "x509: certificate has expired or is not yet valid";

/// What the table says of a cell.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Certificates on all hosts that had ended at the waking, and how many there were.
    pub ended: (usize, usize),
    /// What kubectl said, over a new connection.
    pub kubectl: String,
    /// Kubelets that had ended for good seven minutes later, that called the server unresponsive, and all.
    pub kubelets: (usize, usize, usize),
    /// What was done, in order; nothing where all healed by itself.
    pub remedies: Vec<String>,
    /// From the waking, or from the first remedy, until everything was well.
    pub healed: Duration,
}

/// Plays a cell in `sim`.
///
/// # Errors
/// The world broke: no cluster came up, or a step of a remedy failed.
pub(super) async fn play(
    sim: &Sim,
    cell: Cell,
    settings: &Settings,
    teller: &Teller,
) -> Result<Row, StoryError> {
    let fleet = Fleet::start(sim, settings.profile, cell.topology).await?;
    // What it does while it grows old does not matter.
    sim.set_periods(Periods::sparse());
    sim.elapse(cell.age()).await;
    let scene = Scene { sim, cell, teller, fleet: &fleet, row: Row::default(), woke: Wall::MIN };
    scene.stop_and_wake().await
}

struct Scene<'a> {
    sim: &'a Sim,
    cell: Cell,
    teller: &'a Teller,
    fleet: &'a Fleet,
    row: Row,
    woke: Wall,
}

impl Scene<'_> {
    async fn stop_and_wake(mut self) -> Result<Row, StoryError> {
        let (fleet, how) = (self.fleet, self.cell.stop);
        let what = if how == Stop::Suspend { "suspended" } else { "switched off" };
        self.say(&format!("all hosts are {what} for {} days", self.cell.away));
        fleet.stop(how, self.cell.away()).await;
        self.woke = fleet.now();
        self.say("they are back");
        self.certificates();
        // For who starts to listen, and for a balancer to find who woke.
        self.sim.elapse(if how == Stop::Suspend { MINUTE / 3 } else { MINUTE }).await;
        if self.cell.outlives_leaves() {
            self.words().await?;
            self.not_by_itself().await?;
            let began = self.fleet.now();
            self.renew_control_planes().await?;
            self.bootstrap_workers().await?;
            self.row.healed = since(began, self.fleet.now());
        } else {
            let rest = fleet.kubectl()?;
            let hosts: Vec<Host> = fleet.hosts().cloned().collect();
            let healed = self.until_well(&rest, &hosts, self.woke, BY_ITSELF).await;
            self.check("everything, by itself", healed.is_ok(), said(&healed));
            self.row.kubectl = self.ask(&rest).await;
            self.row.healed = since(self.woke, self.fleet.now());
            let (ended, waiting) = self.kubelets();
            self.row.kubelets = (ended.len(), waiting.len(), hosts.len());
            self.check("no kubelet has a word to say", ended.is_empty() && waiting.is_empty(), String::new());
        }
        self.works().await?;
        Ok(self.row)
    }

    fn say(&self, what: &str) {
        self.teller.say(format!("{} {what}", rfc3339(self.fleet.now())));
    }

    fn check(&self, what: &str, held: bool, seen: impl Into<String>) {
        self.teller.check(what, held, seen);
    }

    /// Every certificate but the authorities' ends with the year, or none does.
    fn certificates(&mut self) {
        let all: Vec<_> = self.fleet.hosts().flat_map(expirations::on_host).collect();
        let (ended, lives): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.not_after < self.woke);
        let authority = |name: &str| name.ends_with("ca.crt");
        let held = match self.cell.outlives_leaves() {
            true => {
                !ended.iter().any(|one| authority(&one.name)) && lives.iter().all(|one| authority(&one.name))
            }
            false => ended.is_empty(),
        };
        let names: std::collections::BTreeSet<&str> =
            ended.iter().filter_map(|one| one.name.rsplit('/').next()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        self.row.ended = (ended.len(), all.len());
        self.check(
            "certificates that have ended",
            held,
            format!("{} of {}: {names}", ended.len(), all.len()),
        );
        let leaves = all.iter().filter(|one| !authority(&one.name)).count();
        // Nothing is proved by certificates that are not there.
        let least = 11 * self.fleet.control_planes.len() + self.fleet.workers.len();
        self.check("of all that there must be", leaves >= least, format!("{leaves} beside the authorities'"));
    }

    async fn ask(&self, rest: &Rest) -> String {
        let nodes = rest.list(&NODES, None, &ListParams::default()).await;
        match nodes {
            Ok(list) => format!("{} nodes", list.items.len()),
            Err(e) => e.to_string(),
        }
    }

    /// What people are told at the waking.
    async fn words(&mut self) -> Result<(), StoryError> {
        let seen = self.ask(&self.fleet.kubectl()?).await;
        let careless = verdict(&self.fleet.careless_kubectl()?.get(&NODES, None, "node1").await);
        match self.cell.stop {
            Stop::Suspend => {
                self.check("kubectl", seen.contains(EXPIRED), seen.clone());
                let words = format!("{} {}", careless.0, careless.1);
                self.check("kubectl --insecure-skip-tls-verify", careless.0 == 401, words);
            }
            Stop::Shutdown => {
                // Behind a balancer that has nobody to carry to, the connection is taken and closed.
                let silent = if self.fleet.control_planes.len() > 1 { "EOF" } else { "connection refused" };
                self.check("kubectl", seen.contains(silent), seen.clone());
                self.check("with or without verifying", careless.0 == 0, careless.1);
            }
        }
        self.row.kubectl = seen;
        Ok(())
    }

    /// The kubelets that ended for want of credentials, and those that go on without, by their last words.
    fn kubelets(&self) -> (Vec<String>, Vec<String>) {
        let events = self.sim.events();
        let (mut ended, mut waiting) = (Vec::new(), Vec::new());
        for host in self.fleet.hosts() {
            let unresponsive = events.iter().any(|e| {
                e.host == host.name()
                    && e.actor == "kubelet"
                    && e.kind == "client"
                    && e.fields.iter().any(|(_, words)| words.ends_with(NOT_RESPONSIVE))
            });
            match host.services().last_exit("kubelet") {
                Some(Exit::Failure(words)) if words == NO_BOOTSTRAP => ended.push(host.name().to_owned()),
                _ if unresponsive => waiting.push(host.name().to_owned()),
                _ => {}
            }
        }
        (ended, waiting)
    }

    /// Seven minutes later nothing is better.
    async fn not_by_itself(&mut self) -> Result<(), StoryError> {
        self.sim.elapse(BY_ITSELF).await;
        self.say("seven minutes later");
        let seen = self.ask(&self.fleet.kubectl()?).await;
        self.check("kubectl, still", !seen.ends_with("nodes"), String::new());
        let (ended, waiting) = self.kubelets();
        let all = self.fleet.hosts().count();
        self.row.kubelets = (ended.len(), waiting.len(), all);
        self.check(
            "kubelets that start no more",
            !ended.is_empty(),
            format!("{} saying {NO_BOOTSTRAP}", ended.join(", ")),
        );
        let seen = match waiting.as_slice() {
            [] => String::new(),
            names => format!("{} saying … {NOT_RESPONSIVE}", names.join(", ")),
        };
        let may_wait = self.cell.stop == Stop::Suspend;
        self.check("and those that go on without", may_wait || waiting.is_empty(), seen);
        self.check("are all", ended.len() + waiting.len() == all, format!("{all}"));
        if self.cell.stop == Stop::Suspend {
            let stopped = LEADERS.iter().filter(|name| self.stopped_leading(name)).count();
            self.check("leaders that stopped leading", stopped == LEADERS.len(), LEADERS.join(", "));
        }
        Ok(())
    }

    /// Whether somebody of that name has lost its lease since the waking.
    fn stopped_leading(&self, name: &str) -> bool {
        let events = self.sim.events();
        events.iter().any(|e| {
            e.actor == name
                && e.kind == "election"
                && e.at > self.woke
                && e.fields.iter().any(|(_, text)| text.ends_with("stopped leading"))
        })
    }

    async fn renew_control_planes(&mut self) -> Result<(), StoryError> {
        let (fleet, began) = (self.fleet, self.fleet.now());
        for host in &fleet.control_planes {
            let renewed = fleet.renew(host).await?;
            self.check(
                &format!("kubeadm certs renew all on {}", host.name()),
                renewed >= 9,
                format!("{renewed} renewed"),
            );
        }
        for host in &fleet.control_planes {
            fleet.new_kubelet_conf(host).await?;
        }
        self.done(format!("certs renew all ×{}", fleet.control_planes.len()));
        self.done(format!("kubelet.conf ×{}", fleet.control_planes.len()));
        // Who was switched off starts with the new files.
        if self.cell.stop == Stop::Suspend {
            fleet.restart_static_pods().await?;
            self.done("static pods restarted".to_owned());
        }
        let rest = fleet.kubectl()?;
        let well = self.until_well(&rest, &fleet.control_planes, began, BY_ITSELF).await;
        self.check("the control planes", well.is_ok(), said(&well));
        for host in &fleet.control_planes {
            fleet.follow_rotation(host).await?;
        }
        // The controller that marks silent nodes works again: it marks those that are.
        let node = &fleet.workers[0];
        let marked = self.until(3 * MINUTE, async || {
            let node = rest.get(&NODES, None, node.name()).await.map_err(|e| e.to_string())?;
            if is_ready(&node) { Err(format!("{} is Ready", node.name())) } else { Ok(()) }
        });
        let marked = marked.await;
        self.check("the workers are not healed by that", marked.is_ok(), said(&marked));
        Ok(())
    }

    async fn bootstrap_workers(&mut self) -> Result<(), StoryError> {
        let (fleet, began) = (self.fleet, self.fleet.now());
        let rest = fleet.kubectl()?;
        for host in &fleet.workers {
            fleet.new_bootstrap(host).await?;
        }
        self.done(format!("bootstrap ×{}", fleet.workers.len()));
        let there = self.until(2 * MINUTE, async || {
            let pending = pending(&rest).await?;
            match pending.len() >= fleet.workers.len() {
                true => Ok(()),
                false => Err("no request".to_owned()),
            }
        });
        let there = there.await;
        self.check("their requests", there.is_ok(), said(&there));
        self.sim.elapse(MINUTE).await;
        let requests = pending(&rest).await.map_err(StoryError)?;
        let who: Vec<&str> = requests.iter().map(|csr| csr.str_at("/spec/username")).collect();
        let held = requests.len() == fleet.workers.len()
            && who.iter().all(|name| name.starts_with("system:bootstrap:"));
        self.check("pending a minute later", held, who.join(", "));
        for csr in &requests {
            let approval = json!([{"type": "Approved", "status": "True", "reason": "KubectlApprove",
                "message": "This CSR was approved by kubectl certificate approve."}]);
            let approve = |csr: &mut Value| csr["status"]["conditions"] = approval.clone();
            rest.modify(&CSRS, None, csr.name(), Some("approval"), approve).await.map_err(StoryError::new)?;
        }
        self.done(format!("approval ×{}", requests.len()));
        let hosts: Vec<Host> = fleet.hosts().cloned().collect();
        let well = self.until_well(&rest, &hosts, began, BY_ITSELF).await;
        self.check("everything", well.is_ok(), said(&well));
        let now = fleet.now();
        // A kubelet makes the certificate of its server once; who asks it does not verify it.
        let left: Vec<String> = (fleet.hosts().flat_map(expirations::on_host))
            .filter(|one| one.not_after < now && !one.name.ends_with("/kubelet.crt"))
            .map(|one| format!("{} on {}", one.name, one.host))
            .collect();
        self.check("no certificate is over but kubelets' own", left.is_empty(), left.join(", "));
        Ok(())
    }

    fn done(&mut self, what: String) {
        self.say(&what);
        self.row.remedies.push(what);
    }

    /// That it is a cluster: a pod is scheduled and runs, and its log can be read.
    async fn works(&self) -> Result<(), StoryError> {
        let rest = self.fleet.kubectl()?;
        let pod = json!({"metadata": {"name": "after"}, "spec": {"containers": [
            {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo awake; sleep 3600"]}]}});
        let created = rest.create(&PODS, Some("default"), &pod).await;
        let log = "/api/v1/namespaces/default/pods/after/log";
        let runs = self.until(MINUTE, async || {
            let pod = rest.get(&PODS, Some("default"), "after").await.map_err(|e| e.to_string())?;
            match pod.str_at("/status/phase") {
                "Running" => Ok(()),
                phase => Err(format!("{phase} on {:?}", pod.str_at("/spec/nodeName"))),
            }
        });
        let runs = runs.await;
        self.check("a new pod runs", created.is_ok() && runs.is_ok(), said(&runs));
        let (code, text) = raw(&rest, log).await;
        self.check(
            "and its log is read",
            code == 200 && text == "awake\n",
            format!("{code} {}", text.trim()),
        );
        Ok(())
    }

    /// Waits until these hosts' nodes and the leaders give signs of life of after `since`.
    async fn until_well(
        &self,
        rest: &Rest,
        hosts: &[Host],
        since: Wall,
        at_most: Duration,
    ) -> Result<(), String> {
        self.until(at_most, async || ailing(rest, hosts, since).await).await
    }

    async fn until(
        &self,
        at_most: Duration,
        look: impl AsyncFnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        until(self.sim.host(WORKSTATION).clock(), at_most, look).await
    }
}

fn said(outcome: &Result<(), String>) -> String {
    outcome.as_ref().err().cloned().unwrap_or_default()
}

fn since(from: Wall, to: Wall) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
