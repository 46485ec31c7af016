//! How a joining control plane gets its own etcd member (phases `check-etcd` and `etcd-join`,
//! `cmd/kubeadm/app/phases/etcd/local.go`), and how a leaving one gives it up.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde_json::Value;

use crate::{
    config::InitConfig,
    etcd_members::{CLIENT_URLS, EtcdMembers, availability_limit, peer_url},
    manifests,
    paths::{ADMIN_CONF, MANIFESTS_DIR},
    session::{Result, Session},
    stored,
};

/// How long the cluster may take to tell its configuration to a host that leaves.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `check-etcd`: nobody joins an etcd that is not whole.
pub(crate) async fn check(s: &Session<'_>, own: &InitConfig) -> Result<()> {
    if s.dry_run().is_some() {
        s.say("[dryrun] Would ensure that etcd is healthy");
        return Ok(());
    }
    if own.cluster.external_etcd.is_some() {
        s.say("[check-etcd] Skipping etcd check in external mode");
        return Ok(());
    }
    s.say("[check-etcd] Checking that the etcd cluster is healthy");
    let rest = s.client(ADMIN_CONF)?;
    let checked = async { EtcdMembers::of_cluster(s, &rest, own).await?.check_health().await };
    checked.await.map_err(|e| e.within("etcd cluster is not healthy"))
}

/// Announces the member, writes its manifest, and waits until all answer. Where the release has learners the member
/// votes only after it has come.
pub(crate) async fn run(s: &Session<'_>, own: &InitConfig) -> Result<()> {
    if s.dry_run().is_some() {
        s.say(format!("[etcd] Would add etcd member: {}", peer_url(own)));
        s.say("[etcd] Would wait for the new etcd member to join the cluster");
        return Ok(());
    }
    join(s, own).await.map_err(|e| e.within("error creating local etcd static pod manifest file"))
}

async fn join(s: &Session<'_>, own: &InitConfig) -> Result<()> {
    let rest = s.client(ADMIN_CONF)?;
    let learner = s.profile.etcd_learner_mode();
    let mut etcd = EtcdMembers::of_cluster(s, &rest, own).await?;
    let members = etcd.add(&own.node_name, own, learner).await?;
    s.say("[etcd] Announced new etcd member joining to the existing etcd cluster");
    s.say("[etcd] Creating static Pod manifest for \"etcd\"");
    manifests::joining_etcd(s, own, &members)?;
    if learner {
        etcd.promote(&peer_url(own)).await?;
    }
    s.say(format!(
        "[etcd] Waiting for the new etcd member to join the cluster. This can take up to {}",
        availability_limit()
    ));
    etcd.available().await
}

/// Takes this host's member out of the cluster that `kubeconfig` leads to. A cluster that does not answer knows
/// of no member that could leave it.
pub(crate) async fn leave(s: &Session<'_>, kubeconfig: &str) -> Result<()> {
    let Ok(rest) = s.client(kubeconfig) else { return Ok(()) };
    let mut own = InitConfig::new(s.host, s.profile);
    if stored::fetch(&rest.with_timeout(PATIENCE), &mut own).await.is_err() {
        return Ok(());
    }
    if let Some(ip) = advertised_address(s) {
        own.advertise_address = ip;
    }
    EtcdMembers::of_cluster(s, &rest, &own).await?.leave(&own).await
}

/// Where this host's etcd says that it is reached.
fn advertised_address(s: &Session<'_>) -> Option<IpAddr> {
    let text = s.disk().read_to_string(format!("{MANIFESTS_DIR}/etcd.yaml")).ok()?;
    let pod: Value = serde_saphyr::from_str(&text).ok()?;
    let url = pod.pointer("/metadata/annotations")?.get(CLIENT_URLS)?.as_str()?;
    let address: SocketAddr = url.strip_prefix("https://")?.parse().ok()?;
    Some(address.ip())
}
