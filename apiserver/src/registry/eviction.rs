//! `pods/eviction`: a deletion that asks first whether a disruption budget allows it.

use std::sync::Arc;

use api::{
    object::ObjectExt,
    selector::LabelSelector,
    status::{Details, Status},
};
use http::Response;
use serde_json::{Value, json};
use wire::Body;

use super::{
    delete::{self, DeleteOptions},
    fetch, wanted,
};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{
        Permitted, Refusal, WriteOptions, content_type, expect_kind, parse_object, read_body, write::Scope,
    },
};

pub(super) async fn evict(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let mut options = WriteOptions::parse(&permitted.request().query, "CreateOptions")?;
    let media = content_type(permitted.request()).to_owned();
    let mut eviction = parse_object(&read_body(ctx, &permitted).await?, &media)?;
    // kubectl before 1.22 says so, and is heard to this day (`EvictionREST.AcceptsGroupVersion`).
    if eviction.str_at("/apiVersion") == "policy/v1beta1" {
        eviction["apiVersion"] = "policy/v1".into();
    }
    expect_kind(&mut eviction, "policy/v1", "Eviction")?;
    let delete = eviction.get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
    let delete = DeleteOptions::from_value(&delete)?;
    options.dry_run |= delete.dry_run;
    let scope = Scope::new(&permitted, served, options);
    scope.admit_posted(ctx, &mut eviction).await?;
    let pod = fetch(ctx, &scope.served, &scope.namespace, &scope.name).await?;
    let done = matches!(pod.object.str_at("/status/phase"), "Succeeded" | "Failed" | "Pending");
    if !done && !pod.object.is_terminating() {
        ask_budget(ctx, &pod.object)?;
    }
    let pod_scope = scope.on(scope.served.clone(), &scope.name, "");
    delete::remove(ctx, &pod_scope, &delete).await?;
    let success =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(wanted.value(201, &success))
}

/// Refuses when a budget that covers the pod has nothing left.
fn ask_budget(ctx: &Ctx, pod: &Value) -> Result<(), Status> {
    let Some(budgets) = ctx.catalog.find("policy", "v1", "poddisruptionbudgets") else { return Ok(()) };
    let (budgets, _) = ctx.caches.list(&budgets, pod.namespace())?;
    for budget in budgets {
        let budget = budget.object()?;
        let selector = budget.at("/spec/selector").cloned().unwrap_or(Value::Null);
        let covers =
            LabelSelector::from_object(&selector).is_ok_and(|s| !s.is_everything() && s.matches(pod));
        if covers && budget.i64_at("/status/disruptionsAllowed").unwrap_or(0) <= 0 {
            let mut status = Status::too_many_requests(
                "Cannot evict pod as it would violate the pod's disruption budget.",
                10,
            );
            let mut details = Details { retry_after_seconds: 10, ..Details::default() };
            std::mem::swap(status.details.get_or_insert_default(), &mut details);
            status.push_cause(
                "DisruptionBudget",
                &format!(
                    "The disruption budget {} needs {} healthy pods and has {} currently",
                    budget.name(),
                    budget.i64_at("/status/desiredHealthy").unwrap_or(0),
                    budget.i64_at("/status/currentHealthy").unwrap_or(0)
                ),
                "",
            );
            return Err(status);
        }
    }
    Ok(())
}
