//! ca-ten-years: the cluster's certificate authority comes to its end.
//!
//! kubeadm makes authorities for ten years and never renews them. Told here with one that has a hundred days left, as an
//! authority brought along or a cluster nine years old has. Long before its end renewal misbehaves: what kubeadm signs
//! ends after the authority, and looks good in `check-expiration`, while the controller manager cuts what it signs for
//! kubelets at the authority's end, so that they renew more and more often. At the end everything stops at once, to the
//! second, whatever the leaves say: clients refuse the server, the server refuses clients (kubernetes/kubeadm#1783,
//! no fix; kubeadm has no command for it).
//!
//! What helps, also after the end: a new certificate for the same key. Everything that the key has signed is good again.

use std::time::Duration;

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use jiff::SignedDuration;
use pki::{Authority, KeyAlgorithm, PrivateKey, kubeconfig::Kubeconfig};
use world::{Periods, Wall, sim::Sim};

use super::{ADMIN_CONF, DAY, EXPIRED, PKI, administrator, ask, certificate, kubeadm, line, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "ca-ten-years",
    sentence: "The authority ends: everything stops at once, although every certificate that it signed is good.",
    reference: "kubernetes/kubeadm#1783 (no fix)",
    symptoms: &["x509: certificate has expired or is not yet valid"],
    range: (19, 36),
    tell,
    real: InReal::Not("needs to elapse: kubelets renew more and more often before the end"),
};

const NODE: &str = "node1";
const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const PLAIN: &str = "/var/lib/kubelet/pki/kubelet-client.crt";
const LEFT: Duration = Duration::from_secs(100 * 86_400);
const TEN_YEARS: Duration = Duration::from_secs(3650 * 86_400);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, LEFT)?;
    briefly(teller, "Control run, the same looks with an authority of ten years", || {
        play(settings, teller, TEN_YEARS)
    })?;
    teller.say("\nIn a real cluster: years before the end give the authority's key a new certificate, put it into ca.crt");
    teller.say("on every host and into every kubeconfig and cluster-info, and restart; the leaves can stay.");
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, left: Duration) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    let prepare = |sim: &Sim| bring(sim, left);
    Stage::play_after(settings, teller, config(settings), options, prepare, async |stage| {
        let ends = left == LEFT;
        let end =
            if ends { certificate(stage, &format!("{PKI}/ca.crt"))?.not_after() } else { stage.now() + LEFT };
        stage.say(format!("A cluster whose authority ends {} UTC.", shown(end)));
        stage.cluster.elapse(50 * DAY).await;
        kubeadm(stage, &["certs", "renew", "all"]).await?;
        stage.restart(&["kube-apiserver", "kube-controller-manager", "kube-scheduler"]).await?;
        misbehaves(stage, end, ends).await?;
        the_end(stage, end, ends).await
    })
}

/// An authority of ten years of which so much is left, there before kubeadm comes.
fn bring(sim: &Sim, left: Duration) -> Result<(), StoryError> {
    let host = sim.host(CONTROL_PLANE);
    let end = host.clock().wall() + left;
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(StoryError::new)?;
    write(&host, &authority(&host, key, end - TEN_YEARS, end)?)
}

fn authority(host: &world::Host, key: PrivateKey, from: Wall, to: Wall) -> Result<Authority, StoryError> {
    let names = ["kubernetes".to_owned()];
    Authority::with_key(host.entropy(), key, "kubernetes", &names, from, to).map_err(StoryError::new)
}

fn write(host: &world::Host, authority: &Authority) -> Result<(), StoryError> {
    let disk = host.disk();
    disk.create_dir_all(PKI).map_err(StoryError::new)?;
    let pem = authority.certificate.to_pem();
    disk.write(format!("{PKI}/ca.crt"), pem, 0o644).map_err(StoryError::new)?;
    disk.write(format!("{PKI}/ca.key"), authority.key().to_pem(), 0o600).map_err(StoryError::new)
}

