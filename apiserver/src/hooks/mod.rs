//! What the server does after it listens, all at once, through its own front door.
//!
//! Each hook is a health check until it is done. One that fails ends the process.

mod authentication_info;
mod compaction;
pub(crate) mod identity_lease;
pub(crate) mod kubernetes_service;
mod priority_classes;
mod roles;
mod service_cidr;
mod system_namespaces;
mod token_tracking;

use std::{collections::BTreeSet, future::Future};

use client::{ClientError, Resource, Rest};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use crate::context::Ctx;

/// After this hook the check `autoregister-completion` is shown.
pub const AUTOREGISTRATION: &str = "kube-apiserver-autoregistration";

/// All hooks, in the order in which health shows them.
pub const HOOKS: &[&str] = &[
    "start-apiserver-admission-initializer",
    "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter",
    "storage-object-count-tracker-hook",
    "start-apiextensions-informers",
    "start-apiextensions-controllers",
    "crd-informer-synced",
    "start-system-namespaces-controller",
    "start-cluster-authentication-info-controller",
    "start-kube-apiserver-identity-lease-controller",
    "start-kube-apiserver-identity-lease-garbage-collector",
    "start-legacy-token-tracking-controller",
    "start-service-ip-repair-controllers",
    "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes",
    "priority-and-fairness-config-producer",
    "bootstrap-controller",
    "start-kubernetes-service-cidr-controller",
    "storage-readiness",
    "aggregator-reload-proxy-client-cert",
    "start-kube-aggregator-informers",
    "apiservice-status-local-available-controller",
    "apiservice-status-remote-available-controller",
    "apiservice-registration-controller",
    "apiservice-discovery-controller",
    AUTOREGISTRATION,
    "apiservice-openapi-controller",
    "apiservice-openapiv3-controller",
];

/// Hooks of upstream whose work this server does elsewhere or not at all: done from the start.
const NOTHING_TO_DO: &[&str] = &[
    "start-apiserver-admission-initializer",
    "priority-and-fairness-filter",
    "storage-object-count-tracker-hook",
    "start-kube-apiserver-identity-lease-garbage-collector",
    "start-service-ip-repair-controllers",
];

/// Which hooks are done, and whether one failed.
#[derive(Debug)]
pub struct HookBoard {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    done: BTreeSet<&'static str>,
    failure: Option<String>,
}

impl Default for HookBoard {
    fn default() -> Self {
        let done = NOTHING_TO_DO.iter().copied().collect();
        Self { state: Mutex::new(State { done, failure: None }), changed: Notify::new() }
    }
}

impl HookBoard {
    /// Whether the hook is done.
    pub fn is_done(&self, name: &str) -> bool {
        self.state.lock().done.contains(name)
    }

    /// The hook is done: its health check passes from now on.
    pub fn done(&self, name: &'static str) {
        self.state.lock().done.insert(name);
        self.changed.notify_waiters();
    }

    /// The hook failed, which is the end of the server.
    pub fn fail(&self, name: &str, why: &str) {
        self.state.lock().failure.get_or_insert_with(|| format!("PostStartHook {name:?} failed: {why}"));
        self.changed.notify_waiters();
    }

    /// The first failure, if there is one.
    pub fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    /// Whether all hooks are done.
    pub fn all_done(&self) -> bool {
        self.state.lock().done.len() >= HOOKS.len()
    }

    /// Waits until the board differs from what `look` last saw.
    pub async fn wait_until(&self, look: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if look(self) {
                return;
            }
            changed.await;
        }
    }
}

/// Starts all hooks of this crate's core. Those of [`crate::crd`] and [`crate::aggregator`] start there.
pub(crate) fn start(ctx: &Ctx) {
    run(ctx, "generic-apiserver-start-informers", |ctx| async move {
        for (_, informer) in ctx.informers.named() {
            informer.synced().await;
        }
        Ok(())
    });
    run(ctx, "storage-readiness", |ctx| async move {
        ctx.caches.ready().await;
        Ok(())
    });
    run(ctx, "start-system-namespaces-controller", system_namespaces::run);
    run(ctx, "start-cluster-authentication-info-controller", authentication_info::run);
    run(ctx, "start-kube-apiserver-identity-lease-controller", identity_lease::run);
    run(ctx, "start-legacy-token-tracking-controller", token_tracking::run);
    run(ctx, "rbac/bootstrap-roles", roles::run);
    run(ctx, "scheduling/bootstrap-system-priority-classes", priority_classes::run);
    run(ctx, "bootstrap-controller", kubernetes_service::run);
    run(ctx, "start-kubernetes-service-cidr-controller", service_cidr::run);
    run(ctx, "priority-and-fairness-config-consumer", crate::flow::consume);
    run(ctx, "priority-and-fairness-config-producer", crate::flow::produce);
    crate::admission::policy::types::start(ctx);
    let compactor = ctx.clone();
    ctx.host.spawn(async move { compaction::run(compactor).await });
}

/// Runs one hook in a task of its own.
pub fn run<F, Fut>(ctx: &Ctx, name: &'static str, hook: F)
where
    F: FnOnce(Ctx) -> Fut,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let future = hook(ctx.clone());
    let ctx = ctx.clone();
    let host = ctx.host.clone();
    host.spawn(async move {
        match future.await {
            Ok(()) => ctx.hooks.done(name),
            Err(why) => ctx.hooks.fail(name, &why),
        }
    });
}

/// Creates an object unless it is there.
///
/// # Errors
/// What the server says to a create, except that the name is taken.
pub(crate) async fn ensure(
    rest: &Rest,
    resource: &Resource,
    namespace: Option<&str>,
    object: &Value,
) -> Result<(), ClientError> {
    match rest.create_unread(resource, namespace, object).await {
        Ok(()) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a namespace unless it is there.
///
/// # Errors
/// As [`ensure`].
pub(crate) async fn ensure_namespace(rest: &Rest, name: &str) -> Result<(), ClientError> {
    let namespace =
        serde_json::json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    ensure(rest, &Resource::core("namespaces"), None, &namespace).await
}
