//! etcd-leaf-forgotten: a cluster that is upgraded in time loses its etcd's certificate all the same.
//!
//! `kubeadm upgrade apply` renews the certificates of each component whose manifest it changes. A patch release leaves
//! etcd's image as it is, so etcd is skipped, and its certificates with it. The administrator saw renewals and counts
//! on them. A year after `init` etcd's serving certificate ends; nobody notices, for the apiserver has its connections
//! open. With its next start it cannot reach etcd and does not come up (kubernetes/kubeadm#2989; from 1.31 on an
//! upgrade that changes the apiserver renews etcd's too, kubernetes/kubernetes#124688).

use std::time::Duration;

use api::profile::Profile;
use chronoplane::{cluster::CONTROL_PLANE, peek};
use world::Wall;

use super::{DAY, EXPIRED, PKI, administrator, certificate, kubeadm, kubeadm_plainly, line, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config, instead},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "etcd-leaf-forgotten",
    sentence: "An upgrade skips an unchanged etcd and its certificates; a year after init the apiserver cannot start.",
    reference: "kubernetes/kubeadm#2989 (fixed in 1.31)",
    symptoms: &["x509: certificate has expired or is not yet valid"],
    range: (15, 30),
    tell,
    real: InReal::Not(
        "needs to elapse: an apiserver that cannot start is started again after a growing wait",
    ),
};

const SERVER: &str = "/etc/kubernetes/pki/etcd/server.crt";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    if !settings.profile.etcd_tls() {
        let why = "its etcd has no certificates";
        return tell(&instead(settings, teller, 15, why)?, teller);
    }
    let forgets = !settings.profile.upgrade_renews_unchanged_etcd();
    play(settings, teller, forgets, false)?;
    if forgets {
        briefly(teller, "Control run, etcd's certificates renewed by hand with the upgrade", || {
            play(settings, teller, false, true)
        })?;
        let fixed = Settings { profile: Profile::of_minor(31).map_err(StoryError::new)?, ..settings.clone() };
        briefly(teller, "Fixed run, the same with 1.31", || play(&fixed, teller, false, false))?;
    }
    teller.say("\nIn a real cluster: `kubeadm certs check-expiration` lists etcd's too; `kubeadm certs renew all` once a");
    teller.say("year, whatever was upgraded. etcd reads its files at each handshake and needs no restart.");
    Ok(())
}

/// The longest wait between two starts of a container, and the start.
const BACKOFF: Duration = Duration::from_secs(310);

fn play(settings: &Settings, teller: &Teller, forgets: bool, by_hand: bool) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), <_>::default(), async |stage| {
        stage.cluster.elapse(200 * DAY).await;
        let old = certificate(stage, SERVER)?.not_after();
        let version = format!("v1.{}.1", stage.settings.profile.minor());
        let said = kubeadm_plainly(stage, &["upgrade", "apply", &version, "-y"]).await?;
        if by_hand {
            for name in ["etcd-server", "etcd-peer", "etcd-healthcheck-client"] {
                kubeadm(stage, &["certs", "renew", name]).await?;
            }
        }
        stage.say(format!("{} UTC: kubeadm upgrade apply {version}", shown(stage.now())));
        let renewed =
            |text: &str| said.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned();
        let words = renewed("Renewing apiserver certificate");
        stage.check("the apiserver's is renewed", !words.is_empty(), words);
        let end = certificate(stage, SERVER)?.not_after();
        stage.check("etcd's", (end == old) == forgets, format!("until {}", shown(end)));
        looks(stage, old, forgets).await
    })
}

async fn looks(stage: &Stage, old: Wall, forgets: bool) -> Result<(), StoryError> {
    let (before, after) = stage.edge(CONTROL_PLANE, old, async || handshake(stage).await).await?;
    stage.say(format!("{} UTC: a year after init.", shown(old)));
    stage.check("etcd, one second before", !before?.contains(EXPIRED), "shakes hands");
    let after = after?;
    let seen = if after.contains(EXPIRED) { after.clone() } else { "shakes hands".to_owned() };
    stage.check("one second after", after.contains(EXPIRED) == forgets, seen);
    let works = administrator(stage).await?;
    stage.check("the apiserver has its connections", works.0 == 200, line(&works));
    let from = stage.now();
    stage.restart(&["kube-apiserver"]).await?;
    stage.cluster.elapse(Duration::from_secs(60)).await;
    let down = administrator(stage).await?;
    stage.check("two minutes after its next start", (down.0 != 200) == forgets, line(&down));
    let events = stage.sim().events();
    let log = events.iter().filter(|e| e.host == CONTROL_PLANE && e.actor == "kube-apiserver" && e.at > from);
    let words = log.flat_map(|e| e.fields.iter().map(|(_, text)| text)).find(|text| text.contains(EXPIRED));
    stage.check("its log", words.is_some() == forgets, words.cloned().unwrap_or_default());
    if !forgets {
        return Ok(());
    }
    // The cluster cannot be asked for its configuration; what is in the certificates is enough.
    kubeadm(stage, &["certs", "renew", "etcd-server"]).await?;
    stage.cluster.elapse(BACKOFF).await;
    let healed = administrator(stage).await?;
    stage.check("kubeadm certs renew etcd-server", healed.0 == 200, line(&healed));
    Ok(())
}

/// What etcd's certificate looks like to a client that checks it; nothing is asked, for that it has no certificate.
async fn handshake(stage: &Stage) -> Result<String, StoryError> {
    let authority = certificate(stage, &format!("{PKI}/etcd/ca.crt"))?;
    let host = stage.host(CONTROL_PLANE);
    let profile = stage.settings.profile;
    let outcome = peek::strict_handshake(&host, profile, "127.0.0.1", 2379, "localhost", &[authority]).await;
    Ok(outcome.err().unwrap_or_default())
}
