//! `kube-apiserver-autoregistration`: an APIService for every group and version that is served here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{kinds, object::ObjectExt};
use client::{Change, ClientError, DeleteParams, QueueOptions, Resource, WorkQueue, run_workers};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY};
use crate::{catalog::Catalog, context::Ctx, hooks};

/// How an object is marked that is kept as it was made.
const LABEL: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Made at the start and left alone afterwards.
const ON_START: &str = "onstart";
/// Made and removed with its custom resources.
const MANAGED: &str = "true";

const RETRY: Duration = Duration::from_secs(1);
/// Workers on custom groups.
const WORKERS: usize = 1;

static RESOURCE: Resource = Resource::new("apiregistration.k8s.io", "v1", "apiservices");

fn local(group: &str, version: &str, group_priority: i64, version_priority: i64, managed: &str) -> Value {
    let mut spec = json!({
        "version": version,
        "groupPriorityMinimum": group_priority,
        "versionPriority": version_priority,
    });
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": { "name": format!("{version}.{group}"), "labels": { LABEL: managed } },
        "spec": spec,
    })
}

/// The API services of the built-in groups that are served.
fn expected(catalog: &Catalog) -> Vec<Value> {
    let known = kinds::group_versions()
        .iter()
        .filter(|gv| gv.has_api_service && catalog.has_version(gv.group, gv.version));
    known
        .map(|gv| local(gv.group, gv.version, gv.group_priority.into(), gv.version_priority.into(), ON_START))
        .collect()
}

/// Posts what is missing and goes on with the groups of custom resources.
pub(crate) async fn run(ctx: Ctx) -> Result<(), String> {
    let informer = &ctx.informers.api_services;
    informer.synced().await;
    follow_definitions(&ctx);
    let expected = expected(&ctx.catalog);
    loop {
        let missing: Vec<_> = expected.iter().filter(|s| !informer.has(None, s.name())).collect();
        let mut outcome = Ok(());
        for few in missing.chunks(hooks::AT_ONCE) {
            let posted = few.iter().map(|service| hooks::ensure(&ctx.rest, &RESOURCE, None, service));
            outcome = join_all(posted).await.into_iter().fold(outcome, Result::and);
        }
        match outcome {
            Ok(()) => break,
            Err(error) => tracing::warn!("unable to register API services, trying again: {error}"),
        }
        ctx.host.clock().sleep(RETRY).await;
    }
    // Registered is what the aggregator itself has seen.
    informer.until(|seen| expected.iter().all(|s| seen.has(None, s.name()))).await;
    Ok(())
}

/// Which custom groups and versions are served, by API service name.
fn custom(ctx: &Ctx) -> BTreeMap<String, (String, String)> {
    let mut out = BTreeMap::new();
    for definition in ctx.informers.crds.list() {
        let established = crate::crd::is_true(&definition, "Established");
        let group = definition.str_at("/spec/group");
        for version in
            definition.list_at("/spec/versions").iter().filter(|v| established && v.bool_at("/served"))
        {
            let name = version.str_at("/name");
            out.insert(format!("{name}.{group}"), (group.to_owned(), name.to_owned()));
        }
    }
    out
}

fn follow_definitions(ctx: &Ctx) {
    let queue = WorkQueue::new(&ctx.host, QueueOptions::default());
    let changed = queue.clone();
    ctx.informers.crds.on(move |change: &Change| {
        let definition = change.object();
        let group = definition.str_at("/spec/group");
        for version in definition.list_at("/spec/versions") {
            changed.add(format!("{}.{group}", version.str_at("/name")));
        }
    });
    let worker = ctx.clone();
    run_workers(&ctx.host, WORKERS, &queue, move |name| {
        let ctx = worker.clone();
        async move { sync(&ctx, &name).await }
    });
}

async fn sync(ctx: &Ctx, name: &str) -> Result<(), ClientError> {
    let there: Option<Arc<Value>> = ctx.informers.api_services.get(None, name);
    match (custom(ctx).get(name), there) {
        (Some((group, version)), None) => {
            let service = local(group, version, CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY, MANAGED);
            hooks::ensure(&ctx.rest, &RESOURCE, None, &service).await
        }
        (None, Some(service)) if service.label(LABEL) == Some(MANAGED) => {
            match ctx.rest.delete(&RESOURCE, None, name, &DeleteParams::uid(service.uid())).await {
                Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_groups_are_registered_by_upstream_s_names() {
        let services = expected(&Catalog::builtin());
        let named = |name: &str| services.iter().find(|s| s.name() == name);
        assert_eq!(named("v1.").unwrap().at("/spec/groupPriorityMinimum"), Some(&json!(18_000)));
        assert_eq!(named("v1.apps").unwrap().str_at("/spec/group"), "apps");
        assert!(named("v2.autoscaling").is_some());
        // The aggregator's own group is nobody's service.
        assert!(named("v1.apiregistration.k8s.io").is_none());
    }
}
