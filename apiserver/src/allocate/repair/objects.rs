//! From 1.33 on: what services hold, against the `ipaddresses` objects.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use api::object::ObjectExt;
use client::{ClientError, DeleteParams, ListParams, recorder::Recorder};
use serde_json::Value;
use world::Wall;

use super::services;
use crate::allocate::{
    FAMILY, IP_ADDRESSES, MANAGED_BY, MANAGER, Shared, address_object, addresses, addresses::belongs_to,
    family,
};

/// An address is there before its service is, for as long as a request may take.
const GRACE: Duration = Duration::from_secs(60);

/// One round: each address of a service has its object, and each object its service.
pub(super) async fn round(shared: &Shared, recorder: &Recorder, now: Wall) -> Result<(), ClientError> {
    let listed = shared.rest.list_all(&IP_ADDRESSES, None, &ListParams::default()).await?.items;
    let services = services(shared).await?;
    let objects: BTreeMap<&str, &Value> = listed.iter().map(|object| (object.name(), &**object)).collect();
    for service in &services {
        for ip in addresses(service) {
            check_service(shared, recorder, &services, service, ip, &objects).await?;
        }
    }
    for object in &listed {
        check_object(shared, recorder, &services, object, now).await?;
    }
    Ok(())
}

fn find<'s>(services: &'s [Value], object: &Value) -> Option<&'s Value> {
    services.iter().find(|service| belongs_to(object, service))
}

fn holds(service: &Value, object: &Value) -> bool {
    addresses(service).iter().any(|ip| ip.to_string() == object.name())
}

async fn check_service(
    shared: &Shared,
    recorder: &Recorder,
    services: &[Value],
    service: &Value,
    ip: IpAddr,
    objects: &BTreeMap<&str, &Value>,
) -> Result<(), ClientError> {
    let (family, name) = (family(ip), ip.to_string());
    if !shared.ranges.iter().any(|(_, subnet)| subnet.offset(ip).is_some()) {
        let why = "is not within any configured Service CIDR; please recreate service";
        recorder.warning(service, "ClusterIPOutOfRange", format!("Cluster IP [{family}]: {ip} {why}"));
        return Ok(());
    }
    let Some(object) = objects.get(name.as_str()) else {
        // It may be younger than the list.
        if shared.rest.get_opt(&IP_ADDRESSES, None, &name).await?.is_none() {
            let why = "is not allocated; repairing";
            recorder.warning(service, "ClusterIPNotAllocated", format!("Cluster IP [{family}]: {ip} {why}"));
            return settled(shared.post(service, ip).await);
        }
        return Ok(());
    };
    if !belongs_to(object, service) {
        return match find(services, object) {
            Some(other) if holds(other, object) => {
                let why = "was assigned to multiple services; please recreate service";
                let message = format!("Cluster IP [{family}]:{ip} {why}");
                recorder.warning(service, "ClusterIPAlreadyAllocated", message);
                Ok(())
            }
            _ => {
                let message = format!(
                    "the ClusterIP [{family}]: {ip} for Service {}/{} has a wrong reference; repairing",
                    service.namespace(),
                    service.name()
                );
                recorder.warning(service, "ClusterIPNotAllocated", message);
                recreate(shared, service, object, ip).await
            }
        };
    }
    if object.label(FAMILY) == Some(family) && object.label(MANAGED_BY) == Some(MANAGER) {
        return Ok(());
    }
    recreate(shared, service, object, ip).await
}

async fn recreate(shared: &Shared, service: &Value, object: &Value, ip: IpAddr) -> Result<(), ClientError> {
    delete(shared, object).await?;
    settled(shared.rest.create_unread(&IP_ADDRESSES, None, &address_object(service, ip)).await)
}

async fn delete(shared: &Shared, object: &Value) -> Result<(), ClientError> {
    let this = DeleteParams::uid(object.uid());
    settled(shared.rest.delete(&IP_ADDRESSES, None, object.name(), &this).await.map(drop))
}

/// Another server, or the service's own writer, was faster.
fn settled(done: Result<(), ClientError>) -> Result<(), ClientError> {
    match done {
        Err(error) if error.is_already_exists() || error.is_not_found() || error.is_conflict() => Ok(()),
        done => done,
    }
}

/// Objects of other managers are none of ours.
async fn check_object(
    shared: &Shared,
    recorder: &Recorder,
    services: &[Value],
    object: &Value,
    now: Wall,
) -> Result<(), ClientError> {
    if object.label(MANAGED_BY) != Some(MANAGER) {
        return Ok(());
    }
    let parent = |field: &str| object.str_at(&format!("/spec/parentRef/{field}"));
    let (name, namespace, of) = (object.name(), parent("namespace"), parent("name"));
    let (reason, message) = if !parent("group").is_empty() || parent("resource") != "services" {
        let message = format!(
            "IPAddress {name} appears to have been modified, not referencing a Service &ParentReference{{Group:{},Resource:{},Namespace:{namespace},Name:{of},}}: cleaning up",
            parent("group"),
            parent("resource"),
        );
        ("IPAddressNotAllocated", message)
    } else {
        match find(services, object) {
            Some(service) if holds(service, object) => return Ok(()),
            Some(_) => (
                "IPAddressWrongReference",
                format!("IPAddress: {name} for Service {namespace}/{of} has a wrong reference; cleaning up"),
            ),
            None if is_young(object, now) => return Ok(()),
            None => (
                "IPAddressNotAllocated",
                format!("IPAddress: {name} for Service {namespace}/{of} appears to have leaked: cleaning up"),
            ),
        }
    };
    let mut about = object.clone();
    about["apiVersion"] = "networking.k8s.io/v1".into();
    about["kind"] = "IPAddress".into();
    recorder.warning(&about, reason, message);
    delete(shared, object).await
}

fn is_young(object: &Value, now: Wall) -> bool {
    let until = object.creation_timestamp().and_then(|made| made.checked_add(GRACE).ok());
    until.is_some_and(|until| now <= until)
}
