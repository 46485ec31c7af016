//! `status.typeChecking` of validating policies: whether their expressions fit the kinds that they mean.
//!
//! Upstream's controller-manager looks at that; here expressions are the apiserver's alone, so it does,
//! through its loopback client as the controller would. What it finds is told and changes nothing else.

use std::{collections::BTreeSet, sync::Arc};

use api::object::{ObjectExt as _, group_of, version_of};
use client::{Change, ClientError, Next, Patch, QueueOptions, Resource, WorkQueue, run_workers};
use serde_json::{Value, json};

use super::compile::environment;
use crate::{
    catalog::{Catalog, Nature, Served},
    cel::{Decl, Environment, Type},
    context::Ctx,
    openapi::Inlined,
};

/// So many kinds are looked at for one policy.
const MOST_KINDS: usize = 10;
const WORKERS: usize = 1;

/// Follows the policies from when the informer holds them.
pub(crate) fn start(ctx: &Ctx) {
    let ctx = ctx.clone();
    let host = ctx.host.clone();
    host.spawn(async move {
        let informer = &ctx.informers.validating_policies;
        informer.synced().await;
        let queue = WorkQueue::new(&ctx.host, QueueOptions::default());
        let changed = queue.clone();
        informer.on(move |change: &Change| changed.add(change.key()));
        let worker = ctx.clone();
        run_workers(&ctx.host, WORKERS, &queue, move |name| {
            let ctx = worker.clone();
            async move { sync(&ctx, &name).await }
        });
    });
}

async fn sync(ctx: &Ctx, name: &str) -> Result<Next, ClientError> {
    let Some(policy) = ctx.informers.validating_policies.get(None, name) else { return Ok(Next::OnChange) };
    let generation = policy.i64_at("/metadata/generation").unwrap_or(0);
    if policy.i64_at("/status/observedGeneration") == Some(generation) {
        return Ok(Next::OnChange);
    }
    let warnings = warnings(&ctx.catalog, &policy);
    let checked = if warnings.is_empty() { json!({}) } else { json!({ "expressionWarnings": warnings }) };
    let status = json!({ "status": { "observedGeneration": generation, "typeChecking": checked } });
    let resource = Resource::new("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies");
    ctx.rest.patch(&resource, None, name, Patch::Merge(&status), Some("status")).await?;
    Ok(Next::OnChange)
}

/// A kind that is looked at, and its type.
struct Checked {
    group: String,
    version: String,
    kind: String,
    decl: Arc<Decl>,
}

/// `status.typeChecking.expressionWarnings`.
fn warnings(catalog: &Catalog, policy: &Value) -> Vec<Value> {
    let kinds = kinds(catalog, policy);
    if kinds.is_empty() {
        return Vec::new();
    }
    let params = params(catalog, policy);
    let environments: Vec<(&Checked, Environment)> =
        kinds.iter().map(|kind| (kind, typed(policy, kind, params.as_ref()))).collect();
    let mut found = Vec::new();
    for (index, validation) in policy.list_at("/spec/validations").iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let source = validation.get(field).and_then(Value::as_str).unwrap_or_default();
            if source.is_empty() {
                continue;
            }
            let complaints: Vec<String> = environments
                .iter()
                .filter_map(|(kind, environment)| {
                    let why = environment.compile(source).err()?;
                    Some(format!("{}/{}, Kind={}: {why}\n", kind.group, kind.version, kind.kind))
                })
                .collect();
            if !complaints.is_empty() {
                let place = format!("spec.validations[{index}].{field}");
                found.push(json!({ "fieldRef": place, "warning": complaints.join("\n") }));
            }
        }
    }
    found
}

/// The kinds that a policy's rules name without stars, by group, version and kind.
fn kinds(catalog: &Catalog, policy: &Value) -> Vec<Checked> {
    let mut named = BTreeSet::new();
    for rule in policy.list_at("/spec/matchConstraints/resourceRules") {
        let list = |field: &str| {
            let mut names: Vec<&str> = rule.list_at(field).iter().filter_map(Value::as_str).collect();
            names.sort_unstable();
            names
        };
        let (groups, versions) = (list("/apiGroups"), list("/apiVersions"));
        if groups.iter().chain(&versions).any(|name| name.contains('*')) {
            continue;
        }
        let resources: Vec<&str> =
            list("/resources").into_iter().filter(|name| !name.contains(['*', '/'])).collect();
        for group in &groups {
            for version in &versions {
                for resource in &resources {
                    if let Some(served) = catalog.find(group, version, resource)
                        && named.len() < MOST_KINDS
                    {
                        let kind = served.kind.to_string();
                        named.insert(((*group).to_owned(), (*version).to_owned(), kind));
                    }
                }
            }
        }
    }
    let schemas = Inlined::unpack();
    let checked = |(group, version, kind): (String, String, String)| {
        let served = catalog.by_kind(&group, &version, &kind)?;
        let decl = decl(&schemas, &served)?;
        Some(Checked { group, version, kind, decl })
    };
    named.into_iter().filter_map(checked).collect()
}

