//! A question to each write of a role or binding, whatever plugins are on: does the writer hold what it
//! grants?
//!
//! As upstream, whose storage of these kinds asks it before anything else: of what the mutating pass made,
//! before the object is validated and before webhooks and quotas see it.

use api::status::Status;
use client::Resource;

use super::{Operation, Review, Tools};
use crate::{
    authz::{
        Attributes,
        escalation::{check_binding, check_role, referenced_role},
    },
    identity::MASTERS,
    policy::GROUP,
};

pub(super) async fn check(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    let applies = review.group == GROUP
        && review.subresource.is_empty()
        && matches!(review.operation, Operation::Create | Operation::Update)
        && !review.user.is_in(MASTERS);
    let Some(object) = review.new_object().filter(|_| applies) else { return Ok(()) };
    let verb = if review.operation == Operation::Create { "create" } else { "update" };
    let request = Attributes {
        verb,
        group: review.group,
        version: review.version,
        resource: review.resource,
        namespace: review.namespace,
        name: review.name,
        resource_request: true,
        ..Attributes::of(review.user)
    };
    match review.resource {
        "roles" | "clusterroles" => check_role(&tools.authz, &request, object, review.old).await,
        "rolebindings" | "clusterrolebindings" => {
            let Some((plural, namespace, name)) = referenced_role(object) else {
                return check_binding(&tools.authz, &request, object, review.old, None).await;
            };
            let namespace = (!namespace.is_empty()).then_some(namespace);
            let informers = &tools.informers;
            let informer = if plural == "roles" { &informers.roles } else { &informers.cluster_roles };
            let role = match informer.get(namespace, name) {
                Some(role) => Some(role),
                // One that was made a moment ago.
                None => {
                    let resource = Resource::new(GROUP, "v1", plural);
                    tools.rest.get(&resource, namespace, name).await.ok().map(std::sync::Arc::new)
                }
            };
            check_binding(&tools.authz, &request, object, review.old, role.as_deref()).await
        }
        _ => Ok(()),
    }
}
