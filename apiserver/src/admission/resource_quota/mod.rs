//! ResourceQuota: what a namespace may hold and ask for, counted when it is asked.
//!
//! A write is checked against each quota's `status`, and what it adds is written there before the
//! write goes on: compare-and-write through the loopback client, three times if others were faster, and
//! then only where they were: what is written down once is not added again. A quota counts only once a
//! controller has filled its status; until then it lets everything pass.

mod evaluate;
mod limited;
mod usage;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{object::ObjectExt as _, status::Status};
use client::{Change, Informer, ListParams, Resource};
use parking_lot::Mutex;
use serde_json::Value;
use world::Mono;

use super::{Operation, Review, Tools, refusal::raw};
use limited::Limited;

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
type Turn = Arc<tokio::sync::Mutex<()>>;
/// Quotas as this server wrote or read them last, for as long as the informer is behind.
type Written = Arc<Mutex<BTreeMap<(String, String), Arc<Value>>>>;

/// See the module.
#[derive(Default)]
pub(super) struct ResourceQuota {
    limited: Limited,
    /// One evaluation per namespace at a time: each sees what the one before added.
    turns: Mutex<BTreeMap<String, Turn>>,
    written: Written,
    live: Mutex<BTreeMap<String, (Mono, Quotas)>>,
}

impl ResourceQuota {
    /// With a section of the admission configuration, or none, over the informer of quotas.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(section: Option<&Value>, informer: &Informer) -> Result<Self, String> {
        let limited = section.map(Limited::read).transpose()?.unwrap_or_default();
        let written = Written::default();
        let held = written.clone();
        // With its namespace perhaps, so that nobody asks for it again.
        informer.on(move |change| {
            if let Change::Deleted(gone) = change {
                held.lock().remove(&key(gone));
            }
        });
        Ok(Self { limited, written, ..Self::default() })
    }

    /// How many quotas the informer is behind with.
    #[cfg(test)]
    pub(super) fn ahead(&self) -> usize {
        self.written.lock().len()
    }

    pub(super) async fn validate(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        let applies = matches!(review.operation, Operation::Create | Operation::Update)
            && !review.namespace.is_empty()
            && !review.is("", "namespaces")
            && !IGNORED.contains(&(review.group, review.resource))
            && usage::is_counted(review);
        if !applies {
            return Ok(());
        }
        let evaluation = async {
            if self.quotas(tools, review.namespace).await?.is_empty() && self.limited.is_empty() {
                return Ok(());
            }
            let turn = self.turns.lock().entry(review.namespace.to_owned()).or_default().clone();
            let outcome = {
                let _turn = turn.lock().await;
                self.charge(tools, review).await
            };
            self.leave(review.namespace, turn);
            outcome
        };
        match tools.host.clock().timeout(TIMEOUT, evaluation).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Status::internal("resource quota evaluation timed out")),
        }
    }

    /// A namespace in which nobody waits is forgotten.
    fn leave(&self, namespace: &str, turn: Turn) {
        let mut turns = self.turns.lock();
        // The map's and ours; nobody gets another one while the map is locked.
        if Arc::strong_count(&turn) == 2 {
            turns.remove(namespace);
        }
    }

    async fn charge(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        let mut quotas = self.quotas(tools, review.namespace).await?;
        let mut retries = RETRIES;
        loop {
            let changed = evaluate::evaluate(review, &quotas, &self.limited)?;
            if review.dry_run {
                return Ok(());
            }
            let (mut lost, mut last) = (Vec::new(), None);
            for quota in &changed {
                let (namespace, name) = (quota.namespace(), quota.name());
                match tools.rest.update_sub(&QUOTAS, Some(namespace), name, "status", quota).await {
                    Ok(stored) => self.remember(tools, stored),
                    Err(error) => {
                        lost.push(name.to_owned());
                        last = Some(error);
                    }
                }
            }
            let Some(error) = last else { return Ok(()) };
            if retries == 0 {
                return Err(raw(&error));
            }
            retries -= 1;
            for name in &lost {
                if let Ok(fresh) = tools.rest.get(&QUOTAS, Some(review.namespace), name).await {
                    self.remember(tools, fresh);
                }
            }
            // The others are charged; one that is gone by now limits nothing.
            quotas = self.quotas(tools, review.namespace).await?;
            quotas.retain(|quota| lost.iter().any(|name| name == quota.name()));
        }
    }

    fn remember(&self, tools: &Tools, quota: Value) {
        let (key, informer) = (key(&quota), &tools.informers.resource_quotas);
        let mut written = self.written.lock();
        // One that the informer saw go in the meantime would stay for ever.
        if !informer.has_synced() || informer.get(key.0.as_str(), &key.1).is_some() {
            written.insert(key, Arc::new(quota));
        }
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
            let key = key(quota);
            match written.get(&key) {
                Some(own) if own.uid() == quota.uid() && version(own) > version(quota) => {
                    *quota = own.clone();
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
        let quotas = answer.map_err(|error| raw(&error))?.items;
        let until = tools.host.clock().monotonic() + LIVE_TTL;
        let mut live = self.live.lock();
        live.retain(|_, (until, _)| *until >= now);
        live.insert(namespace.to_owned(), (until, quotas.clone()));
        Ok(quotas)
    }
}

fn key(quota: &Value) -> (String, String) {
    (quota.namespace().to_owned(), quota.name().to_owned())
}
