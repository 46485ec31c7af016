//! renew-skips-kubeconfig: certificates are renewed and everything is restarted, but the kubeconfigs are left as they were.
//!
//! `kubeadm alpha phase certs renew all` came with 1.12 and renewed the files below pki. The certificates embedded in
//! admin.conf, controller-manager.conf and scheduler.conf are of the same age and were left out until 1.15
//! (kubernetes/kubeadm#1361). On the day a year after `init` the apiserver serves a fresh certificate, and nobody is
//! let in: no controller, no scheduler, no administrator. A restart does not help, there is nothing newer to read.

use std::time::Duration;

use api::profile::Profile;
use chronoplane::cluster::CONTROL_PLANE;
use jiff::SignedDuration;
use world::{Periods, Wall};

use super::{DAY, PKI, administrator, certificate, kubeadm, line, remove, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "renew-skips-kubeconfig",
    sentence: "Renewal leaves the certificates in kubeconfigs as they were: a year after init nobody is let in.",
    reference: "kubernetes/kubeadm#1361 (fixed in 1.15)",
    symptoms: &["\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401"],
    range: (12, 14),
    tell,
    real: InReal::Not("needs to elapse: leaders fail to renew for five minutes"),
};

const CONFS: &[&str] = &["admin.conf", "controller-manager.conf", "scheduler.conf"];

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let skips = !settings.profile.renews_kubeconfigs();
    play(settings, teller, skips, false)?;
    if skips {
        briefly(teller, "Control run, the kubeconfigs made anew by hand at the renewal", || {
            play(settings, teller, false, true)
        })?;
        let fixed = Settings { profile: Profile::of_minor(15).map_err(StoryError::new)?, ..settings.clone() };
        briefly(teller, "Fixed run, the same with 1.15", || play(&fixed, teller, false, false))?;
    }
    teller.say("\nIn a real cluster: delete admin.conf, controller-manager.conf and scheduler.conf, and make them anew");
    teller.say(
        "with `kubeadm alpha phase kubeconfig all` (1.13 and later: `kubeadm init phase kubeconfig all`).",
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, skips: bool, by_hand: bool) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), <_>::default(), async |stage| {
        stage.cluster.elapse(300 * DAY).await;
        let old = certificate(stage, "/etc/kubernetes/scheduler.conf")?.not_after();
        kubeadm(stage, &["certs", "renew", "all"]).await?;
        if by_hand {
            anew(stage).await?;
        }
        stage.restart(&["kube-apiserver", "kube-controller-manager", "kube-scheduler"]).await?;
        let ends = |path: &str| Ok::<_, StoryError>(certificate(stage, path)?.not_after());
        let (served, embedded) =
            (ends(&format!("{PKI}/apiserver.crt"))?, ends("/etc/kubernetes/scheduler.conf")?);
        stage.say(format!("{} UTC: everything is renewed and restarted.", shown(stage.now())));
        stage.check("apiserver.crt", served > old, format!("until {}", shown(served)));
        stage.check("scheduler.conf", (embedded == old) == skips, format!("until {}", shown(embedded)));
        // How fast a lease is lost is upstream's pace.
        stage.cluster.at(old - SignedDuration::from_secs(30)).await?;
        stage.sim().set_periods(Periods::upstream());
        looks(stage, old, skips).await
    })
}

async fn looks(stage: &Stage, old: Wall, skips: bool) -> Result<(), StoryError> {
    let look = async || administrator(stage).await;
    let (before, after) = stage.edge(CONTROL_PLANE, old, look).await?;
    let (before, after) = (before?, after?);
    stage.check("admin.conf, one second before its end", before.0 == 200, line(&before));
    stage.check("one second after", after.0 == if skips { 401 } else { 200 }, line(&after));
    stage.cluster.elapse(Duration::from_secs(300)).await;
    let starts = leads(stage, old);
    let seen = if starts.0 { "stopped leading" } else { "leads on" };
    stage.check("the scheduler", starts.0 == skips, seen);
    if !skips {
        return Ok(());
    }
    stage.check("five minutes and its restarts later", !starts.1, "nobody leads");
    anew(stage).await?;
    stage.restart(&["kube-controller-manager", "kube-scheduler"]).await?;
    stage.cluster.elapse(Duration::from_secs(60)).await;
    let healed = administrator(stage).await?;
    stage.check("with kubeconfigs made anew", healed.0 == 200 && leads(stage, old).1, line(&healed));
    Ok(())
}

/// Whether the scheduler has stopped leading since then, and whether it came to lead.
fn leads(stage: &Stage, since: Wall) -> (bool, bool) {
    let events = stage.sim().events();
    let said = |words: &str| {
        let mut told =
            events.iter().filter(|e| e.actor == "kube-scheduler" && e.kind == "election" && e.at > since);
        told.any(|e| e.fields.iter().any(|(_, text)| text.ends_with(words)))
    };
    (said("stopped leading"), said("became leader"))
}

async fn anew(stage: &Stage) -> Result<(), StoryError> {
    remove(stage, "/etc/kubernetes", CONFS)?;
    kubeadm(stage, &["init", "phase", "kubeconfig", "all"]).await?;
    Ok(())
}
