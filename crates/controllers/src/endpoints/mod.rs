//! Where a service leads: Endpoints and EndpointSlices of the pods that its selector selects.
//!
//! ```text
//!   service + pods ── membership ─┬─ subsets ── legacy    Endpoints, one per service
//!                                 └─ packing ── sliced    EndpointSlices, up to 100 endpoints each
//! ```

mod legacy;
mod membership;
mod packing;
mod sliced;
mod subsets;

use api::{object::ObjectExt as _, selector::LabelSelector};
use client::{Change, Informer, Resource, WorkQueue};
use serde_json::Value;

pub(crate) use legacy::run as endpoints;
pub(crate) use sliced::run as endpoint_slices;

const SERVICES: Resource = Resource::core("services");
const HEADLESS: &str = "service.kubernetes.io/headless";

/// Whether the loops are to keep addresses for `service`: it has a selector, and a place of its own.
fn is_kept(service: &Value) -> bool {
    service.pointer("/spec/selector").is_some_and(Value::is_object)
        && service.str_at("/spec/type") != "ExternalName"
}

fn is_headless(service: &Value) -> bool {
    service.str_at("/spec/clusterIP") == "None"
}

fn selects(service: &Value, pod: &Value) -> bool {
    let selector = service.pointer("/spec/selector").unwrap_or(&Value::Null);
    LabelSelector::from_map(selector).is_ok_and(|s| s.matches(pod))
}

/// Feeds `queue` with the services that come, change or go, and with those that a pod's change concerns.
fn feed(queue: &WorkQueue, services: &Informer, pods: &Informer) {
    let of_services = queue.clone();
    services.on(move |change| of_services.add(change.key()));
    let (queue, services) = (queue.clone(), services.clone());
    pods.on(move |change| {
        let (old, new) = match change {
            Change::Updated { old, new } if !membership::matters(old, new) => return,
            Change::Updated { old, new } => (Some(old), new),
            Change::Added(pod) | Change::Deleted(pod) => (None, pod),
        };
        for service in services.by_namespace(new.namespace()) {
            let wanted = |pod: &Value| selects(&service, pod);
            if is_kept(&service) && (wanted(new) || old.is_some_and(|old| wanted(old))) {
                queue.add(client::key_of(&service));
            }
        }
    });
}
