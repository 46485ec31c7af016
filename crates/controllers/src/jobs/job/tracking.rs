//! How a job counts its pods: the UID into the status, the finalizer off the pod, the count up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::object::ObjectExt as _;
use client::{ClientError, Patch};
use serde_json::{Value, json};
use world::rfc3339;

use super::{Loop, sorted::Sorted};
use crate::{
    jobs::{
        JOBS, indexes,
        rules::{self, TRACKING, Verdict},
    },
    pods::PODS,
};

impl Loop {
    /// Takes the finalizer off a pod; the pod as it is then, if it is still there.
    pub(super) async fn release(&self, pod: &Value) -> Result<Option<Value>, ClientError> {
        let left: Vec<Value> =
            pod.list_at("/metadata/finalizers").iter().filter(|f| *f != TRACKING).cloned().collect();
        let finalizers = if left.is_empty() { Value::Null } else { left.into() };
        let patch = json!({"metadata": {"finalizers": finalizers, "uid": pod.uid()}});
        let (namespace, name) = (pod.namespace(), pod.name());
        match self.rest.patch(&PODS, Some(namespace), name, Patch::Merge(&patch), None).await {
            Ok(patched) => Ok(Some(patched)),
            Err(e) if e.is_not_found() || e.is_conflict() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the status and counts pods, as the module says.
    pub(super) async fn track(
        &self,
        key: &str,
        mut job: Value,
        shown: &Value,
        pods: &[Arc<Value>],
        sorted: &Sorted,
        verdict: Option<Verdict>,
    ) -> Result<(), ClientError> {
        let mut uncounted = [uncounted(&job, "succeeded"), uncounted(&job, "failed")];
        for (set, pods) in uncounted.iter_mut().zip([&sorted.succeeded, &sorted.failed]) {
            set.extend(pods.iter().map(|p| p.uid().to_owned()));
        }
        write_uncounted(&mut job, &uncounted);
        let pending = uncounted.iter().any(|set| !set.is_empty());
        if pending && job.get("status") != shown.get("status") {
            job = self.write(&job).await?;
        }
        for pod in pods.iter().filter(|p| rules::is_tracked(p)) {
            let uid = pod.uid();
            let ignored = sorted.ignored.iter().any(|p| p.uid() == uid);
            if (ignored || uncounted.iter().any(|set| set.contains(uid)))
                && let Some(released) = self.release(pod).await?
            {
                self.expectations.stored(key, &released, self.host.clock().monotonic());
            }
        }
        for (field, set) in ["succeeded", "failed"].into_iter().zip(&uncounted) {
            let counted = job.i64_at(&format!("/status/{field}")).unwrap_or(0);
            let more = i64::try_from(set.len()).unwrap_or(0);
            job["status"][field] = (counted + more).into();
        }
        if rules::is_indexed(&job) {
            let completions = job.i64_at("/spec/completions").unwrap_or(0);
            let done = indexes::parse(job.str_at("/status/completedIndexes"), completions);
            job["status"]["succeeded"] = done.len().into();
        }
        write_uncounted(&mut job, &[BTreeSet::new(), BTreeSet::new()]);
        let over = |field: &str| job.i64_at(&format!("/status/{field}")).unwrap_or(0) == 0;
        let ended = verdict.filter(|_| over("active") && over("terminating"));
        if let Some(verdict) = &ended {
            let now = self.host.clock().wall();
            rules::set_condition(&mut job, verdict.last(), true, &verdict.reason, &verdict.message, now);
            if verdict.success {
                job["status"]["completionTime"] = rfc3339(now).into();
            }
        }
        if !same_status(&job, shown) || pending {
            self.write(&job).await?;
        }
        match ended {
            Some(Verdict { success: true, .. }) => self.recorder.normal(shown, "Completed", "Job completed"),
            Some(Verdict { reason, message, .. }) => self.recorder.warning(shown, &reason, message),
            None => {}
        }
        Ok(())
    }

    async fn write(&self, job: &Value) -> Result<Value, ClientError> {
        let (namespace, name) = (job.namespace(), job.name());
        let mut written = job.clone();
        if let Some(status) = written["status"].as_object_mut() {
            // Fields that upstream leaves out when they are zero.
            let zero =
                |key: &str, v: &Value| matches!(key, "active" | "succeeded" | "failed") && *v == json!(0);
            status.retain(|key, v| !zero(key, v));
        }
        let stored = self.rest.update_sub(&JOBS, Some(namespace), name, "status", &written).await?;
        self.written.stored(&client::key_of(&stored), &stored, self.host.clock().monotonic());
        Ok(stored)
    }
}

pub(super) fn uncounted(job: &Value, kind: &str) -> BTreeSet<String> {
    job.list_at(&format!("/status/uncountedTerminatedPods/{kind}"))
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn write_uncounted(job: &mut Value, sets: &[BTreeSet<String>; 2]) {
    let mut written = json!({});
    for (kind, set) in ["succeeded", "failed"].into_iter().zip(sets) {
        if !set.is_empty() {
            written[kind] = set.iter().cloned().collect();
        }
    }
    job["status"]["uncountedTerminatedPods"] = written;
}

/// Zero and absent are the same.
fn same_status(a: &Value, b: &Value) -> bool {
    let shown = |job: &Value| -> BTreeMap<String, Value> {
        let fields = job.get("status").and_then(Value::as_object).cloned().unwrap_or_default();
        let empty = |v: &Value| {
            v.is_null() || *v == json!(0) || *v == json!({}) || *v == json!([]) || *v == json!("")
        };
        fields.into_iter().filter(|(_, v)| !empty(v)).collect()
    };
    shown(a) == shown(b)
}
