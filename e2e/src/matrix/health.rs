//! Whether a cluster is well, by what it says of itself: nodes that are Ready and leases that were renewed lately. A node
//! that was Ready when everything stopped is Ready still when it wakes, until somebody has noticed.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use chronoplane::cluster::is_ready;
use client::{ListParams, Resource, Rest};
use serde_json::Value;
use world::{Clock, Host, Wall, rfc3339};

use super::play::{CSRS, NODES};

const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");
pub(super) const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
const LOOK: Duration = Duration::from_secs(5);

/// Looks every five seconds until `look` is content; its last complaint if it never is.
pub(super) async fn until(
    clock: &Clock,
    at_most: Duration,
    mut look: impl AsyncFnMut() -> Result<(), String>,
) -> Result<(), String> {
    let deadline = clock.monotonic() + at_most;
    loop {
        match look().await {
            Ok(()) => return Ok(()),
            Err(why) if clock.monotonic() >= deadline => return Err(why),
            Err(_) => clock.sleep(LOOK).await,
        }
    }
}

/// The first thing that is not as in a healthy cluster.
pub(super) async fn ailing(rest: &Rest, hosts: &[Host], since: Wall) -> Result<(), String> {
    let list = async |resource: &Resource, namespace: Option<&str>| {
        let all = rest.list(resource, namespace, &ListParams::default()).await;
        all.map(|list| list.items).map_err(|e| e.to_string())
    };
    let nodes = list(&NODES, None).await?;
    let silent =
        hosts.iter().find(|host| !nodes.iter().any(|node| node.name() == host.name() && is_ready(node)));
    if let Some(host) = silent {
        return Err(format!("{} is not Ready", host.name()));
    }
    let names = hosts.iter().map(Host::name);
    let wanted = [("kube-node-lease", names.collect::<Vec<_>>()), ("kube-system", LEADERS.to_vec())];
    for (namespace, names) in wanted {
        let leases = list(&LEASES, Some(namespace)).await?;
        for name in names {
            let lease = leases.iter().find(|lease| lease.name() == name);
            let renewed = lease.and_then(|lease| lease.str_at("/spec/renewTime").parse::<Wall>().ok());
            if renewed.is_none_or(|at| at <= since) {
                let at = renewed.map_or("never".to_owned(), rfc3339);
                return Err(format!("the lease of {name} was renewed {at}"));
            }
        }
    }
    Ok(())
}

/// The requests that nobody has judged.
pub(super) async fn pending(rest: &Rest) -> Result<Vec<Arc<Value>>, String> {
    let all = rest.list(&CSRS, None, &ListParams::default()).await.map_err(|e| e.to_string())?;
    Ok(all.items.into_iter().filter(|csr| csr.list_at("/status/conditions").is_empty()).collect())
}
