//! job: pods until enough of them have succeeded, each counted once.
//!
//! A pod carries a finalizer until it is counted: first its UID goes into
//! `status.uncountedTerminatedPods`, then the finalizer goes, then the count grows. A controller that
//! dies in between finds everything where it was.

mod sorted;
mod tracking;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use api::object::ObjectExt as _;
use client::{ClientError, Informer, Next, Rest, WorkQueue, recorder::Recorder};
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::{Host, rfc3339};

use super::{
    JOBS, indexes, policy,
    rules::{self, Backoff, Counts, TRACKING, Verdict},
};
use crate::{
    context::Context,
    expectations::Expectations,
    objects::{condition_is, controller_uid},
    pods::{Claim, PODS, delete_for, from_template, interested, is_ready},
    start::{Keyed, start, start_keyed},
};
use sorted::{Sorted, completed, count, sort};

const WORKERS: usize = 5;
/// Creations and deletions of one sync.
const BURST: usize = 500;

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    jobs: Informer,
    pods: Informer,
    expectations: Arc<Expectations>,
    /// Statuses: a pod that has been counted must not be missed because its job looks as before.
    written: Arc<Expectations>,
    backoffs: Arc<Mutex<BTreeMap<String, Backoff>>>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("job-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "job-controller"),
        rest,
        jobs: c.informer(JOBS),
        pods: c.informer(PODS),
        expectations: Arc::default(),
        written: Arc::default(),
        backoffs: Arc::default(),
    };
    let orphans = WorkQueue::new(&c.host, c.queue_options());
    let informers = [this.jobs.clone(), this.pods.clone()];
    let (following, freed) = (this.clone(), orphans.clone());
    let follow = move |queue: &WorkQueue| following.follow(queue, &freed);
    let freeing = this.clone();
    start(
        &c.host,
        informers.clone(),
        orphans,
        1,
        |_| (),
        move |key| {
            let this = freeing.clone();
            async move { this.free_orphan(&key).await.map_err(|e| e.to_string()) }
        },
    );
    start_keyed(c, &this, WORKERS, informers, follow);
}

impl Keyed for Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let Some(shown) = self.jobs.get_key(key) else {
            self.expectations.forget(key);
            self.written.forget(key);
            self.backoffs.lock().remove(key);
            return Ok(Next::OnChange);
        };
        let now = self.host.clock().wall();
        if rules::finished(&shown).is_some() {
            self.backoffs.lock().remove(key);
            return Ok(Next::OnChange);
        }
        let mono = self.host.clock().monotonic();
        if !self.written.fulfilled(key, &self.jobs, mono)
            || !self.expectations.fulfilled(key, &self.pods, mono)
        {
            return Ok(Next::OnChange);
        }
        let claim = Claim { rest: &self.rest, owners: &JOBS, owned: &PODS, informer: &self.pods };
        let pods = claim.of(&shown).await?;
        let mut job = (*shown).clone();
        if !job["status"].is_object() {
            job["status"] = json!({});
        }
        self.start_or_suspend(&mut job);
        let sorted = sort(&job, &pods);
        let backoff = {
            let ended = |pods: &[Arc<Value>], success| {
                pods.iter().map(|p| (rules::ended_at(p, now), success)).collect::<Vec<_>>()
            };
            let mut all = ended(&sorted.succeeded, true);
            all.extend(ended(&sorted.failed, false));
            self.backoffs.lock().get(key).copied().unwrap_or_default().after(all)
        };
        let done = completed(&job, &pods, &sorted);
        let mut lost = policy::failed_indexes(&job, &pods);
        lost.retain(|index| !done.contains(index));
        let counts = count(&job, &pods, &sorted, &done, &lost);
        let verdict = rules::decided(&job)
            .or_else(|| sorted.fatal.as_deref().map(|why| Verdict::new(false, "PodFailurePolicy", why)))
            .or_else(|| policy::success(&job, &done))
            .or_else(|| rules::verdict(&job, counts, now))
            .or_else(|| policy::verdict(&job, &done, &lost));
        let mut waits: Vec<Duration> = rules::time_left(&job, now).into_iter().collect();
        let mut managed = Ok(());
        let (mut active, mut terminating) = (counts.active, sorted.terminating);
        if verdict.is_some() || rules::is_suspended(&job) {
            self.delete(key, &job, &sorted.active).await?;
            terminating += active;
            active = 0;
        } else if !job.is_terminating() {
            match self.manage(key, &job, (&pods, &sorted), counts, [&done, &lost], backoff).await {
                Ok((change, wait)) => {
                    active += change;
                    waits.extend(wait);
                }
                Err(e) => managed = Err(e),
            }
        }
        if let Some(verdict) = &verdict {
            rules::set_condition(&mut job, verdict.interim(), true, &verdict.reason, &verdict.message, now);
        }
        job["status"]["active"] = active.into();
        job["status"]["terminating"] = terminating.into();
        job["status"]["ready"] = sorted.active.iter().filter(|p| is_ready(p)).count().into();
        if rules::is_indexed(&job) {
            job["status"]["completedIndexes"] = indexes::format(&done).into();
            if policy::limits_per_index(&job).is_some() {
                job["status"]["failedIndexes"] = indexes::format(&lost).into();
            }
        }
        self.track(key, job, &shown, &pods, &sorted, verdict).await?;
        self.backoffs.lock().insert(key.to_owned(), backoff);
        managed?;
        Ok(waits.into_iter().filter(|w| !w.is_zero()).min().into())
    }
}

