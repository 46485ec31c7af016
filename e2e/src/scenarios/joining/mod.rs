//! Stories about machines that do not get into a cluster: tokens, pins and clocks of kubeadm's bootstrap.
//!
//! What they share: somebody makes a join command, and a machine runs it. Most of a telling's time goes into the
//! making of its two or three clusters.

mod certificate_key_expired;
mod installed_in_the_future;
mod join_token_expired;
mod join_token_unsigned;
mod joiner_behind;
mod lb_blackout;
mod token_born_expired;
mod token_cleaner_misses;
mod token_shorter_than_provisioning;
mod wrong_pin;

use std::{fmt, time::Duration};

use api::profile::Profile;
use chronoplane::cluster::CONTROL_PLANE;
use client::{Resource, Rest};
use jiff::SignedDuration;
use pki::{
    Certificate,
    kubeconfig::{Cluster as Server, Kubeconfig, User},
    token::{BootstrapToken, TokenSecret},
};
use serde_json::Value;
use world::{Exit, Host, Wall};

use crate::{
    catalogue::Family,
    scenarios::{Ground, Stage, raw},
    story::{StoryError, Teller},
};

/// See the module.
pub(crate) const FAMILY: Family = Family {
    title: "kubeadm bootstrap",
    entries: &[
        join_token_expired::ENTRY,
        join_token_unsigned::ENTRY,
        token_born_expired::ENTRY,
        token_shorter_than_provisioning::ENTRY,
        token_cleaner_misses::ENTRY,
        joiner_behind::ENTRY,
        certificate_key_expired::ENTRY,
        lb_blackout::ENTRY,
        installed_in_the_future::ENTRY,
        wrong_pin::ENTRY,
    ],
};

const MINUTE: Duration = Duration::from_secs(60);
const SECRETS: Resource = Resource::core("secrets");
const CONFIG_MAPS: Resource = Resource::core("configmaps");
const NODES: Resource = Resource::core("nodes");

/// What the control plane's clock reads, for people.
fn clock(stage: &Ground) -> String {
    stage.now().strftime("%H:%M:%S").to_string()
}

/// A join command as `kubeadm token create --print-join-command` prints it, without the program's name.
#[derive(Clone)]
struct Command(Vec<String>);

impl Command {
    /// Made on the control plane.
    async fn print(stage: &Ground, more: &[&str]) -> Result<Self, StoryError> {
        let args = [&["token", "create", "--print-join-command"], more].concat();
        let printed = stage.kubeadm(&stage.control_plane(), &args).await?;
        Ok(Self(printed.split_whitespace().skip(1).map(str::to_owned).collect()))
    }

    /// The word behind a flag.
    fn at(&self, flag: &str) -> Result<&str, StoryError> {
        let at = self.0.iter().position(|word| word == flag);
        let word = at.and_then(|at| self.0.get(at + 1));
        word.map(String::as_str).ok_or_else(|| StoryError(format!("the join command has no {flag}")))
    }

    fn token(&self) -> Result<BootstrapToken, StoryError> {
        self.at("--token")?.parse().map_err(StoryError::new)
    }

    fn with(&self, more: &[&str]) -> Self {
        Self(self.0.iter().cloned().chain(more.iter().map(|word| (*word).to_owned())).collect())
    }
}

/// How a command ended.
struct Attempt {
    joined: bool,
    /// All that it printed, its error last.
    said: String,
    took: Duration,
}

impl Attempt {
    /// The line that says why, as kubeadm prints it last.
    fn error(&self) -> &str {
        self.said.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default()
    }
}

/// A machine with kubeadm and a kubelet, as it comes from its image.
fn machine(stage: &Ground, name: &str) -> Result<Host, StoryError> {
    let host = stage.host(name)?;
    stage.install(&host, stage.settings.profile);
    Ok(host)
}

/// A new machine runs a join command.
async fn join(stage: &Ground, name: &str, command: &Command) -> Result<Attempt, StoryError> {
    Ok(run(stage, &machine(stage, name)?, command).await)
}

