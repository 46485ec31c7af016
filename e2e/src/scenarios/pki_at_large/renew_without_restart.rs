//! renew-without-restart: `kubeadm certs renew all`, and nobody restarts what uses the certificates.
//!
//! The command says that components must be restarted, but which of them need it is told nowhere
//! (kubernetes/kubeadm#2409). What reads its files at each handshake goes on: the serving certificates of the apiserver
//! and of etcd, the apiserver's client certificates. What has read a kubeconfig at its start keeps what it read:
//! controller manager and scheduler work until the old certificate ends, to the second, because the apiserver looks at
//! it with each request. Then they cannot renew their leases, end themselves ten seconds later, and the kubelet starts
//! them again, with the new file: it heals after half a minute without leaders. The copy of admin.conf in somebody's
//! home directory does not heal.

use std::time::Duration;

use chronoplane::{
    cluster::{CONTROL_PLANE, WORKSTATION},
    peek,
};
use jiff::SignedDuration;
use world::{Periods, Wall};

use super::{DAY, administrator, ask, certificate, kubeadm, line, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config, instead},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "renew-without-restart",
    sentence: "Certificates are renewed and nothing is restarted: some components read the new files, some do not.",
    reference: "kubernetes/kubeadm#2409",
    symptoms: &["\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401", "stopped leading"],
    range: (17, 36),
    tell,
    real: InReal::Not(
        "needs to elapse: components that lose their leases are started again after a growing wait",
    ),
};

const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    if !settings.profile.renews_kubeconfigs() {
        let why = "its kubeadm leaves kubeconfigs as they are (see renew-skips-kubeconfig)";
        return tell(&instead(settings, teller, 17, why)?, teller);
    }
    play(settings, teller, false)?;
    briefly(teller, "Control run, everything restarted after the renewal", || play(settings, teller, true))?;
    teller.say("\nIn a real cluster: after `kubeadm certs renew all` move the manifests away for twenty seconds, and");
    teller.say("copy admin.conf again to whoever has a copy.");
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, restarts: bool) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), <_>::default(), async |stage| {
        stage.cluster.elapse(300 * DAY).await;
        let old = certificate(stage, "/etc/kubernetes/scheduler.conf")?.not_after();
        kubeadm(stage, &["certs", "renew", "all"]).await?;
        stage.say(format!("{} UTC: kubeadm certs renew all. Nobody restarts anything.", shown(stage.now())));
        if restarts {
            stage.restart(&["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"]).await?;
        }
        // How fast a lease is lost and won is upstream's pace.
        stage.cluster.at(old - SignedDuration::from_secs(30)).await?;
        stage.sim().set_periods(Periods::upstream());
        looks(stage, old, restarts).await?;
        leaders(stage, old, restarts).await
    })
}

/// A second before and a second after the end of what was renewed.
async fn looks(stage: &Stage, old: Wall, restarts: bool) -> Result<(), StoryError> {
    let address = stage.host(CONTROL_PLANE).net().address().to_string();
    let profile = stage.settings.profile;
    let copy = if restarts {
        stage.client(CONTROL_PLANE, super::ADMIN_CONF, "kubectl")?
    } else {
        stage.cluster.admin().clone()
    };
    let (before, after) =
        stage.edge(CONTROL_PLANE, old, async || (ask(&copy).await, administrator(stage).await)).await?;
    stage.say(format!("{} UTC: the old certificates end.", shown(old)));
    let chain = peek::served_chain(&stage.host(WORKSTATION), profile, &address, 6443, "kubernetes").await;
    let served = chain.map_err(StoryError)?.first().map(|leaf| leaf.not_after());
    let until = served.map(shown).unwrap_or_default();
    stage.check("the apiserver serves the new one", served > Some(old), format!("until {until}"));
    let new = (before.1?, after.1?);
    stage.check("admin.conf as it is now", (new.0.0, new.1.0) == (200, 200), "200 before and after");
    stage.check("a copy of the old one, a second before", before.0.0 == 200, line(&before.0));
    let wanted = if restarts { 200 } else { 401 };
    stage.check("a second after", after.0.0 == wanted, line(&after.0));
    Ok(())
}

async fn leaders(stage: &Stage, old: Wall, restarts: bool) -> Result<(), StoryError> {
    stage.cluster.elapse(Duration::from_secs(120)).await;
    for name in LEADERS {
        let events = stage.sim().events();
        let said = |words: &str| {
            let mut told = events.iter().filter(|e| e.actor == name && e.kind == "election" && e.at > old);
            told.find(|e| e.fields.iter().any(|(_, text)| text.ends_with(words))).map(|e| e.at)
        };
        let after = |at: Option<Wall>| at.map(|at| at.duration_since(old).as_secs());
        let (stopped, leads) = (after(said("stopped leading")), after(said("became leader")));
        let seen = match (stopped, leads) {
            (None, None) => "leads on".to_owned(),
            (stopped, leads) => {
                format!("stopped leading after {stopped:?} s, became leader after {leads:?} s")
            }
        };
        let seen = seen.replace("Some(", "").replace(')', "");
        let held = if restarts { stopped.is_none() } else { stopped.is_some() && leads > stopped };
        stage.check(name, held, seen);
    }
    let refused = |e: &&world::Event| {
        let has = |key: &str, value: &str| e.fields.iter().any(|(k, v)| *k == key && v.contains(value));
        e.kind == "request" && e.at > old && has("code", "401") && has("path", "/leases/kube-")
    };
    let count = stage.sim().events().iter().filter(refused).count();
    stage.check("renewals of leases answered 401", (count > 0) != restarts, count.to_string());
    Ok(())
}