impl Loop {
    /// Tells `queue` of jobs, and `orphans` of pods whose job is gone.
    fn follow(&self, queue: &WorkQueue, orphans: &WorkQueue) {
        let (feed, freed, pods) = (queue.clone(), orphans.clone(), self.pods.clone());
        self.jobs.on(move |change| {
            feed.add(change.key());
            if let client::Change::Deleted(job) = change {
                let uid = job.uid();
                for pod in pods.by_namespace(job.namespace()) {
                    if rules::is_tracked(&pod) && controller_uid(&pod) == Some(uid) {
                        freed.add(client::key_of(&pod));
                    }
                }
            }
        });
        let (feed, freed, jobs) = (queue.clone(), orphans.clone(), self.jobs.clone());
        self.pods.on(move |change| {
            let keys = interested(&jobs, change.object());
            if keys.is_empty() && rules::is_tracked(change.object()) {
                freed.add(change.key());
            }
            keys.into_iter().for_each(|key| feed.add(key));
        });
    }

    /// A pod whose job is gone is nobody's to count.
    async fn free_orphan(&self, key: &str) -> Result<(), ClientError> {
        let Some(pod) = self.pods.get_key(key).filter(|p| rules::is_tracked(p)) else { return Ok(()) };
        let owner = controller_uid(&pod);
        let namespace = pod.namespace();
        if self.jobs.by_namespace(namespace).iter().any(|j| owner == Some(j.uid())) {
            return Ok(());
        }
        self.release(&pod).await.map(drop)
    }

    /// The time since which the job counts as active, and what people are told about its pauses.
    fn start_or_suspend(&self, job: &mut Value) {
        let now = self.host.clock().wall();
        if rules::is_suspended(job) {
            if !condition_is(job, "Suspended", "True") {
                rules::set_condition(job, "Suspended", true, "JobSuspended", "Job suspended", now);
                self.recorder.normal(job, "Suspended", "Job suspended");
            }
            if let Some(status) = job["status"].as_object_mut() {
                status.shift_remove("startTime");
            }
            return;
        }
        if condition_is(job, "Suspended", "True") {
            rules::set_condition(job, "Suspended", false, "JobResumed", "Job resumed", now);
            self.recorder.normal(job, "Resumed", "Job resumed");
        }
        if job.str_at("/status/startTime").is_empty() {
            job["status"]["startTime"] = rfc3339(now).into();
        }
    }

