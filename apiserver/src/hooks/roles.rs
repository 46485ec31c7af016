//! `rbac/bootstrap-roles`: the default roles and bindings, from the policy table.

use std::time::Duration;

use api::object::ObjectExt;
use client::{ClientError, DeleteParams, Informer, Resource};
use futures::future::join_all;
use serde_json::Value;

use super::AT_ONCE;
use crate::{
    context::Ctx,
    policy::{
        self,
        reconcile::{self, Action},
    },
};

/// How long it is tried, and how often.
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);

const GROUP: &str = policy::GROUP;

type Compare = fn(Option<&Value>, &Value) -> Action;

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    let clock = ctx.host.clock().clone();
    let tries = async {
        loop {
            match reconcile(&ctx).await {
                Ok(()) => return,
                Err(error) => tracing::warn!("unable to initialize roles, trying again: {error}"),
            }
            clock.sleep(RETRY).await;
        }
    };
    match clock.timeout(TIMEOUT, tries).await {
        Ok(()) => Ok(()),
        Err(_) => Err("unable to initialize roles: timed out waiting for the condition".to_owned()),
    }
}

async fn reconcile(ctx: &Ctx) -> Result<(), ClientError> {
    let informers = &ctx.informers;
    let tables: [(&'static str, &Informer, &[Value], Compare); 4] = [
        (
            "clusterroles",
            &informers.cluster_roles,
            policy::cluster_roles(ctx.options.profile),
            reconcile::role,
        ),
        (
            "clusterrolebindings",
            &informers.cluster_role_bindings,
            policy::cluster_role_bindings(ctx.options.profile),
            reconcile::binding,
        ),
        ("roles", &informers.roles, policy::roles(), reconcile::role),
        ("rolebindings", &informers.role_bindings, policy::role_bindings(), reconcile::binding),
    ];
    for (plural, informer, expected, compare) in tables {
        informer.synced().await;
        let mut namespaces: Vec<&str> =
            expected.iter().map(|o| o.namespace()).filter(|n| !n.is_empty()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        for namespace in namespaces {
            if ctx.informers.namespaces.get(None, namespace).is_none() {
                super::ensure_namespace(&ctx.rest, namespace).await?;
            }
        }
        let resource = Resource::new(GROUP, "v1", plural);
        for few in expected.chunks(AT_ONCE) {
            let writes = few.iter().map(|object| write(ctx, &resource, informer, object, compare));
            for result in join_all(writes).await {
                result?;
            }
        }
    }
    Ok(())
}

async fn write(
    ctx: &Ctx,
    resource: &Resource,
    informer: &Informer,
    expected: &Value,
    compare: Compare,
) -> Result<(), ClientError> {
    let namespace = Some(expected.namespace()).filter(|n| !n.is_empty());
    let Some(existing) = informer.get(namespace, expected.name()) else {
        return super::ensure(&ctx.rest, resource, namespace, expected).await;
    };
    match compare(Some(&existing), expected) {
        Action::Nothing => Ok(()),
        Action::Create(object) => super::ensure(&ctx.rest, resource, namespace, &object).await,
        Action::Update(object) => {
            ctx.rest.update(resource, namespace, expected.name(), &object).await.map(drop)
        }
        Action::Recreate(object) => {
            ctx.rest.delete(resource, namespace, object.name(), &DeleteParams::default()).await?;
            ctx.rest.create(resource, namespace, &object).await.map(drop)
        }
    }
}
