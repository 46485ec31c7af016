//! Doing what a plan says, and its remedy.

use std::{sync::Arc, time::Duration};

use client::{DeleteParams, ListParams, Resource};
use futures::future::join_all;
use jiff::SignedDuration;
use pki::{CertSpec, CertifiedKey, kubeconfig::User};
use store::{EtcdOptions, Store};

use super::{
    fault::{Component, Fault, Kept, Replaced},
    load::HOOK,
    plan::Planned,
    scene::{ACCOUNTS, LEASES, NS, Scene, issue, stranger},
};
use crate::{
    HarnessError,
    cluster::{CONTROL_PLANE, WORKSTATION},
    launcher,
};

const PKI: &str = "/etc/kubernetes/pki";
/// How long the kubelet takes to see that a manifest is gone.
const GONE: Duration = Duration::from_secs(20);
/// Between two tries of a remedy that a person carries out.
const AGAIN: Duration = Duration::from_secs(30);
/// How often such a remedy is tried.
const TRIES: u32 = 20;
/// Longer than any plan: what is not remedied.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
/// So long before a fault the world runs slow, so that leases are of that pace when it begins.
const AHEAD: Duration = Duration::from_secs(30);
/// What a fault has left behind settles before the world runs fast again.
const SETTLING: Duration = Duration::from_secs(120);
/// The same where files have to be noticed that are looked at every minute: six, at the slow pace.
const SETTLING_FILES: Duration = Duration::from_secs(480);

/// Waits until it is time, lets it happen, and remedies it.
pub(super) async fn play(scene: &Scene, planned: &Planned) {
    let host = scene.workstation();
    let begins = host.clock().monotonic() + Duration::from_secs(planned.at);
    host.clock().sleep(Duration::from_secs(planned.at).saturating_sub(AHEAD)).await;
    // Who waits for days waits at the pace of days.
    let slow = match planned.fault {
        Fault::Outlive => None,
        _ => Some(scene.tempo.slow().await),
    };
    host.clock().sleep_until(begins).await;
    let disturbed = scene.tempo.fault();
    let text = serde_json::to_string(&planned.fault).unwrap_or_default();
    host.record("fault", vec![("begins", text.clone())]);
    let lasts = if planned.remedied { Duration::from_secs(planned.lasts) } else { FOR_EVER };
    if let Err(why) = happen(scene, &planned.fault, lasts).await {
        // A fault may keep another, or the remedy of another, from happening: healing tells what it did.
        host.record("fault", vec![("failed", why.to_string())]);
    }
    host.record("fault", vec![("ends", text)]);
    drop(disturbed);
    let _slow = match slow {
        Some(slow) => slow,
        None => scene.tempo.slow().await,
    };
    let settling = match planned.fault {
        Fault::CertificateReplaced { .. } => SETTLING_FILES,
        _ => SETTLING,
    };
    host.clock().sleep(settling).await;
}

async fn happen(scene: &Scene, fault: &Fault, lasts: Duration) -> Result<(), HarnessError> {
    let sim = scene.sim();
    let wait = || sim.elapse(lasts);
    match fault {
        Fault::Crash { host, component } => crash(scene, host, *component).await,
        Fault::Stop { host, component } => stop(scene, host, *component, lasts).await?,
        Fault::Reboot { host } => sim.reboot(host, lasts).await,
        Fault::Partition { a, b } => {
            sim.cut(a, b);
            wait().await;
            sim.heal(a, b);
        }
        Fault::Reset { from, to, port } => drop(sim.reset_connections(from, to, *port)),
        Fault::Step { host, seconds } => {
            sim.step(host, SignedDuration::from_secs(*seconds));
            wait().await;
            set_right(scene, host);
        }
        Fault::Drift { host, ppm } => {
            sim.drift(host, *ppm);
            wait().await;
            sim.drift(host, 0);
            set_right(scene, host);
        }
        Fault::Freeze { host } => {
            sim.freeze(host);
            wait().await;
            sim.thaw(host);
            set_right(scene, host);
        }
        Fault::Pause { host } => sim.pause(host, lasts).await,
        Fault::Suspend { host } => sim.suspend(host, lasts).await,
        Fault::DiskFull { host } => {
            sim.disk(host).set_full(true);
            wait().await;
            sim.disk(host).set_full(false);
        }
        Fault::DiskReadOnly { host } => {
            sim.disk(host).set_read_only(true);
            wait().await;
            sim.disk(host).set_read_only(false);
        }
        Fault::CertificateReplaced { which } => replace(scene, *which, lasts).await?,
        Fault::ObjectDeleted { which } => delete(scene, *which).await?,
        Fault::WebhookGone => {
            sim.cut(HOOK, CONTROL_PLANE);
            wait().await;
            sim.heal(HOOK, CONTROL_PLANE);
        }
        Fault::WebhookSlow => {
            scene.hook.set_slow(true);
            wait().await;
            scene.hook.set_slow(false);
        }
        Fault::Overload { requests } => overload(scene, *requests).await?,
        Fault::Compaction => compact(scene).await?,
        Fault::Outlive => {
            wait().await;
            renew(scene).await?;
        }
    }
    Ok(())
}

