//! Priority and fairness: who is carried out now, who waits, and who is sent away.
//!
//! ```text
//!  request ─▶ schema (first that fits) ─▶ level ─▶ seat ─▶ …
//!                                           └─ no seat: the flow's queue, flows take turns
//! ```
//! Simpler than upstream: every flow has a queue of its own instead of a hand of shuffled ones, every
//! request takes one seat, and a level borrows what is free at the moment instead of by a plan that
//! is made every ten seconds. Streams are classified and take no seat.

mod bootstrap;
mod level;
mod page;
mod schema;

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use api::object::ObjectExt;
use client::{Change, Resource};
use futures::future::join_all;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{context::Ctx, hooks, identity::User, informers::Informers, pipeline::RequestInfo};
pub(crate) use level::Seat;
use level::{Level, Shares};
pub(crate) use page::{FlowPage, write};
pub(crate) use schema::Schema;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const SCHEMAS: Resource = Resource::new(GROUP, "v1", "flowschemas");
const LEVELS: Resource = Resource::new(GROUP, "v1", "prioritylevelconfigurations");
const RETRY: Duration = Duration::from_secs(1);
/// How often upstream looks whether its own objects are still there.
const KEEP: Duration = Duration::from_secs(60);

/// The configuration that holds now.
#[derive(Debug, Default)]
struct Plan {
    /// By precedence.
    schemas: Vec<Arc<Schema>>,
    levels: Vec<Arc<Level>>,
}

/// See the module.
#[derive(Debug)]
pub struct Fairness {
    total: usize,
    all: Arc<AtomicUsize>,
    plan: RwLock<Arc<Plan>>,
    changed: Notify,
}

impl Fairness {
    /// With so many seats altogether, and the objects that every server has.
    pub(crate) fn new(total: usize) -> Self {
        let fairness = Self { total, all: Arc::default(), plan: RwLock::default(), changed: Notify::new() };
        fairness.plan(bootstrap::schemas(), bootstrap::levels());
        fairness
    }

    fn plan(&self, schemas: &[Arc<Value>], levels: &[Arc<Value>]) {
        let before = self.plan.read().clone();
        let parts = shares(levels, self.total);
        let mut planned = Vec::new();
        for (object, shares) in levels.iter().zip(parts) {
            let new = Level::read(object, shares, self.total, &self.all);
            // A level that stays as it was keeps those who sit and wait there.
            let same = before.levels.iter().find(|old| {
                (&old.name, &old.uid, old.exempt, old.nominal, old.most, old.queue_length)
                    == (&new.name, &new.uid, new.exempt, new.nominal, new.most, new.queue_length)
            });
            planned.push(same.cloned().unwrap_or_else(|| Arc::new(new)));
        }
        let mut read: Vec<Arc<Schema>> = schemas
            .iter()
            .filter_map(|object| {
                let wanted = object.str_at("/spec/priorityLevelConfiguration/name");
                let level = planned.iter().find(|level| level.name == wanted)?;
                Some(Arc::new(Schema::read(object, level.clone())))
            })
            .collect();
        read.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        *self.plan.write() = Arc::new(Plan { schemas: read, levels: planned });
    }

    /// The schema of a request.
    pub(crate) fn classify(&self, info: &RequestInfo, user: &User) -> Option<Arc<Schema>> {
        let plan = self.plan.read().clone();
        plan.schemas.iter().find(|schema| schema.fits(info, user)).cloned()
    }

    /// A seat for a request of this schema; `None`: it is sent away.
    pub(crate) async fn seat(
        &self,
        ctx: &Ctx,
        schema: &Schema,
        info: &RequestInfo,
        user: &User,
    ) -> Option<Seat> {
        let patience = ctx.options.request_timeout / 4;
        let flow = || schema.flow(info, user);
        schema.level.seat(flow, ctx.host.clock(), patience).await.ok()
    }
}

