//! `pods/eviction`: a deletion that asks first whether a disruption budget allows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use api::{object::ObjectExt, selector::LabelSelector, status::Status};
use http::Response;
use serde_json::{Value, json};
use wire::Body;
use world::rfc3339;

use super::{
    delete::{self, DeleteOptions},
    fetch,
    update::change,
    wanted,
};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{
        Permitted, Refusal, WriteOptions, content_type, expect_kind, parse_object, read_body, write::Scope,
    },
};

/// Evictions that the controller has not confirmed (`MaxDisruptedPodSize`).
const MOST_DISRUPTED: usize = 2000;
/// How often an eviction begins anew because its pod has changed meanwhile, and how long it waits for that.
const ATTEMPTS: u32 = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);

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
    let mut tries = 1;
    loop {
        match attempt(ctx, &scope, delete.clone()).await? {
            None => break,
            // Upstream's EvictionsRetry.
            Some(_) if tries < ATTEMPTS => tries += 1,
            Some(conflict) => return Err(conflict.into()),
        }
        ctx.host.clock().sleep(ctx.host.entropy().jitter(BETWEEN_ATTEMPTS, 0.1)).await;
    }
    let success =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(wanted.value(201, &success))
}

/// One attempt. A conflict is returned where the pod that no budget had to be asked about has changed meanwhile: as
/// it is now it may be another matter.
async fn attempt(ctx: &Ctx, scope: &Scope<'_>, mut delete: DeleteOptions) -> Result<Option<Status>, Status> {
    let pods = scope.consequence(scope.served.clone(), &scope.name, "");
    let pod = fetch(ctx, &scope.served, &scope.namespace, &scope.name).await?.object;
    let own_version = delete.resource_version.is_some();
    let phase = pod.str_at("/status/phase");
    if matches!(phase, "Succeeded" | "Failed") || pod.is_terminating() {
        return delete::remove(ctx, &pods, &delete).await.map(|_| None);
    }
    // A disruption that no budget counts is one of the pod as it was read: it may be ready by now.
    if phase == "Pending" {
        delete.resource_version.get_or_insert_with(|| pod.resource_version().to_owned());
        return match delete::remove(ctx, &pods, &delete).await {
            Err(conflict) if conflict.is_conflict() && !own_version => Ok(Some(conflict)),
            outcome => outcome.map(|_| None),
        };
    }
    let uncharged = ask_budget(ctx, scope, &pod).await?;
    if uncharged.is_some() {
        delete.resource_version.get_or_insert_with(|| pod.resource_version().to_owned());
    }
    let gone = async {
        if !scope.options.dry_run {
            announce(ctx, scope, &pod, &mut delete).await?;
        }
        delete::remove(ctx, &pods, &delete).await
    };
    match (gone.await, uncharged) {
        // The client is to come again, and then the pod is judged as it is.
        (Err(conflict), Some(budget)) if conflict.is_conflict() && !own_version => {
            Err(still_processed(&budget))
        }
        (outcome, _) => outcome.map(|_| None),
    }
}

/// Whoever counts pods learns that this one does not end by its own fault. Who insists on a version means the one
/// that comes of it.
async fn announce(
    ctx: &Ctx,
    scope: &Scope<'_>,
    pod: &Value,
    delete: &mut DeleteOptions,
) -> Result<(), Status> {
    let now = rfc3339(ctx.host.clock().wall());
    let status = scope.consequence(scope.served.clone(), &scope.name, "status");
    let told = change(ctx, &status, |stored| {
        delete::preconditions(scope, delete, &stored.object)?;
        if stored.object.uid() != pod.uid() {
            return Ok(Value::clone(&stored.object));
        }
        let mut next = Value::clone(&stored.object);
        let mut conditions = next.list_at("/status/conditions").to_vec();
        conditions.retain(|c| c.str_at("/type") != "DisruptionTarget");
        conditions.push(json!({
            "lastProbeTime": null,
            "lastTransitionTime": now,
            "message": "Eviction API: evicting",
            "reason": "EvictionByEvictionAPI",
            "status": "True",
            "type": "DisruptionTarget",
        }));
        next.set_at("/status/conditions", conditions);
        Ok(next)
    });
    match told.await {
        Ok(told) => {
            if let Some(version) = &mut delete.resource_version {
                *version = told.revision().to_string();
            }
            Ok(())
        }
        Err(status) if status.is_not_found() => Ok(()),
        Err(status) => Err(status),
    }
}

