//! Two schedulers on hosts of their own, beside the control plane, so that one can stand still while the server does not.

use std::time::Duration;

use api::object::ObjectExt;
use chronoplane::cluster::CONTROL_PLANE;
use client::Resource;
use world::{Exit, Host, Unit, Wall};

use crate::{scenarios::Stage, story::StoryError};

pub(super) const FIRST: &str = "sched1";
pub(super) const SECOND: &str = "sched2";
const UNIT: &str = "kube-scheduler";
const CONF: &str = "/etc/kubernetes/scheduler.conf";
const MANIFEST: &str = "/etc/kubernetes/manifests/kube-scheduler.yaml";
/// systemd's and the kubelet's first wait before a new start.
const AGAIN: Duration = Duration::from_secs(10);

/// Ends the cluster's own scheduler and starts two others with these flags; the first one leads.
pub(super) async fn start(stage: &Stage, first: &[&str], second: &[&str]) -> Result<(), StoryError> {
    let control_plane = stage.host(CONTROL_PLANE);
    let conf = control_plane.disk().read(CONF).map_err(StoryError::new)?;
    control_plane.disk().remove(MANIFEST).map_err(StoryError::new)?;
    // The kubelet ends it; its lease runs out.
    stage.cluster.elapse(Duration::from_secs(60)).await;
    for (name, flags) in [(FIRST, first), (SECOND, second)] {
        let host = stage.host(name);
        host.disk().create_dir_all("/etc/kubernetes").map_err(StoryError::new)?;
        host.disk().write(CONF, conf.clone(), 0o600).map_err(StoryError::new)?;
        let mut args: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        args.push(format!("--kubernetes-version={}", stage.settings.profile.git_version()));
        let unit = Unit::new(move |host: Host| scheduler(host, args.clone())).restart_after(AGAIN);
        host.services().install(UNIT, unit);
        host.services().start(&host, UNIT);
        let leads = async || Some(leader(stage).await).filter(|leader| leader.starts_with(FIRST));
        stage.cluster.elapse_until("the first one leads", Duration::from_secs(60), leads).await?;
    }
    // The second one has seen the lease and waits.
    stage.cluster.elapse(Duration::from_secs(30)).await;
    Ok(())
}

async fn scheduler(host: Host, args: Vec<String>) -> Exit {
    controllers::scheduler::run(host, args).await
}

/// Who the Lease names.
pub(super) async fn leader(stage: &Stage) -> String {
    let leases = Resource::new("coordination.k8s.io", "v1", "leases");
    let lease = stage.cluster.admin().get(&leases, Some("kube-system"), "kube-scheduler").await;
    lease.map(|lease| lease.str_at("/spec/holderIdentity").to_owned()).unwrap_or_default()
}

/// When a scheduler said that it `became leader` or `stopped leading` last, by its own clock.
pub(super) fn said(stage: &Stage, host: &str, what: &str) -> Option<Wall> {
    let events = stage.sim().events();
    let told = events.iter().rev().find(|e| {
        e.host == host && e.kind == "election" && e.fields.iter().any(|(_, text)| text.ends_with(what))
    });
    told.map(|e| e.at)
}

/// The last words of a scheduler that ended by itself.
pub(super) fn last_words(stage: &Stage, host: &str) -> String {
    match stage.host(host).services().last_exit(UNIT) {
        Some(Exit::Failure(why)) => why,
        Some(Exit::Success) => "ended".to_owned(),
        None => String::new(),
    }
}
