//! join: how a machine comes to trust a cluster, and the cluster the machine.

use api::object::ObjectExt as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use client::Resource;
use pki::token::{BootstrapToken, jws};
use world::{Event, Host, Periods};

use super::{machine, on_stage};
use crate::{
    scenarios::Stage,
    story::StoryError,
    teach::{
        Lesson,
        decode::{self, field},
        facts::Facts,
    },
};

const NODE: &str = "node1";
const INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    on_stage(lesson, Periods::upstream(), ClusterOptions::default(), async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let first = stage.host(CONTROL_PLANE);
    let printed = stage.cluster.kubeadm(&first, &["token", "create", "--print-join-command"]).await?;
    let words: Vec<&str> = printed.split_whitespace().skip(1).collect();
    let word =
        |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1)).copied();
    let token: BootstrapToken = word("--token").unwrap_or_default().parse().map_err(StoryError::new)?;
    let pin = word("--discovery-token-ca-cert-hash").unwrap_or_default();
    let lines = printed.trim().replace(" --", " \\\n  --");
    lesson.tell("command", Facts::new().show("command", lines).varies(pin, "sha256:…"))?;

    lesson.ask("wrong-pin", Facts::new())?;
    let wrong = forged(pin);
    let attempt = with(&words, pin, &wrong);
    let (joined, said) = kubeadm(stage, &machine(stage, "node9"), &attempt).await;
    let facts = Facts::new()
        .show("error", said)
        .varies(&wrong, "sha256:…")
        .varies(pin, "sha256:…")
        .answer(if joined { "joins" } else { "refuses" });
    lesson.tell("wrong-pin", facts)?;

    stage.cluster.elapse(super::MINUTE).await;
    stage.news();
    let (joined, said) = kubeadm(stage, &machine(stage, NODE), &words).await;
    lesson.holds("the node joins", joined, said)?;
    let events = stage.news();

    lesson.ask("anonymous", Facts::new().word("id", token.id()))?;
    let asked: Vec<&Event> =
        events.iter().filter(|e| e.kind == "request" && field(e, "path").starts_with(INFO)).collect();
    let user = asked.first().map(|e| field(e, "user")).unwrap_or_default();
    let facts = Facts::new().show("requests", decode::requests(asked.iter().copied())).answer(user);
    lesson.tell("anonymous", facts)?;

    let info =
        stage.cluster.admin().get(&Resource::core("configmaps"), Some("kube-public"), "cluster-info").await;
    let info = info.map_err(StoryError::new)?;
    let signature = info.str_at(&format!("/data/{}", jws::data_key(token.id()))).to_owned();
    let kubeconfig = info.str_at("/data/kubeconfig").to_owned();
    let (header, mac) = signature.split_once("..").unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).map_err(StoryError::new)?;
    lesson.ask("signature", Facts::new())?;
    let changed = kubeconfig.replace("6443", "6444");
    lesson.holds("the signature is right", jws::verify(&signature, &kubeconfig, &token), &signature)?;
    lesson.holds("the copy is another", changed != kubeconfig, "the same")?;
    let shown = decode::rows([
        ("key", jws::data_key(token.id())),
        ("header", String::from_utf8_lossy(&header).into_owned()),
        ("payload", "(left out: the text of the key kubeconfig)".to_owned()),
        ("signature", mac.to_owned()),
    ]);
    let facts = Facts::new()
        .show("kubeconfig", decode::elided(&kubeconfig))
        .show("jws", shown)
        .varies(mac, "…")
        .answer(if jws::verify(&signature, &changed, &token) { "accepted" } else { "refused" });
    lesson.tell("signature", facts)?;

    let ca = stage.cluster.certificate(CONTROL_PLANE, "/etc/kubernetes/pki/ca.crt")?;
    lesson.holds("the pin is of the CA's key", ca.public_key().pin() == pin, pin)?;
    lesson.tell("pin", Facts::new().word("pin", pin).varies(pin, "sha256:…"))?;

    lesson.ask("looks", Facts::new())?;
    let handshakes = events.iter().filter(|e| {
        e.host == NODE && e.actor == "kubeadm" && e.kind == "handshake" && field(e, "side") == "client"
    });
    lesson.holds("kubeadm has shaken hands", handshakes.count() >= 2, "fewer than two handshakes")?;
    lesson.tell("looks", Facts::new().answer(asked.len()))?;

    let user = format!("system:bootstrap:{}", token.id());
    let own = events.iter().filter(|e| e.kind == "request" && field(e, "user") == user);
    lesson.tell("machine", Facts::new().show("requests", decode::requests(own)))
}

/// Another pin of the same form.
fn forged(pin: &str) -> String {
    let last = if pin.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", pin.get(..pin.len().saturating_sub(1)).unwrap_or_default())
}

fn with<'a>(words: &[&'a str], old: &str, new: &'a str) -> Vec<&'a str> {
    words.iter().map(|word| if *word == old { new } else { word }).collect()
}

/// Whether it joined, and the line that says why not.
async fn kubeadm(stage: &Stage, host: &Host, words: &[&str]) -> (bool, String) {
    match stage.cluster.kubeadm(host, words).await {
        Ok(said) => (true, said),
        Err(e) => {
            let said = e.to_string();
            let why = said.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or(&said);
            (false, textwrap::fill(why, 88))
        }
    }
}
