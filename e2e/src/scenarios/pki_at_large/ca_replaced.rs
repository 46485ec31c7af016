//! ca-replaced: a new authority under the same name, and everybody still has the old one's certificate.
//!
//! Somebody deletes pki/ca.crt and ca.key (or regenerates the whole directory), and kubeadm makes new ones and new
//! leaves. The kubeconfigs carry the old authority in them and are not made anew with the certificates: controller
//! manager, scheduler, kubelets and people refuse the server, each in the same words. The kubeconfigs of the control
//! plane can be made anew on its host; workers have to be reset and joined again, for theirs came with the bootstrap
//! (kubernetes/kubeadm#2027).

use std::time::Duration;

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use world::{Periods, sim::Config};

use super::{PKI, UNKNOWN, administrator, kubeadm, line, remove, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, briefly, raw},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "ca-replaced",
    sentence: "The authority is replaced, and every kubeconfig trusts the old one.",
    reference: "kubernetes/kubeadm#2027",
    symptoms: &["x509: certificate signed by unknown authority"],
    range: (13, 36),
    tell,
    real: InReal::Told(tell),
};

const NODE: &str = "node1";
const AUTHORITY: &[&str] = &["ca.crt", "ca.key"];
const LEAVES: &[&str] =
    &["apiserver.crt", "apiserver.key", "apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"];
const CONFS: &[&str] = &["admin.conf", "controller-manager.conf", "scheduler.conf"];
const EC: &str = "--encryption-algorithm=ECDSA-P256";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    briefly(teller, "Control run, new leaves of the old authority", || play(settings, teller, false))?;
    teller.say("\nIn a real cluster: put old and new authority together into ca.crt and the kubeconfigs first, exchange");
    teller.say("the leaves, and take the old one out last. Once it has happened: new kubeconfigs, workers join again.");
    Ok(())
}

/// Upstream's own periods: how fast a node is missed is part of it.
fn play(settings: &Settings, teller: &Teller, replaced: bool) -> Result<(), StoryError> {
    let config = Config { seed: settings.seed, periods: Periods::upstream(), ..Config::default() };
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    Ground::play(settings, teller, config, options, async |stage| {
        let at = shown(stage.now());
        if replaced {
            remove(stage, PKI, AUTHORITY)?;
        }
        remove(stage, PKI, LEAVES)?;
        kubeadm(stage, &["init", "phase", "certs", "all", EC]).await?;
        stage.say(format!(
            "{at} UTC: pki/ca.* and its leaves are deleted, `kubeadm init phase certs all` makes new ones."
        ));
        stage.later(Duration::from_secs(5)).await;
        let from = stage.now();
        stage.restart(&["kube-apiserver", "kube-controller-manager", "kube-scheduler"]).await?;
        // It is there when somebody knows it; the administrator does not, if it was replaced.
        let serves = async || Some(raw(&stage.fresh_admin().ok()?, "/api").await);
        let known = async || serves().await.filter(|seen| seen.0 == 200 || seen.1.contains(UNKNOWN));
        stage.give(Duration::ZERO, known).await;
        let old = raw(&stage.fresh_admin()?, "/api").await;
        let refused = old.0 == 0 && old.1.contains(UNKNOWN);
        stage.check(
            "kubectl with the old admin.conf",
            if replaced { refused } else { old.0 == 200 },
            line(&old),
        );
        hear(stage, replaced, from).await;
        let words = said(stage, NODE, "kubelet", from);
        stage.check("the kubelet of node1", words.contains(UNKNOWN) == replaced, words);
        let words = said(stage, CONTROL_PLANE, "kube-scheduler", from);
        stage.check("the scheduler", words.contains(UNKNOWN) == replaced, words);
        anew(stage, replaced).await
    })
}

/// The real gear's components need a moment until they have met what they do not believe.
async fn hear(stage: &Ground, replaced: bool, from: world::Wall) {
    let met = |host, actor| said(stage, host, actor, from).contains(UNKNOWN);
    let both = async || (met(NODE, "kubelet") && met(CONTROL_PLANE, "kube-scheduler")).then_some(());
    if stage.is_real() && replaced {
        stage.give(Duration::from_secs(60), both).await;
    }
}

/// What a component has met first since then, in whatever it records.
fn said(stage: &Ground, host: &str, actor: &str, from: world::Wall) -> String {
    let events = stage.events();
    let mut log = events.iter().filter(|e| e.host == host && e.actor == actor && e.at > from);
    let words = log.find_map(|e| e.fields.iter().find(|(_, text)| text.contains(UNKNOWN)));
    words.map(|(_, text)| text.clone()).unwrap_or_default()
}

/// The kubeconfigs of the control plane, made anew on it: all but the workers are back.
async fn anew(stage: &Ground, replaced: bool) -> Result<(), StoryError> {
    remove(stage, "/etc/kubernetes", CONFS)?;
    for name in ["admin", "controller-manager", "scheduler"] {
        kubeadm(stage, &["init", "phase", "kubeconfig", name, EC]).await?;
    }
    stage.restart(&["kube-controller-manager", "kube-scheduler"]).await?;
    let wanted = if replaced { "Unknown" } else { "True" };
    let missed = async || node(stage).await.ok().filter(|status| status == wanted);
    stage.give(Duration::from_secs(90), missed).await;
    let healed = administrator(stage).await?;
    stage.check("kubectl with a new admin.conf", healed.0 == 200, line(&healed));
    let status = node(stage).await?;
    let seen = format!("Ready is {status}");
    stage.check("and node1", status == wanted, seen);
    Ok(())
}

/// What a new client of the new admin.conf reads of the worker.
async fn node(stage: &Ground) -> Result<String, StoryError> {
    let admin = stage.client(CONTROL_PLANE, super::ADMIN_CONF, "kubectl")?;
    let node = admin.get(&client::Resource::core("nodes"), None, NODE).await.map_err(StoryError::new)?;
    let ready = node["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == "Ready");
    Ok(ready.and_then(|c| c["status"].as_str()).unwrap_or_default().to_owned())
}