    /// Creates what is missing, deletes what is too much; by how much the number of active pods changed,
    /// and when to come back.
    async fn manage(
        &self,
        key: &str,
        job: &Value,
        (pods, sorted): (&[Arc<Value>], &Sorted),
        counts: Counts,
        [done, lost]: [&BTreeSet<i64>; 2],
        backoff: Backoff,
    ) -> Result<(i64, Option<Duration>), ClientError> {
        let wanted = rules::wanted(job, counts);
        if counts.active > wanted {
            let mut victims = sorted.active.clone();
            // What has achieved least goes first.
            victims.sort_by_key(|p| {
                let bound = !p.str_at("/spec/nodeName").is_empty();
                let born = p.str_at("/metadata/creationTimestamp").to_owned();
                (bound, p.str_at("/status/phase") == "Running", is_ready(p), std::cmp::Reverse(born))
            });
            victims.truncate(usize::try_from(counts.active - wanted).unwrap_or(0).min(BURST));
            self.delete(key, job, &victims).await?;
            return Ok((-i64::try_from(victims.len()).unwrap_or(0), None));
        }
        let held = if rules::replaces_only_failed(job) { sorted.terminating } else { 0 };
        let missing = usize::try_from(wanted - counts.active - held).unwrap_or(0).min(BURST);
        if missing == 0 {
            return Ok((0, None));
        }
        let now = self.host.clock().wall();
        let each = policy::limits_per_index(job).is_some();
        let wait = backoff.left(now);
        if !wait.is_zero() && !each {
            return Ok((0, Some(wait)));
        }
        if !rules::is_indexed(job) {
            for _ in 0..missing {
                self.create(key, job, None).await?;
            }
            return Ok((i64::try_from(missing).unwrap_or(0), None));
        }
        let busy: BTreeSet<i64> = sorted.active.iter().filter_map(|p| indexes::of(p)).collect();
        let all = 0..job.i64_at("/spec/completions").unwrap_or(0);
        let open = all.filter(|i| !done.contains(i) && !lost.contains(i) && !busy.contains(i));
        let (mut made, mut waits) = (0, Vec::new());
        for index in open {
            if made == missing {
                break;
            }
            // With a limit of its own an index waits for itself only.
            let (failures, wait) =
                if each { policy::next_try(job, index, pods, now) } else { (0, Duration::ZERO) };
            if wait.is_zero() {
                self.create(key, job, Some((index, each.then_some(failures)))).await?;
                made += 1;
            } else {
                waits.push(wait);
            }
        }
        Ok((i64::try_from(made).unwrap_or(0), waits.into_iter().min()))
    }

    /// A pod, of an index if the job has these, with how often that has failed if it has a limit.
    async fn create(
        &self,
        key: &str,
        job: &Value,
        index: Option<(i64, Option<i64>)>,
    ) -> Result<(), ClientError> {
        let mut pod = from_template(job);
        pod["metadata"]["finalizers"] = json!([TRACKING]);
        if let Some((index, failures)) = index {
            if let Some(failures) = failures {
                pod["metadata"]["annotations"][policy::INDEX_FAILURES] = failures.to_string().into();
            }
            let name = format!("{}-{index}", job.name());
            pod["metadata"]["generateName"] = format!("{name}-").into();
            pod["metadata"]["annotations"][indexes::INDEX] = index.to_string().into();
            pod["metadata"]["labels"][indexes::INDEX] = index.to_string().into();
            if pod.str_at("/spec/hostname").is_empty() {
                pod["spec"]["hostname"] = name.into();
            }
            tell_index(&mut pod);
        }
        match self.rest.create(&PODS, Some(job.namespace()), &pod).await {
            Ok(created) => {
                self.expectations.stored(key, &created, self.host.clock().monotonic());
                let words = format!("Created pod: {}", created.name());
                self.recorder.normal(job, "SuccessfulCreate", words);
                Ok(())
            }
            Err(e) => {
                if !e.is_namespace_terminating() {
                    self.recorder.warning(job, "FailedCreate", format!("Error creating: {e}"));
                }
                Err(e)
            }
        }
    }

    async fn delete(&self, key: &str, job: &Value, pods: &[Arc<Value>]) -> Result<(), ClientError> {
        for pod in pods {
            if delete_for(&self.rest, &self.recorder, job, pod).await? {
                self.expectations.deleted(key, pod, self.host.clock().monotonic());
            }
        }
        Ok(())
    }
}

/// Each container learns its index from the environment, as upstream's do.
fn tell_index(pod: &mut Value) {
    let from = json!({"fieldRef": {"fieldPath": format!("metadata.labels['{}']", indexes::INDEX)}});
    let variable = json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": from});
    for list in ["/spec/initContainers", "/spec/containers"] {
        for container in pod.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mut env = container.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
            if !env.iter().any(|v| v.str_at("/name") == "JOB_COMPLETION_INDEX") {
                env.push(variable.clone());
                container["env"] = env.into();
            }
        }
    }
}
