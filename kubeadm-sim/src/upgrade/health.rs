//! Whether a cluster can be upgraded at all: it takes work, its control planes are Ready, and this host is one of
//! them (`cmd/kubeadm/app/phases/upgrade/health.go`).

use std::time::Duration;

use api::{duration, profile::Profile};
use client::{ListParams, Resource, Rest};
use serde_json::{Value, json};

use super::{cluster::nodes, staticpods::CONTROL_PLANE};
use crate::{
    config::InitConfig,
    paths::{KUBE_SYSTEM, MANIFESTS_DIR},
    preflight::Report,
    session::{Failure, Result, Session, poll},
};

const JOB: &str = "upgrade-health-check";
const JOB_TIMEOUT: Duration = Duration::from_secs(15);
const JOB_POLL: Duration = Duration::from_secs(1);

/// Runs the checks.
///
/// # Errors
/// One of them failed and is not in `ignore`.
pub(super) async fn check(
    s: &mut Session<'_>,
    rest: &Rest,
    config: &InitConfig,
    ignore: &[String],
    dry_run: bool,
) -> Result<()> {
    s.say("[upgrade] Running cluster health checks");
    let mut report = Report::default();
    let mut note = |check: &str, outcome: Result<()>| {
        if let Err(e) = outcome {
            report.error(check, e.0);
        }
    };
    if dry_run {
        s.say(format!(
            "[upgrade/health] Would create the Job with the prefix {JOB:?} in namespace {KUBE_SYSTEM:?} and wait until it \
             completes"
        ));
    } else {
        note("CreateJob", a_job_completes(s, rest, config).await);
    }
    note("ControlPlaneNodesReady", control_planes_are_ready(s, rest).await);
    note("StaticPodManifest", manifests_are_here(s));
    report.conclude(s, ignore)
}

/// A Job that needs next to nothing runs to its end.
async fn a_job_completes(s: &Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    let schedulable =
        ListParams { field_selector: Some("spec.unschedulable=false".into()), ..ListParams::default() };
    let somewhere = rest.list(&Resource::core("nodes"), None, &schedulable).await.map_err(|e| {
        Failure::from(e).within("could not check if there is at least one Node that can schedule a test Pod")
    })?;
    if somewhere.items.is_empty() {
        return Ok(());
    }
    // A node may still have the taint of the release before.
    let before = Profile::of_minor(s.profile.minor().saturating_sub(1)).unwrap_or(s.profile);
    let mut taints = s.profile.control_plane_taints().to_vec();
    taints.extend(before.control_plane_taints());
    taints.sort_unstable();
    taints.dedup();
    let tolerations: Vec<Value> =
        taints.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect();
    let image = format!("{}/pause:{}", config.cluster.image_repository(), s.profile.pause_version());
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": format!("{JOB}-"), "namespace": KUBE_SYSTEM},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": JOB_TIMEOUT.as_secs() + 5,
            "template": {"spec": {
                "containers": [{"args": ["-v"], "image": image, "name": JOB}],
                "restartPolicy": "Never",
                "securityContext": {"runAsGroup": 999, "runAsNonRoot": true, "runAsUser": 999},
                "tolerations": tolerations,
            }},
        },
    });
    let jobs = Resource::new("batch", "v1", "jobs");
    let created = poll(s.host, JOB_POLL, JOB_TIMEOUT, async || {
        rest.create(&jobs, Some(KUBE_SYSTEM), &job).await.map_err(Failure::from)
    })
    .await
    .map_err(|e| {
        e.within(&format!("could not create a Job with the prefix {JOB:?} in the namespace {KUBE_SYSTEM:?}"))
    })?;
    let name = created.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    poll(s.host, JOB_POLL, JOB_TIMEOUT, async || {
        let job = rest.get(&jobs, Some(KUBE_SYSTEM), &name).await?;
        let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
        let complete = conditions
            .into_iter()
            .flatten()
            .any(|c| c.get("type").and_then(Value::as_str) == Some("Complete"));
        if complete { Ok(()) } else { Err(Failure::new("no condition of type Complete")) }
    })
    .await
    .map_err(|e| {
        let limit = duration::format(JOB_TIMEOUT);
        e.within(&format!("Job {name:?} in the namespace {KUBE_SYSTEM:?} did not complete in {limit}"))
    })
}

async fn control_planes_are_ready(s: &Session<'_>, rest: &Rest) -> Result<()> {
    let label = s.profile.control_plane_labels().first().copied().unwrap_or_default();
    let unready: Vec<String> = nodes(rest, &format!("{label}="))
        .await
        .map_err(|e| e.within(&format!("could not list nodes labeled with {label:?}")))?
        .iter()
        .filter(|node| !is_ready(node))
        .filter_map(|node| node.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned))
        .collect();
    if unready.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("there are NotReady control-planes in the cluster: [{}]", unready.join(" "))))
}

fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().all(|c| {
        let field = |name: &str| c.get(name).and_then(Value::as_str);
        field("type") != Some("Ready") || field("status") == Some("True")
    })
}

fn manifests_are_here(s: &Session<'_>) -> Result<()> {
    let missing: Vec<String> = CONTROL_PLANE
        .iter()
        .map(|name| format!("{MANIFESTS_DIR}/{name}.yaml"))
        .filter(|path| !s.disk().exists(path))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "The control plane seems to be Static Pod-hosted, but some of the manifests don't seem to exist on disk. This \
         probably means you're running 'kubeadm upgrade' on a remote machine, which is not supported for a Static \
         Pod-hosted cluster. Manifest files not found: [{}]",
        missing.join(" ")
    )))
}
