//! Plugins that refuse a pod, or a change of one, for one field: LimitPodHardAntiAffinityTopology,
//! SecurityContextDeny, PodResizeValidator.

use api::{object::ObjectExt as _, quota::amounts::Side, status::Status};
use serde_json::Value;

use super::{Operation, Review, Tools, amounts, refusal::forbidden};

const HOSTNAME: &str = "kubernetes.io/hostname";
const OS: &str = "kubernetes.io/os";

fn written_pod<'a>(review: &'a Review<'_>) -> Option<&'a Value> {
    let applies = matches!(review.operation, Operation::Create | Operation::Update)
        && review.is("", "pods")
        && review.subresource.is_empty();
    review.new_object().filter(|_| applies)
}

/// LimitPodHardAntiAffinityTopology: pods may shun each other on a node, and nothing larger.
pub(super) fn anti_affinity(review: &Review<'_>) -> Result<(), Status> {
    let Some(pod) = written_pod(review) else { return Ok(()) };
    let terms = pod.list_at("/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    let mut keys = terms.iter().map(|term| term.str_at("/topologyKey"));
    let Some(key) = keys.find(|key| *key != HOSTNAME) else { return Ok(()) };
    let why = format!(
        "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {HOSTNAME} is allowed"
    );
    Err(Status::forbidden("pods", pod.name(), why))
}

/// SecurityContextDeny, of releases before 1.30: a few fields of security contexts may not be set.
pub(super) fn security_context(review: &Review<'_>) -> Result<(), Status> {
    let Some(pod) = written_pod(review) else { return Ok(()) };
    let is_set = |object: &Value, field: &str| {
        object.at(&format!("/securityContext/{field}")).is_some_and(|v| !v.is_null())
    };
    let refuse = |what: String| Err(Status::forbidden("pods", pod.name(), format!("{what} is forbidden")));
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    for (field, name) in [
        ("supplementalGroups", "SupplementalGroups"),
        ("seLinuxOptions", "SELinuxOptions"),
        ("runAsUser", "RunAsUser"),
        ("fsGroup", "FSGroup"),
    ] {
        if is_set(spec, field) {
            return refuse(format!("pod.Spec.SecurityContext.{name}"));
        }
    }
    for container in spec.list_at("/initContainers").iter().chain(spec.list_at("/containers")) {
        for (field, name) in [("seLinuxOptions", "SELinuxOptions"), ("runAsUser", "RunAsUser")] {
            if is_set(container, field) {
                return refuse(format!("SecurityContext.{name}"));
            }
        }
    }
    Ok(())
}

/// PodResizeValidator: a pod does not grow beyond what its node has.
pub(super) fn resize(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    let applies =
        review.operation == Operation::Update && review.is("", "pods") && review.subresource == "resize";
    let (Some(pod), Some(old)) = (review.new_object().filter(|_| applies), review.old) else {
        return Ok(());
    };
    let name = pod.str_at("/spec/nodeName");
    if name.is_empty() || pod.generation() == old.generation() {
        return Ok(());
    }
    let Some(node) = tools.informers.nodes.get(None, name) else {
        return Err(forbidden(review, format_args!("node {name:?} not found")));
    };
    let refuse = |why: String, cause: &str| {
        let mut status = forbidden(review, why);
        status.push_cause(cause, "", "");
        Err(status)
    };
    if let Some(os) = node.label(OS).filter(|os| *os != "linux") {
        let why = format!("pod resize is only supported on linux nodes, node {name:?} is {os:?}");
        return refuse(why, "UnsupportedPlatform");
    }
    let (requests, allocatable) =
        (amounts::of_pod(pod, Side::Requests), amounts::read(node.at("/status/allocatable")));
    let mut short = Vec::new();
    for resource in ["cpu", "memory"] {
        let (asked, there) = (requests.get(resource).copied(), allocatable.get(resource).copied());
        let is_more = asked.map_or(0, |q| q.nanos()) > there.map_or(0, |q| q.nanos());
        if is_more {
            let whole = |q: Option<api::quantity::Quantity>| {
                q.map_or(0, |q| if resource == "cpu" { q.milli() } else { q.value() })
            };
            short.push(format!("{resource}, requested: {}, allocatable: {}", whole(asked), whole(there)));
        }
    }
    if short.is_empty() {
        return Ok(());
    }
    let why = format!("node didn't have enough allocatable resources: {}", short.join("; "));
    refuse(why, "NodeCapacity")
}
