//! disruption: how many pods of each budget may be disturbed now (`pkg/controller/disruption`). The
//! eviction subresource and the scheduler go by what is written here.

mod scale;
mod stale;
mod status;

use api::object::ObjectExt as _;
use client::{Change, ClientError, Informer, Next, Resource, Rest, WorkQueue, recorder::Recorder};
use serde_json::Value;
use std::sync::Arc;
use world::Host;

use crate::{
    context::Context,
    pods::{PODS, selects},
    start::start,
};
use scale::Scales;
use status::Verdict;

const BUDGETS: Resource = Resource::new("policy", "v1", "poddisruptionbudgets");

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    budgets: Informer,
    pods: Informer,
    scales: Scales,
}

/// Starts the loop, and the one that takes back announced disruptions that never came.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("disruption-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "controllermanager"),
        budgets: c.informer(BUDGETS),
        pods: c.informer(PODS),
        scales: Scales::new(c, &rest),
        rest,
    };
    stale::run(c, &this.rest);
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let read = [this.budgets.clone(), this.pods.clone()];
    let informers = read.into_iter().chain(this.scales.informers());
    let (budgets, pods) = (this.budgets.clone(), this.pods.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        budgets.on(move |change| feed.add(change.key()));
        let (feed, budgets) = (queue.clone(), budgets.clone());
        pods.on(move |change| {
            let mut states = vec![change.object()];
            if let Change::Updated { old, .. } = change {
                states.push(old);
            }
            let namespace = change.object().namespace();
            for budget in budgets.by_namespace(namespace) {
                if states.iter().any(|pod| selects(&budget, pod)) {
                    feed.add(client::key_of(&budget));
                }
            }
        });
    };
    start(&c.host, informers, queue, 1, follow, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await.map_err(|e| e.to_string()) }
    });
}

impl Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let Some(budget) = self.budgets.get_key(key) else { return Ok(Next::OnChange) };
        let pods = self.pods.by_namespace(budget.namespace());
        let pods: Vec<Arc<Value>> = pods.into_iter().filter(|p| selects(&budget, p)).collect();
        if pods.is_empty() {
            self.recorder.normal(&budget, "NoPods", "No matching pods found");
        }
        let now = self.host.clock().wall();
        let expected = match self.expected(&budget, &pods).await {
            Ok(expected) => expected,
            Err(why) => {
                let words = format!("Failed to calculate the number of expected pods: {why}");
                self.recorder.warning(&budget, "CalculateExpectedPodCountFailed", words);
                // Nobody is evicted on a count that nobody knows.
                return self
                    .write(&budget, status::failed(&budget, &why, now))
                    .await
                    .map(|()| Next::OnChange);
            }
        };
        let Verdict { status, recheck, overdue } = status::of(&budget, &pods, expected, now);
        for pod in overdue {
            let namespace = budget.namespace();
            let words =
                format!("Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't");
            self.recorder.warning(pod, "NotDeleted", words);
        }
        if let Some(status) = status {
            self.write(&budget, status).await?;
        }
        Ok(recheck.into())
    }

    /// How many pods there should be, where the budget needs to know.
    async fn expected(&self, budget: &Value, pods: &[Arc<Value>]) -> Result<i64, String> {
        let by_number = budget.pointer("/spec/minAvailable").is_some_and(Value::is_number);
        if by_number {
            return Ok(i64::try_from(pods.len()).unwrap_or(i64::MAX));
        }
        let (sum, unmanaged) = self.scales.of(pods).await?;
        if !unmanaged.is_empty() {
            let selector = budget.pointer("/spec/selector").cloned().unwrap_or_default();
            let words = format!(
                "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. \
                 As a result, the status of the PDB cannot be calculated correctly, which may result in \
                 undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the \
                 PDB to an integer value."
            );
            self.recorder.warning(budget, "UnmanagedPods", words);
        }
        Ok(sum)
    }

    async fn write(&self, budget: &Value, status: Value) -> Result<(), ClientError> {
        let mut updated = budget.clone();
        updated["status"] = status;
        let (namespace, name) = (budget.namespace(), budget.name());
        match self.rest.update_sub(&BUDGETS, Some(namespace), name, "status", &updated).await {
            Err(e) if e.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}