/// The type of a kind's objects, if its schema is known.
fn decl(schemas: &Inlined, served: &Served) -> Option<Arc<Decl>> {
    let decl = match &served.nature {
        Nature::BuiltIn(kind) => {
            Decl::new(&schemas.kind(kind.group, kind.version, kind.kind)?, false, kind.kind)?
        }
        Nature::Custom(custom) => Decl::new(custom.schema(), true, &served.kind)?,
    };
    Some(Arc::new(decl))
}

fn params(catalog: &Catalog, policy: &Value) -> Option<Arc<Decl>> {
    let api_version = policy.str_at("/spec/paramKind/apiVersion");
    let kind = policy.str_at("/spec/paramKind/kind");
    let served = catalog.by_kind(group_of(api_version), version_of(api_version), kind)?;
    decl(&Inlined::unpack(), &served)
}

/// What expressions may name when the object is of that kind.
fn typed(policy: &Value, kind: &Checked, params: Option<&Arc<Decl>>) -> Environment {
    let mut environment =
        environment(params.is_some(), true).with("object", &kind.decl).with("oldObject", &kind.decl);
    if let Some(params) = params {
        environment = environment.with("params", params);
    }
    for variable in policy.list_at("/spec/variables") {
        let compiled = environment.compile(variable.str_at("/expression"));
        let ty = compiled.map_or(Type::Dyn, |program| program.ty().clone());
        environment.compose(variable.str_at("/name"), &ty);
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_held_against_the_kinds_that_are_meant() {
        #[track_caller]
        fn check(rule: Value, validation: Value, expected: &[(&str, &str)]) {
            let policy = json!({"spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "variables": [{"name": "replicas", "expression": "object.spec.replicas"}],
                "validations": [validation],
            }});
            let found = warnings(&Catalog::builtin(), &policy);
            let found: Vec<(&str, &str)> =
                found.iter().map(|w| (w.str_at("/fieldRef"), w.str_at("/warning"))).collect();
            assert_eq!(found, expected);
        }
        let rule = |versions: Value, resources: Value| json!({"apiGroups": ["apps"], "apiVersions": versions, "resources": resources, "operations": ["*"]});
        let deployments = || rule(json!(["v1"]), json!(["deployments"]));
        check(deployments(), json!({"expression": "object.spec.replicas <= 5"}), &[]);
        check(deployments(), json!({"expression": "variables.replicas <= 5"}), &[]);
        check(deployments(), json!({"expression": "object.metadata.name == 'a'"}), &[]);
        check(
            deployments(),
            json!({"expression": "object.spec.foo <= 5", "messageExpression": "object.spec.replicas + 'a'"}),
            &[
                (
                    "spec.validations[0].expression",
                    "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'foo'\n | object.spec.foo <= 5\n | ...........^\n",
                ),
                (
                    "spec.validations[0].messageExpression",
                    "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_+_' applied to '(int, string)'\n | object.spec.replicas + 'a'\n | .....................^\n",
                ),
            ],
        );
        // Each kind is told of by itself.
        check(
            rule(json!(["v1"]), json!(["deployments", "daemonsets"])),
            json!({"expression": "object.spec.replicas > 1"}),
            &[(
                "spec.validations[0].expression",
                "apps/v1, Kind=DaemonSet: ERROR: <input>:1:12: undefined field 'replicas'\n | object.spec.replicas > 1\n | ...........^\n",
            )],
        );
        // Stars and what nobody serves are not looked at.
        check(rule(json!(["*"]), json!(["deployments"])), json!({"expression": "object.spec.foo"}), &[]);
        check(rule(json!(["v1"]), json!(["*"])), json!({"expression": "object.spec.foo"}), &[]);
        check(rule(json!(["v9"]), json!(["deployments"])), json!({"expression": "object.spec.foo"}), &[]);
    }
}
