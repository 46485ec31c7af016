//! OwnerReferencesPermissionEnforcement: who hands an object to an owner could delete it, and who lets the
//! owner's deletion wait for it could change the owner's finalizers.

use api::{
    object::{ObjectExt as _, OwnerRef, version_of},
    status::Status,
};
use serde_json::Value;

use super::{Operation, Review, Tools, refusal::forbidden};
use crate::authz::Attributes;

const AT: &str = "/metadata/ownerReferences";

pub(super) async fn validate(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    let is_write = matches!(review.operation, Operation::Create | Operation::Update);
    // Old kubelets lose the owners of pods when they write their status; the pod's own rules keep them.
    let is_exempt = review.is("", "pods") && review.subresource == "status";
    let Some(new) = review.new_object().filter(|_| is_write && !is_exempt) else { return Ok(()) };
    let before = review.old.map(|old| old.list_at(AT)).unwrap_or_default();
    if new.list_at(AT) == before {
        return Ok(());
    }
    if review.operation == Operation::Update {
        let request = Attributes {
            verb: "delete",
            group: review.group,
            version: review.version,
            resource: review.resource,
            subresource: review.subresource,
            namespace: review.namespace,
            name: review.name,
            resource_request: true,
            ..Attributes::of(review.user)
        };
        allowed(tools, review, &request, "cannot set an ownerRef on a resource you can't delete").await?;
    }
    for owner in new.list_at(AT).iter().filter(|owner| is_newly_blocking(owner, before)) {
        let owner = OwnerRef::read(owner);
        let version = version_of(owner.api_version);
        let Some(kind) = tools.catalog.by_kind(owner.group(), version, owner.kind) else {
            return Err(forbidden(
                review,
                format_args!(
                    "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for \
                     APIVersion {} Kind {}: no matches for kind {:?} in version {:?}",
                    owner.api_version, owner.kind, owner.kind, owner.api_version
                ),
            ));
        };
        let request = Attributes {
            verb: "update",
            group: &kind.group,
            version: &kind.version,
            resource: &kind.plural,
            subresource: "finalizers",
            namespace: if kind.namespaced { review.namespace } else { "" },
            name: owner.name,
            resource_request: true,
            ..Attributes::of(review.user)
        };
        let why = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set \
                   finalizers on";
        allowed(tools, review, &request, why).await?;
    }
    Ok(())
}

/// Blocking, and not held as blocking before.
fn is_newly_blocking(owner: &Value, before: &[Value]) -> bool {
    let blocks = |owner: &Value| owner.bool_at("/blockOwnerDeletion");
    let held = before.iter().find(|held| held.str_at("/uid") == owner.str_at("/uid"));
    blocks(owner) && !held.is_some_and(blocks)
}

/// The authorizer's reason and error are part of the sentence, empty ones too.
async fn allowed(
    tools: &Tools,
    review: &Review<'_>,
    request: &Attributes<'_>,
    why: &str,
) -> Result<(), Status> {
    let verdict = tools.authz.authorize(request).await;
    if verdict.is_allowed() {
        return Ok(());
    }
    let errors = match verdict.errors.as_slice() {
        [] => "<nil>".to_owned(),
        errors => errors.join(", "),
    };
    Err(forbidden(review, format_args!("{why}: {}, {errors}", verdict.reason)))
}
