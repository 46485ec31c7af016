//! The heartbeat: a Lease in kube-node-lease, renewed at a quarter of its duration
//! (component-helpers `apimachinery/lease`).

use std::{sync::Arc, time::Duration};

use client::{ClientError, Resource, Rest};
use serde_json::{Value, json};
use world::{Host, Wall};

use crate::{kubelet::Registered, options::Options};

const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");
const NAMESPACE: &str = "kube-node-lease";
const RETRIES: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(7);

/// Renews for ever.
pub(crate) async fn run(host: Host, options: Arc<Options>, rest: Rest, registered: Arc<Registered>) {
    let renew = Duration::from_secs(options.lease_seconds) / 4;
    let mut backoff = FIRST_BACKOFF;
    loop {
        match renew_once(&host, &options, &rest, registered.uid()).await {
            Ok(()) => {
                backoff = FIRST_BACKOFF;
                host.recur(host.entropy().jitter(renew, 0.04)).await;
            }
            Err(e) => {
                tracing::error!("Failed to update lease: {e}");
                host.clock().sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        }
    }
}

async fn renew_once(
    host: &Host,
    options: &Options,
    rest: &Rest,
    node_uid: Option<String>,
) -> Result<(), ClientError> {
    let mut last = None;
    for _ in 0..RETRIES {
        let outcome = match rest.get(&LEASES, Some(NAMESPACE), &options.node_name).await {
            Ok(mut lease) => {
                fill(&mut lease, host, options, node_uid.as_deref());
                rest.update(&LEASES, Some(NAMESPACE), &options.node_name, &lease).await
            }
            Err(e) if e.is_not_found() => {
                let mut lease = json!({
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": options.node_name, "namespace": NAMESPACE},
                    "spec": {},
                });
                fill(&mut lease, host, options, node_uid.as_deref());
                rest.create(&LEASES, Some(NAMESPACE), &lease).await
            }
            Err(e) => Err(e),
        };
        match outcome {
            Ok(_) => return Ok(()),
            Err(e) if e.is_conflict() || e.is_already_exists() => last = Some(e),
            Err(e) => return Err(e),
        }
    }
    last.map_or(Ok(()), Err)
}

fn fill(lease: &mut Value, host: &Host, options: &Options, node_uid: Option<&str>) {
    let duration = host.periods().of(Duration::from_secs(options.lease_seconds)).as_secs();
    lease["spec"]["holderIdentity"] = options.node_name.as_str().into();
    lease["spec"]["leaseDurationSeconds"] = duration.min(i32::MAX as u64).into();
    lease["spec"]["renewTime"] = micro_time(host.clock().wall()).into();
    // Set once the node's UID is known, so that the lease is collected with the node.
    if let Some(uid) = node_uid.filter(|_| lease.pointer("/metadata/ownerReferences").is_none()) {
        lease["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Node", "name": options.node_name, "uid": uid}]);
    }
}

/// RFC 3339 with six decimals, as `metav1.MicroTime`.
fn micro_time(at: Wall) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
