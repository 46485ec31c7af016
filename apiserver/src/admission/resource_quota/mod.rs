//! ResourceQuota: what a namespace may hold and ask for, counted when it is asked.
//!
//! A write is checked against each quota's `status`, and what it adds is written there before the
//! write goes on: compare-and-write through the loopback client, three times if others were faster.
//! A quota counts only once a controller has filled its status; until then it lets everything pass.

mod usage;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{object::ObjectExt as _, quantity::Quantity, status::Status};
use client::{ClientError, ListParams, Resource};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use world::Mono;

use super::{
    Operation, Review, Tools,
    amounts::{self, Amounts},
    refusal::forbidden,
};

/// How often a lost race is run again.
const RETRIES: usize = 3;
/// How long one evaluation may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the answer about a namespace is believed while the informer has no first list.
const LIVE_TTL: Duration = Duration::from_secs(30);
/// What is never counted.
const IGNORED: [(&str, &str); 4] =
    [("", "bindings"), ("", "componentstatuses"), ("", "events"), ("events.k8s.io", "events")];

const QUOTAS: Resource = Resource::core("resourcequotas");

type Quotas = Vec<Arc<Value>>;

/// See the module.
#[derive(Default)]
pub(super) struct ResourceQuota {
    /// One evaluation per namespace at a time: each sees what the one before added.
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Quotas as this server wrote them last, for as long as the informer is behind.
    written: Mutex<BTreeMap<(String, String), Arc<Value>>>,
    live: Mutex<BTreeMap<String, (Mono, Quotas)>>,
}

impl ResourceQuota {
    pub(super) async fn validate(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        let applies = matches!(review.operation, Operation::Create | Operation::Update)
            && review.subresource.is_empty()
            && !review.namespace.is_empty()
            && !review.is("", "namespaces")
            && !IGNORED.contains(&(review.group, review.resource))
            && usage::is_counted(review);
        if !applies {
            return Ok(());
        }
        let evaluation = async {
            if self.quotas(tools, review.namespace).await?.is_empty() {
                return Ok(());
            }
            let turn = self.turns.lock().entry(review.namespace.to_owned()).or_default().clone();
            let _turn = turn.lock().await;
            self.charge(tools, review).await
        };
        match tools.host.clock().timeout(TIMEOUT, evaluation).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Status::internal("resource quota evaluation timed out")),
        }
    }

    async fn charge(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        let mut tries = 0;
        loop {
            let quotas = self.quotas(tools, review.namespace).await?;
            let changed = evaluate(review, &quotas)?;
            if review.dry_run {
                return Ok(());
            }
            let mut lost = None;
            for quota in &changed {
                let (namespace, name) = (quota.namespace(), quota.name());
                match tools.rest.update_sub(&QUOTAS, Some(namespace), name, "status", quota).await {
                    Ok(stored) => self.remember(stored),
                    Err(error) => lost = Some((name.to_owned(), error)),
                }
            }
            let Some((name, error)) = lost else { return Ok(()) };
            tries += 1;
            if tries > RETRIES || !error.is_conflict() {
                return Err(raw(error));
            }
            if let Ok(fresh) = tools.rest.get(&QUOTAS, Some(review.namespace), &name).await {
                self.remember(fresh);
            }
        }
    }

    fn remember(&self, quota: Value) {
        let key = (quota.namespace().to_owned(), quota.name().to_owned());
        self.written.lock().insert(key, Arc::new(quota));
    }

    /// The namespace's quotas: the informer's, or what this server itself wrote since.
    async fn quotas(&self, tools: &Tools, namespace: &str) -> Result<Quotas, Status> {
        let informer = &tools.informers.resource_quotas;
        let mut quotas = informer.by_namespace(namespace);
        if quotas.is_empty() && !informer.has_synced() {
            quotas = self.ask(tools, namespace).await?;
        }
        let version = |quota: &Value| quota.resource_version().parse::<u64>().unwrap_or(0);
        let mut written = self.written.lock();
        for quota in &mut quotas {
            let key = (namespace.to_owned(), quota.name().to_owned());
            match written.get(&key) {
                Some(own) if own.uid() == quota.uid() && version(own) > version(quota) => {
                    *quota = own.clone()
                }
                Some(_) => {
                    written.remove(&key);
                }
                None => {}
            }
        }
        Ok(quotas)
    }

    async fn ask(&self, tools: &Tools, namespace: &str) -> Result<Quotas, Status> {
        let now = tools.host.clock().monotonic();
        if let Some((until, quotas)) = self.live.lock().get(namespace)
            && *until >= now
        {
            return Ok(quotas.clone());
        }
        let answer = tools.rest.list(&QUOTAS, Some(namespace), &ListParams::default()).await;
        let quotas = answer.map_err(raw)?.items;
        let until = tools.host.clock().monotonic() + LIVE_TTL;
        self.live.lock().insert(namespace.to_owned(), (until, quotas.clone()));
        Ok(quotas)
    }
}