fn is_true(object: &Value, kind: &str) -> bool {
    let conditions = object.list_at("/status/conditions");
    conditions.iter().any(|c| c.str_at("/type") == kind && c.str_at("/status") == "True")
}

/// Takes one disruption from the budget that covers the pod, so that the next eviction does not count
/// on it too before the controller has looked; refuses when nothing is left. The name of the budget that lets go
/// of the pod without counting it, because it is not ready.
async fn ask_budget(ctx: &Ctx, scope: &Scope<'_>, pod: &Value) -> Result<Option<String>, Status> {
    let Some(served) = ctx.catalog.find("policy", "v1", "poddisruptionbudgets") else { return Ok(None) };
    let (budgets, _) = ctx.caches.list(&served, pod.namespace())?;
    let mut covering = Vec::new();
    for budget in budgets {
        let budget = budget.object()?;
        let selector = budget.at("/spec/selector").cloned().unwrap_or(Value::Null);
        if LabelSelector::from_object(&selector).is_ok_and(|s| s.matches(pod)) {
            covering.push(budget.name().to_owned());
        }
    }
    let name = match covering.as_slice() {
        [] => return Ok(None),
        [name] => name,
        _ => {
            return Err(Status::unclassified(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    };
    let now = rfc3339(ctx.host.clock().wall());
    let budget = scope.consequence(served, name, "status");
    let uncharged = AtomicBool::new(false);
    let decided = change(ctx, &budget, |stored| {
        let stored = &stored.object;
        let free = !is_true(pod, "Ready") && unready_may_go(stored);
        uncharged.store(free, Relaxed);
        if free {
            return Ok(Value::clone(stored));
        }
        let allowed = left(stored)? - 1;
        if scope.options.dry_run {
            return Ok(Value::clone(stored));
        }
        let mut next = Value::clone(stored);
        next.set_at("/status/disruptionsAllowed", allowed);
        if !next.at("/status/disruptedPods").is_some_and(Value::is_object) {
            next.set_at("/status/disruptedPods", json!({}));
        }
        if let Some(disrupted) = next.pointer_mut("/status/disruptedPods").and_then(Value::as_object_mut) {
            // When the controller does not see the pod go, it forgives the eviction after a while.
            disrupted.insert(pod.name().to_owned(), now.clone().into());
        }
        Ok(next)
    });
    match decided.await {
        // The budget went meanwhile.
        Err(status) if status.is_not_found() => Ok(None),
        outcome => outcome.map(|_| uncharged.load(Relaxed).then(|| name.clone())),
    }
}

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// A refusal that waiting is enough for: upstream's clients come back by themselves when they are told when.
fn still_processed(budget: &str) -> Status {
    let mut status = Status::too_many_requests(REFUSED, 10);
    let cause = format!("The disruption budget {budget} is still being processed by the server.");
    status.push_cause("DisruptionBudget", &cause, "");
    status
}

/// Whether the budget lets go of pods that are not ready, disruptions or not.
fn unready_may_go(budget: &Value) -> bool {
    let number = |at: &str| budget.i64_at(at).unwrap_or(0);
    let desired = number("/status/desiredHealthy");
    budget.str_at("/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow"
        || desired > 0 && number("/status/currentHealthy") >= desired
}

/// How many disruptions are left, at least one (`checkAndDecrement`).
fn left(budget: &Value) -> Result<i64, Status> {
    let number = |at: &str| budget.i64_at(at).unwrap_or(0);
    let name = budget.name();
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Err(still_processed(name));
    }
    let allowed = number("/status/disruptionsAllowed");
    if allowed < 0 {
        return Err(Status::forbidden(
            "poddisruptionbudgets.policy",
            name,
            "pdb disruptions allowed is negative",
        ));
    }
    if budget.at("/status/disruptedPods").and_then(Value::as_object).is_some_and(|d| d.len() > MOST_DISRUPTED)
    {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden("poddisruptionbudgets.policy", name, why));
    }
    if allowed == 0 {
        let conditions = budget.list_at("/status/conditions");
        let failed = conditions
            .iter()
            .find(|c| c.str_at("/type") == "DisruptionAllowed" && c.str_at("/reason") == "SyncFailed");
        let cause = match failed {
            Some(condition) => format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
                condition.str_at("/message")
            ),
            None => format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                number("/status/desiredHealthy"),
                number("/status/currentHealthy")
            ),
        };
        let mut status = Status::too_many_requests(REFUSED, 0);
        status.push_cause("DisruptionBudget", &cause, "");
        return Err(status);
    }
    Ok(allowed)
}