/// What NTP does: the clock shows true time again, which the workstation has.
fn set_right(scene: &Scene, host: &str) {
    let right = scene.host(WORKSTATION).clock().wall();
    let by = right.duration_since(scene.host(host).clock().wall());
    scene.sim().step(host, by);
}

async fn crash(scene: &Scene, host: &str, component: Component) {
    let host = scene.host(host);
    match component {
        // systemd starts it again after ten seconds.
        Component::Kubelet => {
            host.services().stop("kubelet").await;
            scene.sim().elapse(Duration::from_secs(10)).await;
            host.services().start(&host, "kubelet");
        }
        other => drop(launcher::kill(&host, other.name()).await),
    }
}

async fn stop(scene: &Scene, host: &str, component: Component, lasts: Duration) -> Result<(), HarnessError> {
    let host = scene.host(host);
    if component == Component::Kubelet {
        host.services().stop("kubelet").await;
        scene.sim().elapse(lasts).await;
        host.services().start(&host, "kubelet");
        return Ok(());
    }
    let (there, away) = manifest(component);
    host.disk().rename(&there, &away).map_err(HarnessError::new)?;
    scene.sim().elapse(lasts.max(GONE)).await;
    tried(scene, async || host.disk().rename(&away, &there).map_err(HarnessError::new)).await
}

fn manifest(component: Component) -> (String, String) {
    let name = component.name();
    (format!("/etc/kubernetes/manifests/{name}.yaml"), format!("/etc/kubernetes/{name}.yaml"))
}

