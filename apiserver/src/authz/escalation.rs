//! Nobody grants what they do not hold: the check on writes of roles and bindings.
//!
//! The registry calls it before it stores a role or binding. `system:masters`, the verbs `escalate`
//! and `bind`, and a change of nothing but finalizers and owners pass without it. The writer's own
//! rules come from the informers' index, so somebody who was granted a right a moment ago may be
//! refused until the index has it.

use api::{
    object::ObjectExt as _,
    status::{GroupResource, Status},
};
use serde_json::Value;

use super::{
    Attributes, Authz,
    rbac::aggregate,
    rule::{Rule, compact, covers, quoted},
};
use crate::{identity::MASTERS, policy::GROUP};

/// May `request`'s user write this role or cluster role?
///
/// # Errors
/// 403 that names what is missing.
pub async fn check_role(
    authz: &Authz,
    request: &Attributes<'_>,
    role: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if request.user.is_in(MASTERS) || only_collects_garbage(role, old) {
        return Ok(());
    }
    // By the name in the request, which a POST has none of: a right to escalate named roles makes no new ones.
    let escalate = Attributes { verb: "escalate", subresource: "", ..*request };
    if authz.authorize(&escalate).await.is_allowed() {
        return Ok(());
    }
    let resource = GroupResource { group: GROUP, resource: request.resource };
    let rules: Vec<Rule> = role.list_at("/rules").iter().map(Rule::from_value).collect();
    confirm(authz, request, &rules).map_err(|why| Status::forbidden(resource, role.name(), why))?;
    let gathers = |role: &Value| role.at("/aggregationRule").is_some_and(|rule| !rule.is_null());
    if (gathers(role) || old.is_some_and(gathers))
        && confirm(authz, request, &Rule::full_authority()).is_err()
    {
        let why = "must have cluster-admin privileges to use the aggregationRule";
        return Err(Status::forbidden(resource, role.name(), why));
    }
    Ok(())
}

/// The role that a binding refers to: its resource, and the namespace to look in (empty for a
/// cluster role).
pub fn referenced_role(binding: &Value) -> Option<(&'static str, &str, &str)> {
    let name = binding.str_at("/roleRef/name");
    match binding.str_at("/roleRef/kind") {
        "ClusterRole" => Some(("clusterroles", "", name)),
        "Role" => Some(("roles", binding.namespace(), name)),
        _ => None,
    }
}

/// May `request`'s user write this binding, whose role is `role` as the store has it now?
///
/// # Errors
/// 403 that names what is missing; 404 for the role if the right to `bind` does not make it needless.
pub async fn check_binding(
    authz: &Authz,
    request: &Attributes<'_>,
    binding: &Value,
    old: Option<&Value>,
    role: Option<&Value>,
) -> Result<(), Status> {
    if request.user.is_in(MASTERS) || only_collects_garbage(binding, old) {
        return Ok(());
    }
    let Some((resource, _, name)) = referenced_role(binding) else {
        let why = format!("unsupported role reference kind: {:?}", binding.str_at("/roleRef/kind"));
        return Err(Status::unclassified(why));
    };
    let bind = Attributes {
        verb: "bind",
        group: binding.str_at("/roleRef/apiGroup"),
        resource,
        name,
        subresource: "",
        namespace: request.namespace,
        resource_request: true,
        ..Attributes::of(request.user)
    };
    if authz.authorize(&bind).await.is_allowed() {
        return Ok(());
    }
    let Some(role) = role else {
        return Err(Status::not_found(GroupResource { group: GROUP, resource }, name));
    };
    let rules: Vec<Rule> = role.list_at("/rules").iter().map(Rule::from_value).collect();
    confirm(authz, request, &rules).map_err(|why| {
        Status::forbidden(GroupResource { group: GROUP, resource: request.resource }, binding.name(), why)
    })
}

/// Whether the writer holds all of `rules`; else the sentence about what is missing.
fn confirm(authz: &Authz, request: &Attributes<'_>, rules: &[Rule]) -> Result<(), String> {
    let held = authz.rbac().rules_for(request.user, request.namespace);
    let missing = covers(&held.rules, rules);
    if missing.is_empty() {
        return Ok(());
    }
    let mut missing: Vec<String> = compact(missing).iter().map(Rule::to_string).collect();
    missing.sort();
    missing.dedup();
    let mut why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        request.user.name,
        quoted(&request.user.groups),
        missing.join("\n"),
    );
    if !held.errors.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", aggregate(&held.errors)));
    }
    Err(why)
}

/// The garbage collector must be able to take away finalizers and owners whatever the rules are.
fn only_collects_garbage(new: &Value, old: Option<&Value>) -> bool {
    let Some(old) = old else { return false };
    let stripped = |object: &Value| {
        let mut object = object.clone();
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
            object.remove_at(&format!("/metadata/{field}"));
        }
        object
    };
    stripped(new) == stripped(old)
}