/// A failure of the question itself, as it is.
fn raw(error: ClientError) -> Status {
    match error.status() {
        Some(status) => status.clone(),
        None => Status::unclassified(error.to_string()),
    }
}

/// The quotas that the write changes, with their new usage; or the refusal of one that it exceeds.
fn evaluate(review: &Review<'_>, quotas: &[Arc<Value>]) -> Result<Vec<Value>, Status> {
    let Some(object) = review.new_object() else { return Ok(Vec::new()) };
    let mut interesting = Vec::new();
    for quota in quotas {
        let hard = amounts::read(quota.at("/status/hard"));
        let counted: Vec<&String> = hard.keys().filter(|name| usage::counts(review, name)).collect();
        if counted.is_empty() || !usage::in_scope(review, quota, object) {
            continue;
        }
        if let Some(why) = usage::unspecified(review, &counted, object) {
            return Err(forbidden(review, format_args!("failed quota: {}: {why}", quota.name())));
        }
        let used = amounts::read(quota.at("/status/used"));
        if counted.iter().any(|name| !used.contains_key(*name)) {
            let names = counted.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(",");
            let why = format!("status unknown for quota: {}, resources: {names}", quota.name());
            return Err(forbidden(review, why));
        }
        interesting.push((quota, hard, used));
    }
    if interesting.is_empty() {
        return Ok(Vec::new());
    }
    let mut delta = usage::of(review, object);
    if let Some(old) = review.old.filter(|old| !old.resource_version().is_empty()) {
        for (name, amount) in usage::of(review, old) {
            if let Some(held) = delta.get_mut(&name) {
                *held -= amount;
            }
        }
    }
    delta.retain(|_, amount| !amount.is_zero() && !amount.is_negative());

    let mut changed = Vec::new();
    for (quota, hard, used) in interesting {
        let requested: Amounts =
            delta.iter().filter(|(name, _)| hard.contains_key(*name)).map(|(n, q)| (n.clone(), *q)).collect();
        if requested.is_empty() {
            continue;
        }
        let mut total = used.clone();
        amounts::add(&mut total, &requested);
        let exceeded: Vec<&String> =
            requested.keys().filter(|name| total.get(*name) > hard.get(*name)).collect();
        if !exceeded.is_empty() {
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name(),
                print(&requested, &exceeded),
                print(&used, &exceeded),
                print(&hard, &exceeded),
            );
            return Err(forbidden(review, why));
        }
        let mut quota = Value::clone(quota);
        let total: Map<String, Value> =
            total.iter().map(|(n, q)| (n.clone(), q.to_string().into())).collect();
        quota.set_at("/status/used", total);
        changed.push(quota);
    }
    Ok(changed)
}

/// `pods=1,requests.cpu=100m`
fn print(amounts: &Amounts, names: &[&String]) -> String {
    let part = |name: &&String| amounts.get(*name).map(|q: &Quantity| format!("{name}={q}"));
    names.iter().filter_map(part).collect::<Vec<_>>().join(",")
}