/// What a person does until it succeeds: another fault may be in its way.
async fn tried(
    scene: &Scene,
    mut what: impl AsyncFnMut() -> Result<(), HarnessError>,
) -> Result<(), HarnessError> {
    let mut tries = 1;
    loop {
        match what().await {
            Err(_) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
        scene.sim().elapse(AGAIN).await;
    }
}

/// Files of a stranger for a while, then those that were there.
async fn replace(scene: &Scene, which: Replaced, lasts: Duration) -> Result<(), HarnessError> {
    let disk = scene.host(CONTROL_PLANE).disk().clone();
    let path = |file: &str| format!("{PKI}/{file}");
    let mut before = Vec::new();
    for file in which.files() {
        before.push((path(file), disk.read(path(file)).map_err(HarnessError::new)?));
    }
    let written = |files: &[(String, Vec<u8>)]| {
        files.iter().try_for_each(|(path, text)| {
            let mode = if path.ends_with(".key") { 0o600 } else { 0o644 };
            disk.write(path, text, mode).map_err(HarnessError::new)
        })
    };
    let now = strangers(scene, which, &before)?;
    let is_authority = which == Replaced::ClientAuthority;
    if is_authority {
        scene.replace_authority(true);
    }
    let outcome = written(&now);
    if outcome.is_ok() {
        scene.sim().elapse(lasts).await;
    }
    let restored = tried(scene, async || written(&before)).await;
    if is_authority {
        scene.replace_authority(false);
    }
    outcome.and(restored)
}

/// A stranger's files in place of these.
fn strangers(
    scene: &Scene,
    which: Replaced,
    files: &[(String, Vec<u8>)],
) -> Result<Vec<(String, Vec<u8>)>, HarnessError> {
    let host = scene.host(CONTROL_PLANE);
    let authority = stranger(&host)?;
    if which == Replaced::ClientAuthority {
        let pem = authority.certificate.to_pem().into_bytes();
        return Ok(files.iter().map(|(path, _)| (path.clone(), pem.clone())).collect());
    }
    let [(certificate, old), (key, old_key)] = files else {
        return Err(HarnessError::new("a certificate and its key are replaced together"));
    };
    let old = CertifiedKey::from_pem(old, old_key).map_err(HarnessError::new)?;
    let leaf = old.leaf().ok_or_else(|| HarnessError::new(format!("{certificate} holds no certificate")))?;
    let spec = CertSpec {
        common_name: leaf.subject_cn().to_owned(),
        organizations: leaf.organizations().to_vec(),
        dns_names: leaf.dns_names().to_vec(),
        ips: leaf.ip_addresses().to_vec(),
        client_auth: which != Replaced::Serving,
        server_auth: which == Replaced::Serving,
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
    };
    let pair = issue(&host, &authority, &spec)?;
    Ok(vec![(certificate.clone(), pair.chain_pem().into_bytes()), (key.clone(), pair.key_pem().into_bytes())])
}

async fn delete(scene: &Scene, which: Kept) -> Result<(), HarnessError> {
    let (resource, ns, name) = match which {
        Kept::RootCa => (Resource::core("configmaps"), NS, "kube-root-ca.crt"),
        Kept::NodeLease => (LEASES, Some("kube-node-lease"), "node1"),
        Kept::LeaderLease => (LEASES, Some("kube-system"), "kube-controller-manager"),
        Kept::DefaultAccount => (ACCOUNTS, NS, "default"),
    };
    let deleted = scene.operator.delete(&resource, ns, name, &DeleteParams::default()).await;
    deleted.map(drop).map_err(HarnessError::new)
}

/// Lists of everything in the core, by a user without a place of its own in the queues.
async fn overload(scene: &Scene, requests: u32) -> Result<(), HarnessError> {
    let host = scene.workstation();
    let now = host.clock().wall();
    let until = now + SignedDuration::from_hours(1);
    let pair = super::scene::identity(&host, &scene.authority, "chaos-crowd", &["crowd"], now, until)?;
    let rest = scene.client(&host, User::with_certificate(&pair), "crowd")?;
    let pods = Resource::core("pods");
    let all = ListParams::default();
    // Refused or not: what matters is what becomes of the others meanwhile.
    join_all((0..requests).map(|_| rest.list(&pods, None, &all))).await;
    Ok(())
}

/// Compacts the store at its present revision, as `etcdctl compact` does.
async fn compact(scene: &Scene) -> Result<(), HarnessError> {
    let host = scene.host(CONTROL_PLANE);
    let options = EtcdOptions {
        endpoints: vec!["https://127.0.0.1:2379".to_owned()],
        ca: Some(format!("{PKI}/etcd/ca.crt").into()),
        cert: Some(format!("{PKI}/apiserver-etcd-client.crt").into()),
        key: Some(format!("{PKI}/apiserver-etcd-client.key").into()),
        go: scene.cluster.options().profile.go(),
    };
    let process = host.process("etcdctl");
    let etcd: Arc<dyn Store> = store::etcd(process.host(), &options).map_err(HarnessError::new)?;
    let workstation = scene.workstation();
    let compacted = workstation.clock().timeout(GONE, async {
        let now = etcd.revision().await?;
        etcd.compact(now).await
    });
    let outcome = match compacted.await {
        Ok(outcome) => outcome.map_err(HarnessError::new),
        Err(e) => Err(HarnessError::new(e)),
    };
    process.kill().await;
    outcome
}

/// What an operator does when it is noticed: everything renewed, every static pod restarted.
async fn renew(scene: &Scene) -> Result<(), HarnessError> {
    let host = scene.host(CONTROL_PLANE);
    tried(scene, async || scene.cluster.kubeadm(&host, &["certs", "renew", "all"]).await.map(drop)).await?;
    for from_to in [false, true] {
        for (there, away) in Component::STATIC.map(manifest) {
            let (from, to) = if from_to { (&away, &there) } else { (&there, &away) };
            tried(scene, async || host.disk().rename(from, to).map_err(HarnessError::new)).await?;
        }
        scene.sim().elapse(GONE).await;
    }
    Ok(())
}
