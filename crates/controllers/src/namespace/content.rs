//! The objects of one resource in a terminating namespace: deleted, and what is left of them
//! (`deleteAllContentForGroupVersionResource`).

use std::{collections::BTreeMap, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, ListParams, Rest, discovery::Served};
use jiff::SignedDuration;
use serde_json::Value;
use world::Host;

/// What a finalizer is assumed to take.
const FINALIZERS: Duration = Duration::from_secs(15);

/// What is left of a resource.
pub(super) struct Left {
    /// `pods.`: with the dot, as upstream's messages have it.
    pub what: String,
    /// How many objects.
    pub count: usize,
    /// On how many of them each finalizer is.
    pub finalizers: BTreeMap<String, usize>,
    /// When it may be gone.
    pub estimate: Duration,
    /// Neither grace nor a finalizer holds it.
    pub unexplained: bool,
}

/// Deletes the objects of `served` in `namespace`.
///
/// # Errors
/// The server refused.
pub(super) async fn delete(
    host: &Host,
    rest: &Rest,
    served: &Served,
    namespace: &Value,
) -> Result<Left, ClientError> {
    let (resource, name) = (&served.resource, Some(namespace.name()));
    let all = ListParams::default();
    let mut left = Left {
        what: format!("{}.{}", resource.plural, resource.group),
        count: 0,
        finalizers: BTreeMap::new(),
        estimate: Duration::ZERO,
        unexplained: false,
    };
    let can_list = served.has(&["list"]);
    let before = if can_list { rest.list(resource, name, &all).await?.items } else { Vec::new() };
    if can_list && before.is_empty() {
        return Ok(left);
    }
    let params = DeleteParams { propagation_policy: Some("Background".into()), ..DeleteParams::default() };
    if served.has(&["deletecollection"]) {
        rest.delete_collection(resource, name, &params, &all).await?;
    } else {
        for object in &before {
            match rest.delete(resource, name, object.name(), &params).await {
                Err(e) if !e.is_not_found() => return Err(e),
                _ => {}
            }
        }
    }
    if !can_list {
        return Ok(left);
    }
    let after = rest.list(resource, name, &all).await?.items;
    left.count = after.len();
    for finalizer in after.iter().flat_map(|object| object.finalizers()) {
        *left.finalizers.entry(finalizer.to_owned()).or_default() += 1;
    }
    let since = namespace
        .deletion_timestamp()
        .map_or(SignedDuration::ZERO, |t| host.clock().wall().duration_since(t));
    let grace = after.iter().filter(|_| super::is_pods(resource)).map(|pod| grace(pod)).max();
    let grace = grace.and_then(|grace| Duration::try_from(grace - since).ok()).unwrap_or_default();
    left.estimate = match () {
        () if after.is_empty() || !grace.is_zero() => grace,
        () if !left.finalizers.is_empty() => FINALIZERS,
        () => {
            left.unexplained = true;
            grace
        }
    };
    Ok(left)
}

impl Left {
    /// The error that it is, if nothing explains why it is still there.
    pub(super) fn unexpected(&self, served: &Served, namespace: &str) -> Option<String> {
        let resource = &served.resource;
        let gvr = format!("{}/{}, Resource={}", resource.group, resource.version, resource.plural);
        self.unexplained
            .then(|| format!("unexpected items still remain in namespace: {namespace} for gvr: {gvr}"))
    }
}

/// How long the pod may take to end; one that has ended takes no time.
fn grace(pod: &Value) -> SignedDuration {
    let seconds = match pod.str_at("/status/phase") {
        "Succeeded" | "Failed" => 0,
        _ => pod.i64_at("/spec/terminationGracePeriodSeconds").unwrap_or(0),
    };
    SignedDuration::from_secs(seconds)
}
