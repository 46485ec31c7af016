//! The default roles and bindings in namespaces: leader locks, bootstrap tokens, and who may read
//! how the server authenticates.

use serde_json::Value;

use super::spec::{EVENTS, READ, Role, Subject, Subject::*, named, on, role, role_binding};

const SYSTEM: &str = "kube-system";
const PUBLIC: &str = "kube-public";

/// Namespace and role.
pub(super) const ROLES: &[(&str, Role)] = &[
    (
        SYSTEM,
        role(
            "extension-apiserver-authentication-reader",
            &[named(READ, "core", "configmaps", "extension-apiserver-authentication")],
        ),
    ),
    (SYSTEM, role("system:controller:bootstrap-signer", &[on(READ, "core", "secrets")])),
    (SYSTEM, role("system:controller:cloud-provider", &[on("create get list watch", "core", "configmaps")])),
    (
        SYSTEM,
        role("system:controller:token-cleaner", &[on("get list watch delete", "core", "secrets"), EVENTS]),
    ),
    (
        SYSTEM,
        role(
            "system::leader-locking-kube-controller-manager",
            &[
                on("watch", "core", "configmaps"),
                named("get update", "core", "configmaps", "kube-controller-manager"),
            ],
        ),
    ),
    (
        SYSTEM,
        role(
            "system::leader-locking-kube-scheduler",
            &[on("watch", "core", "configmaps"), named("get update", "core", "configmaps", "kube-scheduler")],
        ),
    ),
    (
        PUBLIC,
        role(
            "system:controller:bootstrap-signer",
            &[on(READ, "core", "configmaps"), named("update", "core", "configmaps", "cluster-info"), EVENTS],
        ),
    ),
];

/// A binding in a namespace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    namespace: &'static str,
    name: &'static str,
    role: &'static str,
    subjects: &'static [Subject],
}

impl Binding {
    pub(super) fn to_value(self) -> Value {
        role_binding(self.namespace, self.name, self.role, self.subjects)
    }
}

/// A binding named after its role.
const fn bind(namespace: &'static str, role: &'static str, subjects: &'static [Subject]) -> Binding {
    Binding { namespace, name: role, role, subjects }
}

pub(super) const ROLE_BINDINGS: &[Binding] = &[
    Binding {
        namespace: SYSTEM,
        name: "system::extension-apiserver-authentication-reader",
        role: "extension-apiserver-authentication-reader",
        subjects: &[User("system:kube-controller-manager"), User("system:kube-scheduler")],
    },
    bind(
        SYSTEM,
        "system::leader-locking-kube-controller-manager",
        &[User("system:kube-controller-manager"), ServiceAccount(SYSTEM, "kube-controller-manager")],
    ),
    bind(
        SYSTEM,
        "system::leader-locking-kube-scheduler",
        &[User("system:kube-scheduler"), ServiceAccount(SYSTEM, "kube-scheduler")],
    ),
    bind(SYSTEM, "system:controller:bootstrap-signer", &[ServiceAccount(SYSTEM, "bootstrap-signer")]),
    bind(SYSTEM, "system:controller:cloud-provider", &[ServiceAccount(SYSTEM, "cloud-provider")]),
    bind(SYSTEM, "system:controller:token-cleaner", &[ServiceAccount(SYSTEM, "token-cleaner")]),
    bind(PUBLIC, "system:controller:bootstrap-signer", &[ServiceAccount(SYSTEM, "bootstrap-signer")]),
];
