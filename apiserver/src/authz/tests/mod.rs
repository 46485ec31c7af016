//! The chain as a whole, and each of its parts by rows.

mod abac;
mod chain;
mod configuration;
mod decisions;
mod escalation;
mod node;
mod properties;
mod rbac;
mod review;
mod webhook;

use client::Informer;
use serde_json::{Value, json};

use api::profile::Profile;
use futures::FutureExt as _;

use super::{Attributes, Authz, Mode};
use crate::{identity::User, informers::Informers};

/// A question about a resource, written `verb resource/sub namespace name`; `-` leaves a part empty.
/// A resource of a group is written `deployments.apps`.
fn ask<'a>(user: &'a User, question: &'a str) -> Attributes<'a> {
    let mut words = question.split(' ').map(|word| if word == "-" { "" } else { word });
    let mut next = || words.next().unwrap_or_default();
    let verb = next();
    let resource = next();
    let (qualified, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = qualified.split_once('.').unwrap_or((qualified, ""));
    Attributes {
        verb,
        group,
        version: "v1",
        resource,
        subresource,
        namespace: next(),
        name: next(),
        resource_request: true,
        ..Attributes::of(user)
    }
}

fn role(kind: &str, namespace: &str, name: &str, rules: Value) -> Value {
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "rules": rules})
}

fn binding(namespace: &str, name: &str, role_kind: &str, role: &str, subjects: Value) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": subjects,
    })
}

fn user(name: &str) -> Value {
    json!([{"kind": "User", "name": name}])
}

/// Informers with `pods: get` as a cluster role and as a role in `ns`, and who holds what.
fn informers() -> Informers {
    let get_pods = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    Informers {
        cluster_roles: Informer::fixed(vec![
            role("ClusterRole", "", "pod-reader", get_pods.clone()),
            role("ClusterRole", "", "metrics", json!([{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}])),
        ]),
        roles: Informer::fixed(vec![role("Role", "ns", "local-reader", get_pods)]),
        cluster_role_bindings: Informer::fixed(vec![
            binding(
                "",
                "readers",
                "ClusterRole",
                "pod-reader",
                json!([
                    {"kind": "Group", "name": "dev"},
                    {"kind": "ServiceAccount", "name": "robot", "namespace": "ns"},
                ]),
            ),
            binding("", "scrapers", "ClusterRole", "metrics", user("prometheus")),
            binding("", "broken", "ClusterRole", "gone", user("joe")),
        ]),
        role_bindings: Informer::fixed(vec![
            binding("ns", "local", "Role", "local-reader", user("jane")),
            binding(
                "ns",
                "of-cluster-role",
                "ClusterRole",
                "pod-reader",
                json!([{"kind": "ServiceAccount", "name": "worker"}]),
            ),
            binding("ns", "broken-too", "Role", "gone", user("joe")),
        ]),
        ..Informers::empty()
    }
}

fn authz(modes: &[Mode], informers: &Informers) -> Authz {
    Authz::new(Profile::NEWEST, modes, informers).unwrap()
}

/// What an authorizer answers that asks nobody else.
fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("only webhooks are waited for")
}

fn rbac_only(informers: &Informers) -> Authz {
    authz(&[Mode::Rbac], informers)
}
