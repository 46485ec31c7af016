//! lone-master: the only control plane's kubelet needs a certificate from the apiserver that it must itself start.
//!
//! kubernetes/kubernetes#69890 (and openshift/installer#167): a cluster of one control plane is switched off for
//! longer than its kubelet's certificate lives. At its start the kubelet wants to bootstrap. Up to 1.13 it does that
//! before anything else, static pods included; no apiserver answers, because the apiserver is one of those static
//! pods. The kubelet gives up, its unit starts it again, for ever. That the token is good does not help.
//!
//! 1.8 took a kubeconfig as it was: there the control plane comes up, and only its node stays unknown.
//!
//! From 1.14 on a kubelet starts its static pods first and bootstraps beside them. The control plane here has a
//! kubelet with certificates of a day and a bootstrap kubeconfig; kubeadm's own have kubelet.conf's year
//! (kubelet-conf-embedded).

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};

use super::{
    CURRENT, DAY, HOUR, MINUTE, bootstrap_file, clock, current, end, exits, follow_rotation, known, mark,
    ready, remove, restart, said, upstream,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "lone-master",
    sentence: "The only control plane is off past its kubelet's certificate: the kubelet asks the apiserver that it has not started.",
    reference: "kubernetes/kubernetes#69890, openshift/installer#167",
    symptoms: &[
        "failed to run Kubelet: cannot create certificate signing request: Post … connect: connection refused",
    ],
    range: (9, 13),
    tell,
    real: InReal::Not(
        "needs to elapse: the kubelet of a control plane waits for minutes before it gives up, and is started again",
    ),
};

const FIXED: u16 = 14;

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    teller.say("");
    briefly(teller, "Control run, off for an hour", || play(settings, teller, false))?;
    if settings.profile.minor() < FIXED {
        let profile = api::profile::Profile::of_minor(FIXED).unwrap_or_default();
        let fixed = Settings { profile, ..settings.clone() };
        briefly(teller, "The same with 1.14", || play(&fixed, teller, true))?;
    }
    end(
        settings,
        teller,
        &[
            "In a real cluster: run the kubelet once without its kubeconfigs (standalone: it starts the static pods), or make",
            "it a certificate by hand with the CA's key. From 1.14 on it helps itself.",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, long: bool) -> Result<(), StoryError> {
    let options = ClusterOptions { signing_duration: Some(DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        bootstrapped(stage).await?;
        let ends = current(stage, CONTROL_PLANE)?.not_after();
        stage.say(format!(
            "{}: the kubelet of {CONTROL_PLANE} has a certificate until {}.",
            clock(stage.now()),
            clock(ends)
        ));
        let host = stage.host(CONTROL_PLANE);
        if long {
            // Its timer would renew it: the machine is off before.
            let look = async || known(stage, CONTROL_PLANE).await;
            host.services().stop("kubelet").await;
            let (before, after) = stage.edge(CONTROL_PLANE, ends, look).await?;
            stage.check(
                "a second before its end",
                before.0 == 200,
                format!("{} GET node {CONTROL_PLANE}", before.0),
            );
            stage.check("a second after", after.0 == 401, format!("{} {}", after.0, after.1));
            host.services().start(&host, "kubelet");
        }
        let since = mark(stage);
        stage.cluster.reboot(CONTROL_PLANE, HOUR).await;
        stage.say(format!("{}: switched off for an hour, and on.", clock(stage.now())));
        upstream(stage, 4 * MINUTE).await;
        let (healthy, words) = stage.get("/healthz").await;
        let (count, last) = exits(stage, CONTROL_PLANE, since);
        if !long || settings.profile.minor() >= FIXED {
            let state = ready(stage, CONTROL_PLANE).await;
            stage.check("the apiserver, four minutes later", healthy == 200, format!("/healthz {healthy}"));
            stage.check("the node", state == "True" && count == 0, state.clone());
            return Ok(());
        }
        if settings.profile.minor() < 9 {
            let state = ready(stage, CONTROL_PLANE).await;
            stage.check(
                "the apiserver, four minutes later",
                healthy == 200,
                "is up: this release looks at no dates",
            );
            stage.check(
                "the node",
                state != "True" && known(stage, CONTROL_PLANE).await.0 == 401,
                state.clone(),
            );
            return Ok(());
        }
        stage.check("the apiserver, four minutes later", healthy == 0, words);
        let refused = [
            "failed to run Kubelet: cannot create certificate signing request: Post",
            "connect: connection refused",
        ];
        stage.check_words("its kubelet", last, &refused);
        stage.check("again and again", count >= 3, format!("{count} times"));
        let bootstraps = said(stage, CONTROL_PLANE, "bootstrap", "is expired:");
        stage.check("because", !bootstraps.is_empty(), bootstraps);
        Ok(())
    })
}

/// A control plane whose kubelet lives by bootstraps and rotation alone, with a token that does not end.
async fn bootstrapped(stage: &Stage) -> Result<(), StoryError> {
    bootstrap_file(stage, CONTROL_PLANE, "0").await?;
    if stage.settings.profile.kubelet_conf_follows_rotation() {
        // What kubeadm made is behind the link: without it the kubelet bootstraps.
        remove(stage, CONTROL_PLANE, CURRENT)?;
        restart(stage, CONTROL_PLANE).await;
    }
    // The certificate that kubeadm made is replaced as soon as the apiserver answers.
    let signed = async || {
        let certificate = current(stage, CONTROL_PLANE).ok()?;
        (certificate.not_after() < stage.now() + 2 * DAY).then_some(())
    };
    stage.cluster.elapse_until("the kubelet has a certificate of a day", HOUR, signed).await?;
    follow_rotation(stage, CONTROL_PLANE)?;
    restart(stage, CONTROL_PLANE).await;
    Ok(())
}