/// kubeadm on `host`.
async fn run(stage: &Ground, host: &Host, command: &Command) -> Attempt {
    let (clock, began) = (host.clock(), host.clock().monotonic());
    let words: Vec<&str> = command.0.iter().map(String::as_str).collect();
    let outcome = stage.kubeadm(host, &words).await;
    let joined = outcome.is_ok();
    let said = match outcome {
        Ok(said) => said,
        Err(e) => e.to_string().replacen(&format!("kubeadm on {}: ", host.name()), "", 1),
    };
    Attempt { joined, said, took: clock.monotonic().since(began) }
}

/// A join that will not get through discovery, and how long it tries: five minutes, and in the real gear as many seconds,
/// which kubeadm can be told from 1.31 on.
async fn run_in_vain(
    stage: &Ground,
    host: &Host,
    command: &Command,
) -> Result<(Attempt, Duration), StoryError> {
    if !stage.is_real() {
        return Ok((run(stage, host, command).await, 5 * MINUTE));
    }
    let path = "/root/join.yaml";
    let server = command.0.get(1).map(String::as_str).unwrap_or_default();
    let configuration = serde_json::json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": {
            "apiServerEndpoint": server,
            "caCertHashes": [command.at("--discovery-token-ca-cert-hash")?],
            "token": command.at("--token")?,
        }},
        "timeouts": {"discovery": "5s"},
    });
    host.disk().write(path, configuration.to_string(), 0o600).map_err(StoryError::new)?;
    let words = ["join", "--config", path, "--v=1"].map(str::to_owned);
    Ok((run(stage, host, &Command(words.into())).await, MINUTE / 12))
}

/// Whether a node of that name appears within a minute: releases before 1.11 leave that to the kubelet.
async fn becomes_node(stage: &Ground, name: &str) -> bool {
    stage.wait("the node is there", MINUTE, async || node(stage, name).await).await.is_ok()
}

/// Whether no node of that name appears within a minute, or while it could in the real gear.
async fn stays_away(stage: &Ground, name: &str) -> bool {
    stage.never(MINUTE, async || node(stage, name).await).await
}

async fn node(stage: &Ground, name: &str) -> Option<Value> {
    stage.admin().get_opt(&NODES, None, name).await.ok().flatten()
}

/// What the kubelet's unit ended with so far, as `journalctl -u kubelet` shows it.
fn kubelet_words(host: &Host) -> String {
    match host.services().last_exit("kubelet") {
        Some(Exit::Failure(words)) => words,
        Some(Exit::Success) | None => String::new(),
    }
}

/// Whether anybody who asks is shown a signature of that token in cluster-info: what a join looks for first.
async fn is_signed(stage: &Ground, token: &BootstrapToken) -> bool {
    let map = stage.admin().get(&CONFIG_MAPS, Some("kube-public"), "cluster-info").await;
    let key = format!("/data/jws-kubeconfig-{}", token.id());
    map.is_ok_and(|map| map.pointer(&key).is_some())
}

/// The Secret of a token, while there is one.
async fn secret(stage: &Ground, token: &BootstrapToken) -> Option<Value> {
    stage.admin().get_opt(&SECRETS, Some("kube-system"), &token.secret_name()).await.ok().flatten()
}

/// Until when a token serves: read from its Secret.
async fn expiration(stage: &Ground, token: &BootstrapToken) -> Result<Wall, StoryError> {
    let secret = secret(stage, token).await;
    let read = secret.and_then(|secret| TokenSecret::from_object(&secret).ok()?.expiration);
    read.ok_or_else(|| StoryError("the token has no Secret with an end".into()))
}

/// A token as the cluster has it.
struct State {
    there: bool,
    signed: bool,
    /// The answer to who shows it.
    code: u16,
}

impl State {
    async fn now(stage: &Ground, token: &BootstrapToken) -> Result<Self, StoryError> {
        let there = secret(stage, token).await.is_some();
        let (signed, code) = (is_signed(stage, token).await, asked_with(stage, token).await?.0);
        Ok(Self { there, signed, code })
    }

