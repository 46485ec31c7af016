//! What the pods of a job are to it, free of requests.

use std::{collections::BTreeSet, sync::Arc};

use api::object::ObjectExt as _;
use serde_json::Value;

use super::{
    super::{
        indexes,
        policy::{self, Effect},
        rules::{self, Counts},
    },
    tracking::uncounted,
};
use crate::pods::{is_active, is_finished};

/// The pods of one sync, sorted.
pub(super) struct Sorted {
    pub active: Vec<Arc<Value>>,
    pub terminating: i64,
    /// Ended, with the finalizer, and not yet in the status.
    pub succeeded: Vec<Arc<Value>>,
    pub failed: Vec<Arc<Value>>,
    /// Failed, and let go without being counted: the pod failure policy ignores them.
    pub ignored: Vec<Arc<Value>>,
    /// Why the pod failure policy ends the job.
    pub fatal: Option<String>,
}

/// Sorts the pods of a job.
pub(super) fn sort(job: &Value, pods: &[Arc<Value>]) -> Sorted {
    let known = [uncounted(job, "succeeded"), uncounted(job, "failed")];
    let is_new = |p: &&Arc<Value>| rules::is_tracked(p) && !known.iter().any(|set| set.contains(p.uid()));
    let pick = |wanted: &dyn Fn(&Value) -> bool| -> Vec<Arc<Value>> {
        pods.iter().filter(|p| wanted(p)).cloned().collect()
    };
    let terminating = pods.iter().filter(|p| p.is_terminating() && !is_finished(p));
    let failed = pods.iter().filter(is_new).filter(|p| rules::is_failed(job, p)).cloned();
    let (ignored, failed): (Vec<_>, Vec<_>) = failed.partition(|p| policy::effect(job, p) == Effect::Ignore);
    let fatal = failed.iter().find_map(|p| match policy::effect(job, p) {
        Effect::FailJob(why) => Some(why),
        _ => None,
    });
    Sorted {
        active: pick(&|p| is_active(p)),
        terminating: i64::try_from(terminating.count()).unwrap_or(0),
        succeeded: pods
            .iter()
            .filter(is_new)
            .filter(|p| p.str_at("/status/phase") == "Succeeded")
            .cloned()
            .collect(),
        failed,
        ignored,
        fatal,
    }
}

/// The indexes that are done, those of pods that have just succeeded included.
pub(super) fn completed(job: &Value, pods: &[Arc<Value>], sorted: &Sorted) -> BTreeSet<i64> {
    if !rules::is_indexed(job) {
        return BTreeSet::new();
    }
    let completions = job.i64_at("/spec/completions").unwrap_or(0);
    let mut done = indexes::parse(job.str_at("/status/completedIndexes"), completions);
    let known = uncounted(job, "succeeded");
    let earlier = pods.iter().filter(|p| known.contains(p.uid()));
    let new = earlier.chain(&sorted.succeeded).filter_map(|p| indexes::of(p));
    done.extend(new.filter(|i| *i < completions));
    done
}

/// What the pods of a job come to, those that its status has counted already included.
pub(super) fn count(
    job: &Value,
    pods: &[Arc<Value>],
    sorted: &Sorted,
    done: &BTreeSet<i64>,
    lost: &BTreeSet<i64>,
) -> Counts {
    let size = |n: usize| i64::try_from(n).unwrap_or(0);
    let total = |kind: &str, new: usize| {
        job.i64_at(&format!("/status/{kind}")).unwrap_or(0) + size(uncounted(job, kind).len()) + size(new)
    };
    let restarts = pods
        .iter()
        .filter(|p| matches!(p.str_at("/status/phase"), "Running" | "Pending"))
        .flat_map(|p| {
            p.list_at("/status/initContainerStatuses")
                .iter()
                .chain(p.list_at("/status/containerStatuses").iter())
        })
        .filter_map(|c| c.i64_at("/restartCount"))
        .sum();
    Counts {
        active: size(sorted.active.len()),
        succeeded: if rules::is_indexed(job) {
            size(done.len())
        } else {
            total("succeeded", sorted.succeeded.len())
        },
        failed: total("failed", sorted.failed.len()),
        new_failures: size(sorted.failed.len()),
        restarts,
        failed_indexes: size(lost.len()),
    }
}
