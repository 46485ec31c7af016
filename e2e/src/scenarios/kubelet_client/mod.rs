//! Stories about the certificate by which a kubelet is known to its apiserver: how it ends, how it is replaced, and
//! what a kubelet does that has none.
//!
//! What they share: a worker, its files, and what its kubelet and the apiserver say.
//!
//! Unoptimized, a telling takes one to three seconds: it is two or three worlds, each with a minute or two at
//! upstream's pace, because restarts after ten seconds and a node's grace are part of what is shown. Longest are those
//! that wait for the five minutes after which a kubelet without certificate ends (kubelet-jump-year,
//! suspended-past-life, kubelet-not-symlink).

mod kubelet_certdir_lost;
mod kubelet_conf_embedded;
mod kubelet_conf_stale;
mod kubelet_jump_year;
mod kubelet_not_symlink;
mod kubelet_off_overnight;
mod logs_fail_exec_works;
mod lone_master;
mod mass_rotation;
mod node_clock_behind;
mod rotated_but_old_connection;
mod rotation_jitter_false_alarm;
mod rotation_sleeps_through_step;
mod suspended_past_life;

use std::{path::PathBuf, time::Duration};

use api::object::ObjectExt as _;
use chronoplane::{Who, cluster::CONTROL_PLANE};
use client::{ListParams, Resource, Rest};
use jiff::SignedDuration;
use pki::{
    Certificate,
    csr::Csr,
    kubeconfig::{Cluster as Server, Kubeconfig, User},
};
use serde_json::Value;
use world::{Periods, Wall};

use crate::{
    catalogue::Family,
    scenarios::{Ground, Stage, verdict},
    story::{Settings, StoryError, Teller},
};

