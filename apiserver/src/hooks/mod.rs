//! What the server does after it listens, all at once, through its own front door.
//!
//! Each hook is a health check until it is done. One that fails ends the process.

mod authentication_info;
mod compaction;
pub(crate) mod identity_lease;
mod identity_lease_gc;
pub(crate) mod kubernetes_service;
mod priority_classes;
mod roles;
mod service_cidr;
mod system_namespaces;
mod token_tracking;

use std::collections::BTreeSet;

use client::{ClientError, Resource, Rest};
use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::context::Ctx;

/// After this hook the check `autoregister-completion` is shown.
pub const AUTOREGISTRATION: &str = "kube-apiserver-autoregistration";

/// What a hook of upstream's does here.
enum Work {
    /// This, and the hook is done when it ends.
    Run(fn(Ctx) -> BoxFuture<'static, Result<(), String>>),
    /// Nothing, for this reason: it is done from the start.
    Nothing(&'static str),
}

use Work::{Nothing, Run};

/// All hooks, in the order in which health shows them.
#[rustfmt::skip]
const HOOKS: &[(&str, Work)] = &[
    ("start-apiserver-admission-initializer", Nothing("admission is whole before the server listens")),
    ("generic-apiserver-start-informers", Run(|ctx| informers_synced(ctx).boxed())),
    ("priority-and-fairness-config-consumer", Run(|ctx| crate::flow::consume(ctx).boxed())),
    ("priority-and-fairness-filter", Nothing("seats are counted where they are taken and given back")),
    ("storage-object-count-tracker-hook", Nothing("a list costs the same seats whatever there is to list")),
    ("start-apiextensions-informers", Run(|ctx| definitions_synced(ctx).boxed())),
    ("start-apiextensions-controllers", Run(|ctx| definitions_synced(ctx).boxed())),
    // What was established before a restart is served when the server is ready.
    ("crd-informer-synced", Run(|ctx| crate::crd::follow(ctx).boxed())),
    ("start-system-namespaces-controller", Run(|ctx| system_namespaces::run(ctx).boxed())),
    ("start-cluster-authentication-info-controller", Run(|ctx| authentication_info::run(ctx).boxed())),
    ("start-kube-apiserver-identity-lease-controller", Run(|ctx| identity_lease::run(ctx).boxed())),
    ("start-kube-apiserver-identity-lease-garbage-collector", Run(|ctx| identity_lease_gc::run(ctx).boxed())),
    ("start-legacy-token-tracking-controller", Run(|ctx| token_tracking::run(ctx).boxed())),
    ("start-service-ip-repair-controllers", Run(|ctx| crate::allocate::repair(ctx).boxed())),
    ("rbac/bootstrap-roles", Run(|ctx| roles::run(ctx).boxed())),
    ("scheduling/bootstrap-system-priority-classes", Run(|ctx| priority_classes::run(ctx).boxed())),
    ("priority-and-fairness-config-producer", Run(|ctx| crate::flow::produce(ctx).boxed())),
    ("bootstrap-controller", Run(|ctx| kubernetes_service::run(ctx).boxed())),
    ("start-kubernetes-service-cidr-controller", Run(|ctx| service_cidr::run(ctx).boxed())),
    ("storage-readiness", Run(|ctx| storage_ready(ctx).boxed())),
    ("aggregator-reload-proxy-client-cert", Run(|ctx| api_services_synced(ctx).boxed())),
    ("start-kube-aggregator-informers", Run(|ctx| api_services_synced(ctx).boxed())),
    ("apiservice-status-local-available-controller", Run(|ctx| api_services_synced(ctx).boxed())),
    ("apiservice-status-remote-available-controller", Run(|ctx| api_services_synced(ctx).boxed())),
    ("apiservice-registration-controller", Run(|ctx| api_services_synced(ctx).boxed())),
    ("apiservice-discovery-controller", Run(|ctx| api_services_synced(ctx).boxed())),
    (AUTOREGISTRATION, Run(|ctx| crate::aggregator::register(ctx).boxed())),
    ("apiservice-openapi-controller", Run(|ctx| api_services_synced(ctx).boxed())),
    ("apiservice-openapiv3-controller", Nothing("its documents are made when they are asked for")),
];

/// The names of all hooks, in the order in which health shows them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    HOOKS.iter().map(|(name, _)| *name)
}

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
        let mut done = BTreeSet::new();
        for (name, work) in HOOKS {
            if let Nothing(why) = work {
                tracing::trace!("PostStartHook {name:?} has nothing to do: {why}");
                done.insert(*name);
            }
        }
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

/// Starts all hooks.
pub(crate) fn start(ctx: &Ctx) {
    for (name, work) in HOOKS {
        if let Run(hook) = work {
            run(ctx, name, hook(ctx.clone()));
        }
    }
    crate::admission::policy::types::start(ctx);
    let compactor = ctx.clone();
    ctx.host.spawn(async move { compaction::run(compactor).await });
}

async fn informers_synced(ctx: Ctx) -> Result<(), String> {
    for (_, informer) in ctx.informers.named() {
        informer.synced().await;
    }
    Ok(())
}

async fn storage_ready(ctx: Ctx) -> Result<(), String> {
    ctx.caches.ready().await;
    Ok(())
}

async fn definitions_synced(ctx: Ctx) -> Result<(), String> {
    ctx.informers.crds.synced().await;
    Ok(())
}

/// Upstream's hooks around API services whose work is done as soon as these are known.
async fn api_services_synced(ctx: Ctx) -> Result<(), String> {
    ctx.informers.api_services.synced().await;
    Ok(())
}

/// Runs one hook in a task of its own.
fn run(ctx: &Ctx, name: &'static str, hook: BoxFuture<'static, Result<(), String>>) {
    let ctx = ctx.clone();
    let host = ctx.host.clone();
    host.spawn(async move {
        match hook.await {
            Ok(()) => ctx.hooks.done(name),
            Err(why) => ctx.hooks.fail(name, &why),
        }
    });
}

/// So many writes of one hook at a time: all hooks and watches of the server share the streams of one connection, and what
/// a connection has had under way at once it keeps room for.
pub(crate) const AT_ONCE: usize = 8;

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

/// Creates a config map, and its namespace, unless they are there.
///
/// # Errors
/// As [`ensure`].
pub(crate) async fn ensure_config_map(
    ctx: &Ctx,
    namespace: &str,
    name: &str,
    data: Map<String, Value>,
) -> Result<(), ClientError> {
    if ctx.informers.namespaces.get(None, namespace).is_none() {
        ensure_namespace(&ctx.rest, namespace).await?;
    }
    let object = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace },
        "data": data,
    });
    ensure(&ctx.rest, &Resource::core("configmaps"), Some(namespace), &object).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hook_is_one() {
        let all: BTreeSet<&str> = names().collect();
        assert_eq!(all.len(), HOOKS.len());
        let reasons = HOOKS.iter().filter_map(|(_, work)| match work {
            Nothing(why) => Some(*why),
            Run(_) => None,
        });
        assert!(reasons.into_iter().all(|why| !why.is_empty()));
    }
}