    /// It serves, and nothing is missing.
    fn is_whole(&self) -> bool {
        self.there && self.signed && self.code == 200
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = |there| if there { "there" } else { "gone" };
        let Self { there, signed, code } = self;
        write!(f, "Secret {}, signature {}, answer {code}", is(*there), is(*signed))
    }
}

/// A token a second before its end and a second after. The apiserver remembers for ten seconds whom it let in by a
/// token, so that the first answer is one of before.
async fn around(stage: &Ground, token: &BootstrapToken, end: Wall) -> Result<(State, State), StoryError> {
    stage.at(end - SignedDuration::from_secs(15)).await?;
    let (code, _) = asked_with(stage, token).await?;
    let look = async || (secret(stage, token).await.is_some(), is_signed(stage, token).await);
    let ((there, signed), _) = stage.edge(CONTROL_PLANE, end, look).await?;
    Ok((State { there, signed, code }, State::now(stage, token).await?))
}

/// What a client with nothing but that token is answered: `kubectl get --raw /version --token=…`.
async fn asked_with(stage: &Ground, token: &BootstrapToken) -> Result<(u16, String), StoryError> {
    let mut config = stage.kubeconfig().clone();
    for named in &mut config.users {
        named.user = User::with_token(&token.reveal());
    }
    let host = stage.workstation();
    let rest = Rest::from_kubeconfig(&host, &config, stage.settings.profile.go(), "kubectl");
    Ok(raw(&rest.map_err(StoryError::new)?, "/version").await)
}

/// A client on `host` that trusts the cluster's authority and has no credentials: what a join is after discovery.
fn stranger(stage: &Ground, host: &Host) -> Result<Rest, StoryError> {
    let ca = ca(stage)?.to_pem();
    let address = stage.control_plane().net().address();
    let config = Kubeconfig::cluster_info(Server::new(&format!("https://{address}:6443"), &ca));
    Rest::from_kubeconfig(host, &config, stage.settings.profile.go(), "kubeadm").map_err(StoryError::new)
}

/// The cluster's authority.
fn ca(stage: &Ground) -> Result<Certificate, StoryError> {
    stage.certificate(CONTROL_PLANE, "/etc/kubernetes/pki/ca.crt")
}

/// What a join says of a token without a signature. Up to 1.17 it knew better than it could.
fn unsigned_words(profile: Profile, id: &str) -> String {
    match profile.minor() {
        ..=9 => format!("This token id {id:?} is invalid for this cluster, can't connect"),
        10..=17 => format!("token id {id:?} is invalid for this cluster or it has expired"),
        _ => format!("could not find a JWS signature in the cluster-info ConfigMap for token ID {id:?}"),
    }
}

/// That a machine was refused whose token was over, in the words of the release.
async fn check_refused(stage: &Stage, host: &Host, attempt: &Attempt, token: &BootstrapToken) {
    let (profile, error) = (stage.settings.profile, attempt.error());
    let (what, words) = match profile.minor() {
        // kubeadm is content; the kubelet is refused, minute after minute.
        ..=10 => {
            stage.cluster.elapse(2 * MINUTE).await;
            let words = kubelet_words(host);
            return stage.check_words("its kubelet is refused", words, &["Unauthorized"]);
        }
        11..=12 => ("it is refused", "failed to get config map: Unauthorized"),
        13..=15 => (
            "it is refused",
            "unable to fetch the kubeadm-config ConfigMap: failed to get config map: Unauthorized",
        ),
        16..=17 => ("and then only", "abort connecting to API servers after timeout of 5m0s"),
        _ => return stage.check_words("and then only", error, &[&unsigned_words(profile, token.id())]),
    };
    stage.check_words(what, error, &[words]);
}

/// The last words of a story.
fn advice(teller: &Teller, lines: &[&str]) {
    teller.say("\nIn a real cluster:");
    lines.iter().for_each(|line| teller.say(format!("  {line}")));
}
