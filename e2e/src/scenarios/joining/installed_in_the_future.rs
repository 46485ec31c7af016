//! installed-in-the-future: a cluster is installed while the clock is a day ahead; when the clock is set right,
//! nothing is valid yet, and no restart helps.
//!
//! kubernetes/kubernetes#94250, k3s-io/k3s#6152. All certificates begin at the moment of the installation, the
//! authorities' too. After the correction no client trusts a server and no server a client. The advice that was
//! given, to renew the certificates, does not help while the authority that signs them has not begun either:
//! `certs renew` never makes a new authority. A restart makes it worse, for the apiserver then no longer reaches
//! etcd. The cluster comes back when time has caught up, or when it is installed anew.

use std::time::Duration;

use chronoplane::{
    ClusterOptions, Who,
    cluster::{CONTROL_PLANE, WORKSTATION},
};
use jiff::SignedDuration;
use world::rfc3339;

use super::{MINUTE, advice, ca};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config, raw},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "installed-in-the-future",
    sentence: "A cluster is installed with its clock a day ahead; set right, nothing is valid yet and no restart heals.",
    reference: "kubernetes/kubernetes#94250, k3s-io/k3s#6152",
    symptoms: &[
        "x509: certificate has expired or is not yet valid: current time … is before …",
        "x509: certificate has expired or is not yet valid",
    ],
    range: (8, 36),
    tell,
    real: InReal::Told(tell),
};

const AHEAD: SignedDuration = SignedDuration::from_hours(24);
const RENEW: &[&str] = &["certs", "renew", "all"];
/// For the kubelets and everybody else to try again.
const RECOVERY: Duration = Duration::from_secs(600);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    wait(settings, teller)?;
    restart(settings, teller)?;
    control(settings, teller)?;
    advice(
        teller,
        &[
            "Set the clock before kubeadm init. If it is too late: kubeadm reset and init, or wait until the date of",
            "  openssl x509 -noout -startdate -in /etc/kubernetes/pki/ca.crt    and restart nothing meanwhile.",
        ],
    );
    Ok(())
}

/// kubectl started now on the workstation.
async fn kubectl(stage: &Ground) -> (u16, String) {
    match stage.fresh_admin() {
        Ok(rest) => raw(&rest, "/api/v1/nodes").await,
        Err(e) => (0, e.to_string()),
    }
}

fn shown((code, said): &(u16, String)) -> String {
    match code {
        0 => said.clone(),
        200 => "GET nodes 200".into(),
        code => format!("{code} {}", said.trim()),
    }
}

/// The words of a certificate that is not valid yet.
fn words(settings: &Settings) -> Vec<&'static str> {
    let mut words = vec!["x509: certificate has expired or is not yet valid"];
    if settings.profile.go() >= (1, 15) {
        words.extend([": current time ", " is before "]);
    }
    words
}

/// Everybody's clock goes back to the truth.
fn correct(stage: &Ground) {
    stage.step(Who::Members, -AHEAD);
    stage.step(WORKSTATION, -AHEAD);
}

/// The apiserver's static pod ends and is started again.
async fn start_again(stage: &Ground, comes_back: bool) -> Result<(), StoryError> {
    stage.restart(&["kube-apiserver"]).await?;
    let serves = async || (kubectl(stage).await.0 == 200).then_some(());
    if comes_back {
        stage.give(2 * MINUTE, serves).await;
    } else {
        stage.never(2 * MINUTE, serves).await;
    }
    Ok(())
}

/// Nobody touches anything.
fn wait(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let begin = ca(stage)?.not_before();
        let told = rfc3339(begin);
        stage.say(format!("kubeadm init on a host whose clock is a day ahead: its authority begins {told}."));
        stage.later(RECOVERY).await;
        let (open, new) = (stage.get("/api/v1/nodes").await, kubectl(stage).await);
        stage.check("for ten minutes all is well", open.0 == 200 && new.0 == 200, shown(&new));
        correct(stage);
        stage.say(format!("{}: NTP sets all clocks right.", rfc3339(stage.now())));
        let open = stage.get("/api/v1/nodes").await;
        stage.check("kubectl, its connection open", open.0 == 401, shown(&open));
        let new = kubectl(stage).await;
        stage.check_words("kubectl, started anew", shown(&new), &words(settings));

        let served = stage.certificate(CONTROL_PLANE, "/etc/kubernetes/pki/apiserver.crt")?;
        let begin = begin.max(served.not_before());
        stage.say(format!("{}: time catches up.", rfc3339(begin)));
        let (before, after) = stage.edge(CONTROL_PLANE, begin, async || kubectl(stage).await).await?;
        stage.check_words("one second before", shown(&before), &words(settings));
        stage.check("one second after", after.0 == 200, shown(&after));
        stage.later(RECOVERY).await;
        let ready = stage.nodes_ready().await;
        stage.check("ten minutes later its node", ready.is_ok(), "is Ready");
        Ok(())
    })
}

/// Somebody restarts, renews and restarts.
fn restart(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        correct(stage);
        start_again(stage, false).await?;
        stage.say("\nIn another world somebody restarts the apiserver after the correction.");
        let down = kubectl(stage).await;
        stage.check("kubectl, started anew", down.0 == 0, shown(&down));
        let renewed = stage.kubeadm(&stage.control_plane(), RENEW).await;
        start_again(stage, false).await?;
        let down = kubectl(stage).await;
        let seen = format!("{}; {}", if renewed.is_ok() { "done" } else { "refused" }, shown(&down));
        stage.check("kubeadm certs renew all, once more", down.0 == 0, seen);
        Ok(())
    })
}

fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let (open, new) = (stage.get("/api/v1/nodes").await, kubectl(stage).await);
        start_again(stage, true).await?;
        let again = kubectl(stage).await;
        let renewed = stage.kubeadm(&stage.control_plane(), RENEW).await;
        start_again(stage, true).await?;
        let last = kubectl(stage).await;
        stage.say("\nControl run: the clock was right from the beginning.");
        let held = [&open, &new, &again, &last].iter().all(|seen| seen.0 == 200) && renewed.is_ok();
        stage.check("open, anew, restarted and renewed", held, shown(&last));
        Ok(())
    })
}
