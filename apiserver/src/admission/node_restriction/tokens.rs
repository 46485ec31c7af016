//! Tokens that a kubelet asks for: bound to a pod on its node, for an audience that the pod needs.

use api::object::ObjectExt as _;
use client::Resource;
use serde_json::Value;

use super::{Answer, not_found};
use crate::{
    admission::{Operation, Review, Tools},
    authz::{Attributes, pod_references, rbac::aggregate},
};

const CLAIMS: Resource = Resource::core("persistentvolumeclaims");
const VOLUMES: Resource = Resource::core("persistentvolumes");
const DRIVERS: Resource = Resource::new("storage.k8s.io", "v1", "csidrivers");

pub(super) async fn judge(tools: &Tools, review: &Review<'_>, node: &str) -> Answer {
    if review.operation != Operation::Create || review.subresource != "token" {
        return Ok(());
    }
    let Some(request) = review.new_object() else { return Ok(()) };
    let bound = |field: &str| request.str_at(&format!("/spec/boundObjectRef/{field}"));
    if bound("apiVersion") != "v1" || bound("kind") != "Pod" || bound("name").is_empty() {
        return Err("node requested token not bound to a pod".into());
    }
    let uid = bound("uid");
    if uid.is_empty() {
        return Err("node requested token with a pod binding without a uid".into());
    }
    let Some(pod) = tools.informers.pods.get(review.namespace, bound("name")) else {
        return Err(not_found("pod", bound("name")));
    };
    if pod.uid() != uid {
        return Err(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might \
             have been deleted and then recreated"
        )
        .into());
    }
    if pod.str_at("/spec/nodeName") != node {
        return Err("node requested token bound to a pod scheduled on a different node".into());
    }
    if !tools.profile.node_audience_restricted() {
        return Ok(());
    }
    audience(tools, review, request, &pod).await
}

/// A kubelet asks for the audiences that its pods need, or that somebody granted it.
async fn audience(tools: &Tools, review: &Review<'_>, request: &Value, pod: &Value) -> Answer {
    let audiences: Vec<&str> = request.list_at("/spec/audiences").iter().filter_map(Value::as_str).collect();
    let asked = match audiences.as_slice() {
        [] => "",
        [one] => one,
        _ => return Err("node may only request 0 or 1 audiences".into()),
    };
    let needed = needs(tools, review.namespace, pod, asked)
        .await
        .map_err(|why| format!("error validating audience {asked:?}: {why}"))?;
    let question = Attributes {
        verb: "request-serviceaccounts-token-audience",
        resource: asked,
        namespace: review.namespace,
        name: review.name,
        resource_request: true,
        ..Attributes::of(review.user)
    };
    if needed || tools.authz.authorize(&question).await.is_allowed() {
        return Ok(());
    }
    Err(format!(
        "audience {asked:?} not found in pod spec volume, {} is not authorized to request tokens for this audience",
        review.user.name
    )
    .into())
}

/// Whether a volume of the pod projects a token for the audience, or is of a driver that is handed one.
///
/// # Errors
/// No volume does, and of some it could not be found out.
async fn needs(tools: &Tools, namespace: &str, pod: &Value, audience: &str) -> Result<bool, String> {
    let projected = pod_references::projected_sources(pod)
        .filter(|source| source.get("serviceAccountToken").is_some())
        .any(|source| source.str_at("/serviceAccountToken/audience") == audience);
    if projected {
        return Ok(true);
    }
    let mut errors = Vec::new();
    for volume in pod.list_at("/spec/volumes") {
        match is_handed(tools, namespace, pod, volume, audience).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(why) => errors.push(why),
        }
    }
    if errors.is_empty() { Ok(false) } else { Err(aggregate(&errors)) }
}

/// Whether the driver of a volume (its own, or that of the claim behind it) is handed tokens for the audience.
async fn is_handed(
    tools: &Tools,
    namespace: &str,
    pod: &Value,
    volume: &Value,
    audience: &str,
) -> Result<bool, String> {
    let get = async |resource: &Resource, namespace: Option<&str>, name: &str| {
        tools.rest.get(resource, namespace, name).await.map_err(|error| error.to_string())
    };
    let driver = match volume.str_at("/csi/driver") {
        "" => {
            let claim = if volume.at("/ephemeral/volumeClaimTemplate").is_some() {
                format!("{}-{}", pod.name(), volume.str_at("/name"))
            } else {
                volume.str_at("/persistentVolumeClaim/claimName").to_owned()
            };
            if claim.is_empty() {
                return Ok(false);
            }
            let claim = get(&CLAIMS, Some(namespace), &claim).await?;
            let volume = get(&VOLUMES, None, claim.str_at("/spec/volumeName")).await?;
            volume.str_at("/spec/csi/driver").to_owned()
        }
        driver => driver.to_owned(),
    };
    if driver.is_empty() {
        return Ok(false);
    }
    let driver = get(&DRIVERS, None, &driver).await?;
    let requests = driver.list_at("/spec/tokenRequests");
    Ok(requests.iter().any(|request| request.str_at("/audience") == audience))
}