async fn misbehaves(stage: &Stage, end: Wall, ends: bool) -> Result<(), StoryError> {
    let leaf = certificate(stage, &format!("{PKI}/apiserver.crt"))?.not_after();
    stage.say(format!("{} UTC: kubeadm certs renew all.", shown(stage.now())));
    let seen = format!("until {}, after its authority: {}", shown(leaf), leaf > end && ends);
    stage.check("apiserver.crt", leaf > end, seen);
    let table = kubeadm(stage, &["certs", "check-expiration"]).await?;
    let row = table.lines().find(|l| l.starts_with("apiserver ")).unwrap_or_default().to_owned();
    stage.check(
        "check-expiration",
        row.contains("364d"),
        row.split_whitespace().take(7).collect::<Vec<_>>().join(" "),
    );
    stage.cluster.at(end - SignedDuration::from_hours(24)).await?;
    let plain = stage.settings.profile.plain_client_certificate();
    let kubelet = stage.cluster.certificate(NODE, if plain { PLAIN } else { CURRENT })?;
    // A signer that does not look at its own end gives a whole year.
    let ends = ends && stage.settings.profile.signer_heeds_its_end();
    let issued = stage.log(NODE, "kubelet", "csr").iter().filter(|line| line.contains("issued")).count();
    let cut = kubelet.not_after() == end;
    let seen = format!("until {}, issued {issued} times in 99 days", shown(kubelet.not_after()));
    stage.check("the certificate of node1's kubelet", cut == ends && (issued > 2) == ends, seen);
    Ok(())
}

async fn the_end(stage: &Stage, end: Wall, ends: bool) -> Result<(), StoryError> {
    let held = stage.client(CONTROL_PLANE, ADMIN_CONF, "kubectl")?;
    // Those who renew faster and faster are of no further interest.
    for host in [CONTROL_PLANE, NODE] {
        stage.host(host).services().stop("kubelet").await;
    }
    let look = async || (administrator(stage).await, ask(&held).await);
    let (before, after) = stage.edge(CONTROL_PLANE, end, look).await?;
    stage.say(format!("{} UTC: the authority ends.", shown(end)));
    let (fresh, open) = (before.0?, before.1);
    stage.check("one second before", (fresh.0, open.0) == (200, 200), "new and open connections work");
    let (fresh, open) = (after.0?, after.1);
    let refused = fresh.0 == 0 && fresh.1.contains(EXPIRED);
    stage.check("a new connection a second after", if ends { refused } else { fresh.0 == 200 }, line(&fresh));
    stage.check("an open one", open.0 == if ends { 401 } else { 200 }, line(&open));
    remedy(stage, ends).await
}

/// A new certificate for the same key, in the server's file and in admin.conf. No leaf is touched.
async fn remedy(stage: &Stage, ends: bool) -> Result<(), StoryError> {
    let host = stage.host(CONTROL_PLANE);
    let disk = host.disk();
    let key = disk.read(format!("{PKI}/ca.key")).map_err(StoryError::new)?;
    let key = PrivateKey::from_pem(&key).map_err(StoryError::new)?;
    let born = certificate(stage, &format!("{PKI}/ca.crt"))?.not_before();
    let renewed = authority(&host, key, born, stage.now() + TEN_YEARS)?;
    write(&host, &renewed)?;
    let mut config = Kubeconfig::load(disk, ADMIN_CONF).map_err(StoryError::new)?;
    let data = api::object::base64(renewed.certificate.to_pem().as_bytes());
    config.clusters.iter_mut().for_each(|c| c.cluster.certificate_authority_data = Some(data.clone()));
    config.save(disk, ADMIN_CONF).map_err(StoryError::new)?;
    // The apiserver looks at its file once a minute.
    stage.sim().set_periods(Periods::upstream());
    stage.cluster.elapse(Duration::from_secs(70)).await;
    let healed = administrator(stage).await?;
    let rereads = stage.settings.profile.rereads_client_authorities();
    // A release that does not read it again has to be restarted.
    let wanted = if rereads || !ends { 200 } else { 401 };
    stage.check("a new certificate for the same key", healed.0 == wanted, line(&healed));
    Ok(())
}