/// See the module.
pub(crate) const FAMILY: Family = Family {
    title: "Kubelet client certificate",
    entries: &[
        kubelet_off_overnight::ENTRY,
        kubelet_jump_year::ENTRY,
        kubelet_conf_embedded::ENTRY,
        kubelet_conf_stale::ENTRY,
        kubelet_certdir_lost::ENTRY,
        kubelet_not_symlink::ENTRY,
        rotation_sleeps_through_step::ENTRY,
        rotation_jitter_false_alarm::ENTRY,
        rotated_but_old_connection::ENTRY,
        logs_fail_exec_works::ENTRY,
        node_clock_behind::ENTRY,
        mass_rotation::ENTRY,
        suspended_past_life::ENTRY,
        lone_master::ENTRY,
    ],
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The worker of whom is told.
const NODE: &str = "node1";
const CONF: &str = "/etc/kubernetes/kubelet.conf";
const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
const PKI: &str = "/var/lib/kubelet/pki";
const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const NODES: Resource = Resource::core("nodes");
const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// The last words of a kubelet that needs a bootstrap and has nothing to do it with.
const NO_BOOTSTRAP: &str = "failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory";

/// An instant as a log shows it.
fn clock(at: Wall) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The file of the certificate that the kubelet uses, and that of its key. Up to 1.10 the first one lies apart from
/// those that rotation made.
fn files(stage: &Ground, host: &str) -> Result<(String, String), StoryError> {
    Ok(match stage.host(host)?.disk().exists(CURRENT) {
        true => (CURRENT.to_owned(), CURRENT.to_owned()),
        false => (format!("{PKI}/kubelet-client.crt"), format!("{PKI}/kubelet-client.key")),
    })
}

/// What the apiserver says to the certificate that a kubelet uses, asked for its node from its own host over a new
/// connection: code and words.
async fn known(stage: &Ground, host: &str) -> (u16, String) {
    match agent(stage, host) {
        Ok(rest) => verdict(&rest.get(&NODES, None, host).await),
        Err(e) => (0, e.0),
    }
}

/// A program on `host` that shows the kubelet's certificate, and has no connection yet.
fn agent(stage: &Ground, host: &str) -> Result<Rest, StoryError> {
    let (certificate, key) = files(stage, host)?;
    let host = stage.host(host)?;
    let config = Kubeconfig::new("kubernetes", server(stage), "agent", User::with_files(&certificate, &key));
    Rest::from_kubeconfig(&host, &config, stage.settings.profile.go(), "agent").map_err(StoryError::new)
}

fn server(stage: &Ground) -> Server {
    let known = stage.kubeconfig().cluster().map(|(_, server)| server.clone());
    known.unwrap_or_default()
}

/// Gives a node a bootstrap kubeconfig whose token ends after `ttl`, as `kubeadm token create --ttl` takes it; `0` is
/// never.
async fn bootstrap_file(stage: &Stage, host: &str, ttl: &str) -> Result<(), StoryError> {
    let printed =
        stage.cluster.kubeadm(&stage.host(CONTROL_PLANE), &["token", "create", "--ttl", ttl]).await?;
    let token = printed.lines().rev().find(|line| line.len() == 23).unwrap_or_default();
    let config =
        Kubeconfig::new("kubernetes", server(stage), "tls-bootstrap-token-user", User::with_token(token));
    config.save(stage.host(host).disk(), BOOTSTRAP).map_err(StoryError::new)
}

/// Restarts a node's kubelet; it has read its files when this returns.
async fn restart(stage: &Stage, host: &str) {
    let host = stage.host(host);
    host.services().restart(&host, "kubelet").await;
    stage.cluster.elapse(SECOND / 10).await;
}

/// As [`restart`], in either gear.
async fn start_anew(stage: &Ground, host: &str) -> Result<(), StoryError> {
    let since = mark(stage);
    stage.restart_kubelet(host).await?;
    // It has judged its files when it says so, waits for the next rotation, or ends.
    let judged = async || {
        let events = stage.events();
        let mut own = events.iter().skip(since).filter(|e| e.host == host && e.actor == "kubelet");
        let words = |e: &&world::Event| e.fields.iter().any(|(key, _)| *key == "exit");
        own.find(|e| matches!(e.kind, "timer" | "bootstrap") || words(e)).map(drop)
    };
    stage.give(SECOND / 10, judged).await;
    Ok(())
}

/// A worker joins by the command that kubeadm prints.
async fn join(stage: &Ground, name: &str) -> Result<(), StoryError> {
    let print = ["token", "create", "--print-join-command"];
    let printed = stage.kubeadm(&stage.control_plane(), &print).await?;
    let host = stage.host(name)?;
    stage.install(&host, stage.settings.profile);
    let words: Vec<&str> = printed.split_whitespace().skip(1).collect();
    stage.kubeadm(&host, &words).await?;
    let is_ready = async || Some(ready(stage, name).await).filter(|state| state == "True");
    stage.wait("the node is Ready", 5 * MINUTE, is_ready).await?;
    Ok(())
}

/// The kubelet rotates: when it is time, or, where time does not pass, at a new start when it has been time for long.
async fn rotate(stage: &Ground, host: &str, at_most: Duration) -> Result<(), StoryError> {
    let before = link(stage, host)?;
    if stage.is_real() {
        let certificate = current(stage, host)?;
        stage.until_clock(host, at_share(&certificate, 0.95)).await?;
        return rotate_at_start(stage, host).await;
    }
    let rotated = async || link(stage, host).is_ok_and(|now| now != before).then_some(());
    Ok(stage.wait("the kubelet has rotated its certificate", at_most, rotated).await?)
}

/// The kubelet is restarted and rotates, for it is time.
async fn rotate_at_start(stage: &Ground, host: &str) -> Result<(), StoryError> {
    let before = link(stage, host)?;
    stage.restart_kubelet(host).await?;
    let rotated = async || link(stage, host).is_ok_and(|now| now != before).then_some(());
    Ok(stage.wait("the kubelet has rotated its certificate", 2 * MINUTE, rotated).await?)
}

/// Where rotation has put the certificate of today.
fn link(stage: &Ground, host: &str) -> Result<Option<PathBuf>, StoryError> {
    Ok(stage.host(host)?.disk().read_link(CURRENT).ok())
}

/// A place in the record, to look at what comes after it.
fn mark(stage: &Ground) -> usize {
    stage.events().len()
}

/// How many requests the kubelet of a host has handed in since a mark. The API forgets them within hours.
fn asked(stage: &Stage, host: &str, since: usize) -> usize {
    let events = stage.sim().events();
    let csrs = events[since..].iter().filter(|e| e.host == host && e.actor == "kubelet" && e.kind == "csr");
    csrs.filter(|e| e.fields.iter().any(|(key, value)| *key == "state" && value == "created")).count()
}

/// How often the kubelet of a host has ended since a mark, and its last words.
fn exits(stage: &Ground, host: &str, since: usize) -> (usize, String) {
    let events = stage.events();
    let after = events.iter().skip(since);
    let ends = after.filter(|e| e.host == host && e.actor == "kubelet" && e.kind == "service");
    let words: Vec<&String> =
        ends.flat_map(|e| e.fields.iter().filter(|(key, _)| *key == "exit").map(|(_, why)| why)).collect();
    (words.len(), words.last().map(|why| (*why).clone()).unwrap_or_default())
}

/// The last line of that kind of a host's kubelet that holds `words`.
fn said(stage: &Ground, host: &str, kind: &str, words: &str) -> String {
    stage.log(host, "kubelet", kind).into_iter().rfind(|line| line.contains(words)).unwrap_or_default()
}

/// The requests for a node's client certificate that the API has, oldest first.
async fn requests(stage: &Stage, node: &str) -> Vec<std::sync::Arc<Value>> {
    let Ok(list) = stage.cluster.admin().list(&CSRS, None, &ListParams::default()).await else {
        return Vec::new();
    };
    let user = format!("system:node:{node}");
    let of_node = |csr: &std::sync::Arc<Value>| {
        let request = api::object::unbase64(csr.str_at("/spec/request")).unwrap_or_default();
        csr.str_at("/spec/signerName") == SIGNER
            && Csr::parse(&request).is_ok_and(|csr| csr.common_name() == user)
    };
    let mut found: Vec<_> = list.items.into_iter().filter(of_node).collect();
    found.sort_by_key(|csr| csr.resource_version().parse::<u64>().unwrap_or_default());
    found
}

/// The certificate that the kubelet uses.
fn current(stage: &Ground, host: &str) -> Result<Certificate, StoryError> {
    stage.certificate(host, &files(stage, host)?.0)
}

/// Time passes until the kubelet has rotated (once more).
async fn until_rotated(stage: &Stage, host: &str, at_most: Duration) -> Result<(), StoryError> {
    rotate(stage, host, at_most).await
}

/// Upstream's pace for a while: what the stretched pace put off is made up for.
async fn upstream(stage: &Stage, d: Duration) {
    stage.sim().set_periods(Periods::upstream());
    stage.cluster.elapse(d).await;
}

/// Nothing happens but what is waited for.
fn sparse(stage: &Stage) {
    stage.sim().set_periods(Periods::sparse());
}

/// A node's Ready condition: `True`, or `Unknown NodeStatusUnknown`.
async fn ready(stage: &Ground, node: &str) -> String {
    match stage.condition(node, "Ready").await {
        (status, _) if status == "True" => status,
        (status, reason) => format!("{status} {reason}"),
    }
}

/// Sets the wall clock of all members to `at`, as NTP would: no sleeper wakes.
fn jump(stage: &Stage, at: Wall) {
    stage.cluster.step(Who::Members, at.duration_since(stage.now()));
}

/// Takes a file away.
fn remove(stage: &Stage, host: &str, path: &str) -> Result<(), StoryError> {
    stage.host(host).disk().remove(path).map_err(StoryError::new)
}

/// The kubeconfig names the file that rotation keeps fresh, as kubeadm writes it from 1.17 on.
fn follow_rotation(stage: &Ground, host: &str) -> Result<(), StoryError> {
    let user = User::with_files(CURRENT, CURRENT);
    let config = Kubeconfig::new("kubernetes", server(stage), "default-auth", user);
    config.save(stage.host(host)?.disk(), CONF).map_err(StoryError::new)
}

/// Until when the kubelet's timer sleeps, by the wall clock that it was set by.
fn deadline(stage: &Ground, host: &str) -> Option<Wall> {
    let events = stage.events();
    let timer = events.iter().rfind(|e| e.host == host && e.actor == "kubelet" && e.kind == "timer")?;
    let (_, wait) = timer.fields.iter().find(|(key, _)| *key == "rotation_in")?;
    let seconds: i64 = wait.trim_end_matches('s').parse().ok()?;
    Some(timer.at + SignedDuration::from_secs(seconds))
}

/// How much of its life a certificate has behind it at `at`.
fn share(certificate: &Certificate, at: Wall) -> f64 {
    let (from, to) = (certificate.not_before(), certificate.not_after());
    at.duration_since(from).as_secs_f64() / to.duration_since(from).as_secs_f64()
}

/// The instant at which a certificate has that share of its life behind it.
fn at_share(certificate: &Certificate, share: f64) -> Wall {
    let (from, to) = (certificate.not_before(), certificate.not_after());
    from + SignedDuration::from_secs((to.duration_since(from).as_secs_f64() * share) as i64)
}

/// What every story ends with.
fn end(settings: &Settings, teller: &Teller, advice: &[&str]) {
    let (made, held) = teller.tally();
    teller.say(format!(
        "\n{held} of {made} checks held (seed {}, {}).\n",
        settings.seed,
        settings.profile.git_version()
    ));
    advice.iter().for_each(|line| teller.say(*line));
}
