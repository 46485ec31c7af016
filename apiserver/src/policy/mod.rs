//! What every cluster is born with: roles, bindings and priority classes, as data and pure functions.
//!
//! The post-start hooks read the tables here, compare them with what the cluster holds, and write
//! the difference through the loopback client. Nothing in this folder does I/O.
//!
//! * [`cluster_roles`] and [`cluster_role_bindings`]: for people and components, and one role per controller.
//! * [`roles`] and [`role_bindings`]: the few that live in `kube-system` and `kube-public`.
//! * [`reconcile`]: what to do about one object; it only ever adds.
//! * [`aggregate`]: how `admin`, `edit` and `view` are put together.
//! * [`priority_classes()`]: the two that the system's own pods use.

pub mod aggregate;
mod controllers;
mod general;
mod namespaced;
pub mod priority_classes;
pub mod reconcile;
mod releases;
mod spec;

use std::sync::{LazyLock, OnceLock};

use api::profile::Profile;
use serde_json::Value;

pub use priority_classes::priority_classes;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// Marks what the server itself put into the cluster.
pub const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");
/// `"false"` on an object keeps the reconcile away from it.
pub const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// Minors from 0 to the newest.
const MINORS: usize = 64;

/// All default cluster roles of a release, aggregated ones with their rules filled in. Put together once in a
/// process: a test binary starts many servers.
pub fn cluster_roles(profile: Profile) -> &'static [Value] {
    static NEWEST: LazyLock<Vec<Value>> = LazyLock::new(put_together);
    static RELEASES: Releases = [const { OnceLock::new() }; MINORS];
    let minor = profile.minor();
    let of_release = || NEWEST.iter().filter_map(|role| releases::cluster_role(minor, role)).collect();
    RELEASES.get(usize::from(minor)).map_or(NEWEST.as_slice(), |held| held.get_or_init(of_release).as_slice())
}

/// Objects by the release that has them.
type Releases = [OnceLock<Vec<Value>>; MINORS];

fn put_together() -> Vec<Value> {
    let mut roles: Vec<Value> = general::CLUSTER_ROLES
        .iter()
        .chain(controllers::CLUSTER_ROLES)
        .map(|role| role.to_cluster_role())
        .collect();
    // `admin` gathers `edit`, and `edit` gathers `view`: repeat until nothing more arrives.
    loop {
        let mut grown = false;
        for i in 0..roles.len() {
            let Some(rules) = aggregate::rules_of(&roles[i], &roles).map(Value::from) else { continue };
            if roles[i]["rules"] != rules {
                roles[i]["rules"] = rules;
                grown = true;
            }
        }
        if !grown {
            return roles;
        }
    }
}

/// All default cluster role bindings of a release: the general ones, and one per controller role. Made once in a process,
/// too.
pub fn cluster_role_bindings(profile: Profile) -> &'static [Value] {
    static NEWEST: LazyLock<Vec<Value>> = LazyLock::new(all_bindings);
    static RELEASES: Releases = [const { OnceLock::new() }; MINORS];
    let minor = profile.minor();
    let of_release = || {
        let of = |binding: &Value| releases::cluster_role_binding(minor, binding.clone());
        NEWEST.iter().filter_map(of).collect()
    };
    RELEASES.get(usize::from(minor)).map_or(NEWEST.as_slice(), |held| held.get_or_init(of_release).as_slice())
}

fn all_bindings() -> Vec<Value> {
    let controllers = controllers::CLUSTER_ROLES.iter().filter_map(|role| {
        let account = role.name.strip_prefix(controllers::PREFIX)?;
        let subject = spec::Subject::ServiceAccount("kube-system", account);
        Some(spec::cluster_role_binding(role.name, &[subject]))
    });
    general::CLUSTER_ROLE_BINDINGS
        .iter()
        .map(|binding| spec::cluster_role_binding(binding.role, binding.subjects))
        .chain(controllers)
        .collect()
}

/// The default roles in namespaces; each carries its namespace.
pub fn roles() -> &'static [Value] {
    static ROLES: LazyLock<Vec<Value>> =
        LazyLock::new(|| namespaced::ROLES.iter().map(|(namespace, role)| role.to_role(namespace)).collect());
    &ROLES
}

/// The default role bindings in namespaces; each carries its namespace.
pub fn role_bindings() -> &'static [Value] {
    static BINDINGS: LazyLock<Vec<Value>> = LazyLock::new(|| {
        namespaced::ROLE_BINDINGS.iter().copied().map(namespaced::Binding::to_value).collect()
    });
    &BINDINGS
}

/// The rules of the node authorizer for whatever it does not subdivide: those of `system:node`.
pub fn node_rules() -> Vec<Value> {
    general::NODE_RULES.iter().copied().map(spec::Rule::to_value).collect()
}

#[cfg(test)]
mod tests;