/// Each level's part of `total`: by its shares, and what the others may lend it.
fn shares(levels: &[Arc<Value>], total: usize) -> Vec<Shares> {
    let of = |object: &Value, field: &str, default: i64| {
        let kind = if object.str_at("/spec/type") == "Exempt" { "exempt" } else { "limited" };
        let default = if kind == "exempt" { 0 } else { default };
        usize::try_from(object.i64_at(&format!("/spec/{kind}/{field}")).unwrap_or(default)).unwrap_or(0)
    };
    let rows: Vec<(usize, usize)> = levels
        .iter()
        .map(|object| (of(object, "nominalConcurrencyShares", 30), of(object, "lendablePercent", 0)))
        .collect();
    let sum: usize = rows.iter().map(|(shares, _)| *shares).fold(0, usize::saturating_add).max(1);
    let nominal = |shares: usize| total.saturating_mul(shares).div_ceil(sum);
    let lendable = |(shares, percent): &(usize, usize)| nominal(*shares) * percent.min(&100) / 100;
    let all: usize = rows.iter().map(lendable).sum();
    rows.iter()
        .map(|row| {
            let (nominal, lent) = (nominal(row.0), all - lendable(row));
            Shares { nominal, most: nominal + lent }
        })
        .zip(levels)
        .map(|(shares, object)| match object.i64_at("/spec/limited/borrowingLimitPercent") {
            Some(percent) => {
                let limit = shares.nominal.saturating_mul(usize::try_from(percent).unwrap_or(0)) / 100;
                Shares { most: shares.most.min(shares.nominal + limit), ..shares }
            }
            None => shares,
        })
        .collect()
}

/// `priority-and-fairness-config-consumer`: follows the objects.
pub(crate) async fn consume(ctx: Ctx) -> Result<(), String> {
    let Some(fairness) = ctx.fairness.clone() else { return Ok(()) };
    let informers = ctx.informers.clone();
    for informer in [&informers.flow_schemas, &informers.priority_levels] {
        let fairness = fairness.clone();
        informer.on(move |_: &Change| fairness.changed.notify_one());
    }
    informers.flow_schemas.synced().await;
    informers.priority_levels.synced().await;
    let host = ctx.host.clone();
    host.spawn(async move {
        loop {
            fairness.changed.notified().await;
            follow(&fairness, &informers);
            if let Err(error) = state(&ctx).await {
                tracing::debug!("flow schemas' conditions cannot be written: {error}");
            }
        }
    });
    Ok(())
}

fn follow(fairness: &Fairness, informers: &Informers) {
    let (schemas, levels) = (informers.flow_schemas.list(), informers.priority_levels.list());
    // While the objects are being made, those that are missing hold all the same.
    let missing = |have: &[Arc<Value>], all: &[Arc<Value>]| -> Vec<Arc<Value>> {
        let there = |object: &Value| have.iter().any(|o| o.name() == object.name());
        let mandatory = |name: &str| matches!(name, "exempt" | "catch-all");
        all.iter().filter(|object| mandatory(object.name()) && !there(object)).cloned().collect()
    };
    let schemas = [missing(&schemas, bootstrap::schemas()), schemas].concat();
    let levels = [missing(&levels, bootstrap::levels()), levels].concat();
    fairness.plan(&schemas, &levels);
}

