//! ha: three control planes: what they share, who works, and how many may be lost.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use api::{object::ObjectExt as _, profile::Profile};
use chronoplane::{HarnessError, Machinery, Sim, TaskLauncher, balancer::Balancer, cluster::WORKSTATION};
use client::{Resource, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::json;
use world::{
    Host,
    sim::{Config, run},
};

use super::{MINUTE, SECOND};
use crate::{
    scenarios::verdict,
    story::StoryError,
    teach::{Lesson, decode, facts::Facts},
};

const NAMES: [&str; 3] = ["cp1", "cp2", "cp3"];
const PKI: &str = "/etc/kubernetes/pki";
const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");
const SYSTEM: Option<&str> = Some("kube-system");

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    run(Config { seed: lesson.seed, ..Config::default() }, async |sim| act(lesson, &sim).await)?
}

/// Three hosts behind a balancer.
struct Three {
    sim: Sim,
    profile: Profile,
    hosts: Vec<Host>,
    admin: Kubeconfig,
    balancer: Balancer,
}

impl Three {
    async fn kubeadm(&self, n: usize, args: &[&str]) -> Result<String, HarnessError> {
        let version = format!("--kubernetes-version={}", self.profile.git_version());
        let args = args.iter().map(|arg| (*arg).to_owned()).chain([version]);
        chronoplane::cluster::kubeadm(&self.hosts[n], args.collect()).await
    }

    /// kubectl, through the balancer.
    fn kubectl(&self) -> Result<Rest, StoryError> {
        let host = self.sim.host(WORKSTATION);
        Rest::from_kubeconfig(&host, &self.admin, self.profile.go(), "kubectl").map_err(StoryError::new)
    }

    /// Who holds a component's lease: the name of its host.
    async fn holder(&self, name: &str) -> Option<String> {
        let lease = self.kubectl().ok()?.get(&LEASES, SYSTEM, name).await.ok()?;
        let holder = lease.str_at("/spec/holderIdentity");
        Some(holder.split('_').next().unwrap_or_default().to_owned())
    }

    async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Option<T>) -> Result<T, HarnessError> {
        chronoplane::cluster::wait_for(&self.sim.host(WORKSTATION), what, look).await
    }
}