/// Writes the condition `Dangling` where it is not what it should be.
async fn state(ctx: &Ctx) -> Result<(), client::ClientError> {
    let levels = ctx.informers.priority_levels.list();
    for schema in ctx.informers.flow_schemas.list() {
        let level = schema.str_at("/spec/priorityLevelConfiguration/name");
        let found = levels.iter().any(|object| object.name() == level);
        let (status, reason, words) = match found {
            true => ("False", "Found", "it exists"),
            false => ("True", "NotFound", "there is no such object"),
        };
        let conditions = schema.list_at("/status/conditions");
        let held = conditions.iter().find(|c| c.str_at("/type") == "Dangling");
        if held.is_some_and(|held| held.str_at("/status") == status) {
            continue;
        }
        let message = format!(
            "This FlowSchema references the PriorityLevelConfiguration object named {level:?} and {words}"
        );
        let mut next = Value::clone(&schema);
        let others = conditions.iter().filter(|c| c.str_at("/type") != "Dangling").cloned();
        let now = world::rfc3339(ctx.host.clock().wall());
        let condition = json!({ "type": "Dangling", "status": status, "reason": reason,
            "message": message, "lastTransitionTime": now });
        next.set_at("/status/conditions", others.chain([condition]).collect::<Vec<_>>());
        match ctx.rest.update_sub(&SCHEMAS, None, schema.name(), "status", &next).await {
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// `priority-and-fairness-config-producer`: makes the objects that every server has, and keeps the two
/// that must be there.
pub(crate) async fn produce(ctx: Ctx) -> Result<(), String> {
    if ctx.fairness.is_none() {
        return Ok(());
    }
    ctx.informers.flow_schemas.synced().await;
    ctx.informers.priority_levels.synced().await;
    while !ensure(&ctx, |_| true).await {
        ctx.host.clock().sleep(RETRY).await;
    }
    let host = ctx.host.clone();
    host.spawn(async move {
        loop {
            ctx.host.recur(KEEP).await;
            ensure(&ctx, |name| matches!(name, "exempt" | "catch-all")).await;
        }
    });
    Ok(())
}

/// Posts what is missing; whether all is there now.
async fn ensure(ctx: &Ctx, wanted: impl Fn(&str) -> bool) -> bool {
    let informers = &ctx.informers;
    let levels = bootstrap::levels().iter().map(|object| (LEVELS, object));
    let schemas = bootstrap::schemas().iter().map(|object| (SCHEMAS, object));
    let missing: Vec<_> = levels
        .chain(schemas)
        .filter(|(resource, object)| {
            let levels = *resource == LEVELS;
            let informer = if levels { &informers.priority_levels } else { &informers.flow_schemas };
            wanted(object.name()) && !informer.has(None, object.name())
        })
        .collect();
    let mut outcome = Ok(());
    for few in missing.chunks(hooks::AT_ONCE) {
        let posted = few.iter().map(|(resource, object)| hooks::ensure(&ctx.rest, resource, None, object));
        outcome = join_all(posted).await.into_iter().fold(outcome, Result::and);
    }
    match outcome {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("unable to make flow schemas and priority levels, trying again: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::pipeline::Query;

    #[test]
    fn requests_find_upstream_s_levels() {
        let fairness = Fairness::new(600);
        #[track_caller]
        fn check(fairness: &Fairness, user: &str, group: &str, request: &str, expected: &str) {
            let (method, path) = request.split_once(' ').unwrap();
            let method: Method = method.parse().unwrap();
            let info = RequestInfo::parse(&method, path, &Query::default());
            let user = User::new(user, &[group, "system:authenticated"]);
            let schema = fairness.classify(&info, &user).unwrap();
            assert_eq!(format!("{} {}", schema.name, schema.level.name), expected, "{} {request}", user.name);
        }
        let admin = ("admin", "system:masters");
        check(&fairness, admin.0, admin.1, "GET /api/v1/pods", "exempt exempt");
        check(&fairness, "jane", "dev", "GET /livez", "probes exempt");
        check(&fairness, "jane", "dev", "GET /livez/ping", "global-default global-default");
        check(&fairness, "jane", "dev", "GET /api/v1/pods", "global-default global-default");
        let node = ("system:node:n", "system:nodes");
        check(&fairness, node.0, node.1, "PATCH /api/v1/nodes/n/status", "system-node-high node-high");
        let lease = "PUT /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n";
        check(&fairness, node.0, node.1, lease, "system-node-high node-high");
        check(&fairness, node.0, node.1, "GET /api/v1/namespaces/a/pods/p", "system-nodes system");
        let manager = "system:kube-controller-manager";
        let election =
            "PUT /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager";
        check(&fairness, manager, "", election, "system-leader-election leader-election");
        check(&fairness, manager, "", "GET /api/v1/pods", "kube-controller-manager workload-high");
        let (account, group) = ("system:serviceaccount:kube-system:x", "system:serviceaccounts");
        check(&fairness, account, group, "GET /api/v1/pods", "kube-system-service-accounts workload-high");
        check(
            &fairness,
            "system:serviceaccount:default:x",
            group,
            "GET /api/v1/pods",
            "service-accounts workload-low",
        );
    }

    #[test]
    fn seats_are_shared_out_as_upstream_does() {
        let fairness = Fairness::new(600);
        let plan = fairness.plan.read().clone();
        let nominal = |name: &str| plan.levels.iter().find(|level| level.name == name).unwrap().nominal;
        // Of 245 shares.
        assert_eq!(nominal("system"), 74);
        assert_eq!(nominal("node-high"), 98);
        assert_eq!(nominal("leader-election"), 25);
        assert_eq!(nominal("workload-low"), 245);
        assert_eq!(nominal("catch-all"), 13);
        assert_eq!(nominal("exempt"), 0);
    }
}