async fn act(lesson: &Lesson, sim: &Sim) -> Result<(), StoryError> {
    let profile = Profile::default();
    let hosts: Vec<Host> = NAMES.iter().map(|name| sim.host(name)).collect();
    for host in &hosts {
        Machinery::tasks(TaskLauncher::default()).install(host, profile);
    }
    let servers: Vec<_> = hosts.iter().map(|host| SocketAddr::new(host.net().address(), 6443)).collect();
    let balancer = Balancer::layer4(&sim.host("balancer"), 6443, &servers).await?;
    let endpoint = format!("--control-plane-endpoint={}", balancer.address());
    let args = ["init", &endpoint, "--encryption-algorithm=ECDSA-P256", "--upload-certs"];
    let version = format!("--kubernetes-version={}", profile.git_version());
    let args = args.iter().map(|arg| (*arg).to_owned()).chain([version]);
    let printed = chronoplane::cluster::kubeadm(&hosts[0], args.collect()).await?;
    let admin = chronoplane::cluster::admin_config(&hosts[0])?;
    let three = Three { sim: sim.clone(), profile, hosts, admin, balancer };

    let command = printed.split("running the following command on each as root:").nth(1).unwrap_or_default();
    let words: Vec<&str> = command.split_whitespace().filter(|word| *word != "\\").skip(1).take(9).collect();
    let key = words.last().copied().unwrap_or_default();
    let pin = words.iter().find(|word| word.starts_with("sha256:")).copied().unwrap_or_default();
    let lines = format!("kubeadm {}", words.join(" ")).replace(" --", " \\\n  --");
    let secret = three.kubectl()?.get(&Resource::core("secrets"), SYSTEM, "kubeadm-certs").await;
    let secret = secret.map_err(StoryError::new)?;
    let keys: Vec<_> = secret.map_at("/data").into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let facts = Facts::new()
        .word("endpoint", three.balancer.address())
        .show("command", lines)
        .show("keys", keys.join(", "))
        .varies(pin, "sha256:…")
        .varies(key, "…");
    lesson.tell("command", facts)?;

    for n in 1..3 {
        three.kubeadm(n, &words).await?;
    }
    three
        .until("the balancer sends to all three", async || {
            (three.balancer.healthy().len() == 3).then_some(())
        })
        .await?;
    lesson.ask("files", Facts::new())?;
    let rows = compared(&three.hosts[0], &three.hosts[1]);
    let serving =
        rows.iter().find(|(name, _)| name == "apiserver.crt").map(|(_, how)| *how).unwrap_or_default();
    let shown = decode::rows(rows.iter().map(|(name, how)| (name.as_str(), (*how).to_owned())));
    lesson.tell("files", Facts::new().show("files", shown).answer(serving))?;

    lesson.ask("leaders", Facts::new())?;
    let components = ["kube-controller-manager", "kube-scheduler"];
    let mut rows = Vec::new();
    for name in components {
        let holder = three
            .until("somebody leads", async || three.holder(name).await.filter(|h| !h.is_empty()))
            .await?;
        rows.push((name, holder));
    }
    let working =
        rows.iter().filter(|(name, _)| *name == "kube-scheduler").map(|(_, h)| h).collect::<BTreeSet<_>>();
    lesson.tell("leaders", Facts::new().show("leases", decode::rows(rows.clone())).answer(working.len()))?;

    lesson.ask("lost", Facts::new())?;
    let leader = rows[0].1.clone();
    let lost = NAMES.iter().position(|name| *name == leader).unwrap_or_default();
    let clock = sim.host(WORKSTATION).clock().clone();
    three.hosts[lost].halt().await;
    let began = clock.monotonic();
    let next = three
        .until("another leads", async || three.holder(components[0]).await.filter(|holder| *holder != leader))
        .await?;
    let took = clock.monotonic().since(began);
    let facts = Facts::new()
        .word("leader", &leader)
        .word("next", next)
        .word("seconds", took.as_secs())
        .answer(band(took));
    lesson.tell("lost", facts)?;

    lesson.ask("majority", Facts::new())?;
    let left: Vec<usize> = (0..3).filter(|n| *n != lost).collect();
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two", "namespace": "default"}});
    let with_two = super::create(&three.kubectl()?, &map).await;
    lesson.holds("two of three write", with_two.is_ok(), verdict(&with_two).1)?;
    sim.cut(NAMES[left[0]], NAMES[left[1]]);
    sim.elapse(MINUTE).await;
    let mut config = three.admin.clone();
    for named in &mut config.clusters {
        named.cluster.server = format!("https://{}:6443", three.hosts[left[1]].net().address());
    }
    let one = Rest::from_kubeconfig(&sim.host(WORKSTATION), &config, profile.go(), "kubectl")
        .map_err(StoryError::new)?;
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "default"}});
    let (code, words) = verdict(&super::create(&one, &map).await);
    let answer = if code == 200 { "accepted" } else { "refused" };
    lesson.tell("majority", Facts::new().show("error", textwrap::fill(&words, 88)).answer(answer))?;

    sim.heal(NAMES[left[0]], NAMES[left[1]]);
    let again = async || super::create(&three.kubectl().ok()?, &map).await.ok();
    three.until("writing goes on", again).await?;
    lesson.tell("healed", Facts::new())
}

/// Each file of `pki` on both hosts: the same, or its own.
fn compared(a: &Host, b: &Host) -> Vec<(String, &'static str)> {
    let read = |host: &Host, path: &str| host.disk().read(path).ok();
    let names =
        decode::paths(a, PKI).into_iter().filter(|path| path.ends_with(".crt") || path.ends_with("sa.pub"));
    let how = |path: String| {
        let (x, y) = (read(a, &path)?, read(b, &path)?);
        let name = path.trim_start_matches(PKI).trim_start_matches('/').to_owned();
        Some((name, if x == y { "same" } else { "own" }))
    };
    names.filter_map(how).collect()
}

fn band(took: Duration) -> &'static str {
    match took {
        t if t < 2 * SECOND => "at once",
        t if t < 30 * SECOND => "within half a minute",
        _ => "after minutes",
    }
}
