//! cronjob: starts jobs at the times of a schedule, on the host's wall clock.
//!
//! It waits by the monotonic clock and decides by the wall clock, as upstream: a step of the clock is
//! seen at the next look, and times that the step has passed over are then missed ones.

use std::{sync::Arc, time::Duration};

use api::{object::ObjectExt as _, profile::Profile};
use client::{ClientError, DeleteParams, Informer, Next, Rest, WorkQueue, recorder::Recorder};
use jiff::{SignedDuration, tz::TimeZone};
use serde_json::{Value, json};
use world::{Host, Wall, rfc3339};

use super::{
    CRON_JOBS, JOBS, rules,
    schedule::{Schedule, missed},
};
use crate::{
    context::Context,
    expectations::Expectations,
    objects::{condition, controller_uid},
    pods::owner_reference,
    start::start,
};

const WORKERS: usize = 5;
/// Comes a little after the time, so that the clock has passed it.
const DELTA: Duration = Duration::from_millis(100);
const ZONES: &str = "/usr/share/zoneinfo";

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    cron_jobs: Informer,
    jobs: Informer,
    profile: Profile,
    /// Statuses: a job that has been started must not look like a stranger's.
    written: Arc<Expectations>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("cronjob-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "cronjob-controller"),
        rest,
        cron_jobs: c.informer(CRON_JOBS),
        jobs: c.informer(JOBS),
        profile: c.options.kubernetes_version,
        written: Arc::default(),
    };
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let informers = [this.jobs.clone(), this.cron_jobs.clone()];
    let (jobs, cron_jobs) = (this.jobs.clone(), this.cron_jobs.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        cron_jobs.on(move |change| feed.add(change.key()));
        let (feed, cron_jobs) = (queue.clone(), cron_jobs.clone());
        jobs.on(move |change| {
            let job = change.object();
            let Some(uid) = controller_uid(job) else { return };
            let all = cron_jobs.by_namespace(job.namespace());
            all.iter().filter(|c| c.uid() == uid).for_each(|c| feed.add(client::key_of(c)));
        });
    };
    start(&c.host, informers, queue, WORKERS, follow, move |key| {
        let this = this.clone();
        async move {
            match this.sync(&key).await {
                // The informer will show what the other one wrote.
                Err(e) if e.is_conflict() => Ok(Next::Retry),
                other => other.map_err(|e| e.to_string()),
            }
        }
    });
}

impl Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let Some(shown) = self.cron_jobs.get_key(key) else {
            self.written.forget(key);
            return Ok(Next::OnChange);
        };
        let mono = self.host.clock().monotonic();
        if !self.written.fulfilled(key, &self.cron_jobs, mono) {
            return Ok(Next::OnChange);
        }
        let mut cron = (*shown).clone();
        if !cron["status"].is_object() {
            cron["status"] = json!({});
        }
        let uid = cron.uid().to_owned();
        let mut jobs = self.jobs.by_namespace(cron.namespace());
        jobs.retain(|j| controller_uid(j) == Some(&uid));
        self.clean_up(&cron, &jobs).await?;
        self.observe(&mut cron, &jobs).await?;
        let outcome = self.turn(&mut cron, &jobs).await;
        if cron.get("status") != shown.get("status") {
            let (namespace, name) = (cron.namespace(), cron.name());
            let stored = self.rest.update_sub(&CRON_JOBS, Some(namespace), name, "status", &cron).await?;
            self.written.stored(key, &stored, mono);
        }
        outcome
    }

    /// Compares `status.active` with the jobs that are there.
    async fn observe(&self, cron: &mut Value, jobs: &[Arc<Value>]) -> Result<(), ClientError> {
        let listed: Vec<Value> = cron.list_at("/status/active").to_vec();
        let mut active = Vec::new();
        for entry in listed {
            let uid = entry.str_at("/uid");
            match jobs.iter().find(|j| j.uid() == uid) {
                Some(job) => match rules::finished(job) {
                    Some(ended) => {
                        let words = format!(
                            "Saw completed job: {}, condition: {}",
                            job.name(),
                            ended.str_at("/type")
                        );
                        self.recorder.normal(cron, "SawCompletedJob", words);
                    }
                    None => active.push(entry),
                },
                None => {
                    // The informer may be behind.
                    let (namespace, name) = (entry.str_at("/namespace"), entry.str_at("/name"));
                    match self.rest.get_opt(&JOBS, Some(namespace), name).await? {
                        Some(job) if job.uid() == uid => active.push(entry),
                        _ => {
                            let words = format!("Active job went missing: {name}");
                            self.recorder.normal(cron, "MissingJob", words);
                        }
                    }
                }
            }
        }
        for job in jobs {
            let is_listed = active.iter().any(|a| a.str_at("/uid") == job.uid());
            if rules::finished(job).is_none() && !is_listed {
                let words = format!("Saw a job that the controller did not create or forgot: {}", job.name());
                self.recorder.warning(cron, "UnexpectedJob", words);
            }
        }
        let successes = jobs
            .iter()
            .filter(|j| condition(j, "Complete").is_some_and(|c| c.str_at("/status") == "True"))
            .filter_map(|j| j.time_at("/status/completionTime"));
        if let Some(last) = successes.max()
            && cron.time_at("/status/lastSuccessfulTime").is_none_or(|before| before < last)
        {
            cron["status"]["lastSuccessfulTime"] = rfc3339(last).into();
        }
        set_active(cron, active);
        Ok(())
    }

    /// Starts the job whose time has come, if it may.
    async fn turn(&self, cron: &mut Value, jobs: &[Arc<Value>]) -> Result<Next, ClientError> {
        if cron.is_terminating() || cron.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
            return Ok(Next::OnChange);
        }
        let zone = match self.zone(cron) {
            Ok(zone) => zone,
            Err(why) => {
                let words = format!("invalid timeZone: {:?}: {why}", cron.str_at("/spec/timeZone"));
                self.recorder.warning(cron, "UnknownTimeZone", words);
                return Ok(Next::OnChange);
            }
        };
        let schedule = match Schedule::parse(cron.str_at("/spec/schedule")) {
            Ok(schedule) => schedule,
            Err(why) => {
                let words = format!("unparseable schedule: {:?} : {why}", cron.str_at("/spec/schedule"));
                self.recorder.warning(cron, "UnparseableSchedule", words);
                return Ok(Next::OnChange);
            }
        };
        let now = self.host.clock().wall();
        let deadline = cron.i64_at("/spec/startingDeadlineSeconds").map(SignedDuration::from_secs);
        let Some(earliest) = earliest(cron, deadline, now) else { return Ok(Next::OnChange) };
        let comes_next = || match schedule.next(now, &zone) {
            Some(next) => {
                Next::After(Duration::try_from(next.duration_since(now)).unwrap_or_default() + DELTA)
            }
            None => Next::OnChange,
        };
        let Some((scheduled, count)) = missed(&schedule, &zone, earliest, now) else {
            return Ok(comes_next());
        };
        if count > 100 {
            let gives_up = self.profile.cron_job_gives_up();
            if !gives_up.is_empty() {
                let words = format!("Cannot determine if job needs to be started: {gives_up}");
                self.recorder.warning(cron, "FailedNeedsStart", words);
                return Ok(comes_next());
            }
            let many =
                if self.profile.cron_job_counts_missed() { format!(": {count}") } else { String::new() };
            let words = format!(
                "too many missed start times{many}. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            );
            self.recorder.warning(cron, "TooManyMissedTimes", words);
        }
        if deadline.is_some_and(|d| now.duration_since(scheduled) > d) {
            let at = scheduled.strftime("%a, %d %b %Y %H:%M:%S +0000");
            self.recorder.warning(
                cron,
                "MissSchedule",
                format!("Missed scheduled time to start a job: {at}"),
            );
            return Ok(comes_next());
        }
        let name = format!("{}-{}", cron.name(), scheduled.as_second() / 60);
        let started = cron.list_at("/status/active").iter().any(|a| a.str_at("/name") == name)
            || cron.time_at("/status/lastScheduleTime") == Some(scheduled);
        if started {
            return Ok(comes_next());
        }
        let running: Vec<Value> = cron.list_at("/status/active").to_vec();
        match cron.str_at("/spec/concurrencyPolicy") {
            "Forbid" if !running.is_empty() => {
                let words =
                    "Not starting job because prior execution is running and concurrency policy is Forbid";
                self.recorder.normal(cron, "JobAlreadyActive", words);
                return Ok(comes_next());
            }
            "Replace" => {
                for entry in &running {
                    if let Some(job) = jobs.iter().find(|j| j.uid() == entry.str_at("/uid")) {
                        self.delete(cron, job).await?;
                    }
                }
                set_active(cron, Vec::new());
            }
            _ => {}
        }
        let job = job(cron, &name, scheduled);
        let namespace = cron.namespace().to_owned();
        let made = match self.rest.create(&JOBS, Some(&namespace), &job).await {
            Ok(made) => {
                self.recorder.normal(cron, "SuccessfulCreate", format!("Created job {name}"));
                made
            }
            Err(e) if e.is_namespace_terminating() => return Ok(Next::OnChange),
            Err(e) if e.is_already_exists() => {
                // Made by this loop before it could write the status, or somebody else's.
                let there = self.rest.get(&JOBS, Some(&namespace), &name).await?;
                let ours = controller_uid(&there) == Some(cron.uid());
                if !ours || rules::finished(&there).is_some() {
                    cron["status"]["lastScheduleTime"] = rfc3339(scheduled).into();
                    return Ok(comes_next());
                }
                there
            }
            Err(e) => {
                self.recorder.warning(cron, "FailedCreate", format!("Error creating job: {e}"));
                return Err(e);
            }
        };
        let mut active: Vec<Value> = cron.list_at("/status/active").to_vec();
        active.push(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": name,
            "namespace": namespace,
            "resourceVersion": made.resource_version(),
            "uid": made.uid(),
        }));
        set_active(cron, active);
        cron["status"]["lastScheduleTime"] = rfc3339(scheduled).into();
        Ok(comes_next())
    }

    /// The zone of the schedule: the controller's own is UTC, others are read from the host's files.
    fn zone(&self, cron: &Value) -> Result<TimeZone, String> {
        let name = cron.str_at("/spec/timeZone");
        if matches!(name, "" | "UTC" | "Etc/UTC") {
            return Ok(TimeZone::UTC);
        }
        let unknown = |_| format!("unknown time zone {name}");
        let bytes = self.host.disk().read(format!("{ZONES}/{name}")).map_err(unknown)?;
        TimeZone::tzif(name, &bytes).map_err(|e| e.to_string())
    }

    /// Deletes finished jobs beyond the limits, oldest first.
    async fn clean_up(&self, cron: &Value, jobs: &[Arc<Value>]) -> Result<(), ClientError> {
        for (kind, field, default) in
            [("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)]
        {
            let limit = cron.i64_at(&format!("/spec/{field}")).unwrap_or(default);
            let mut ended: Vec<&Arc<Value>> = jobs
                .iter()
                .filter(|j| {
                    !j.is_terminating() && rules::finished(j).is_some_and(|c| c.str_at("/type") == kind)
                })
                .collect();
            ended.sort_by_key(|j| (j.time_at("/status/startTime"), j.name().to_owned()));
            let excess = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            for job in ended.into_iter().take(excess) {
                self.delete(cron, job).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, cron: &Value, job: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (job.namespace(), job.name());
        let params =
            DeleteParams { propagation_policy: Some("Background".into()), ..DeleteParams::uid(job.uid()) };
        match self.rest.delete(&JOBS, Some(namespace), name, &params).await {
            Ok(_) => self.recorder.normal(cron, "SuccessfulDelete", format!("Deleted job {name}")),
            Err(e) if e.is_not_found() || e.is_conflict() => {}
            Err(e) => {
                self.recorder.warning(cron, "FailedDelete", format!("Deleted job: {e}"));
                return Err(e);
            }
        }
        Ok(())
    }
}

fn set_active(cron: &mut Value, active: Vec<Value>) {
    if let Some(status) = cron["status"].as_object_mut() {
        if active.is_empty() {
            status.shift_remove("active");
        } else {
            status.insert("active".into(), active.into());
        }
    }
}

/// From when on times count: the last one, or the creation, but not before the deadline.
fn earliest(cron: &Value, deadline: Option<SignedDuration>, now: Wall) -> Option<Wall> {
    let last =
        cron.time_at("/status/lastScheduleTime").or_else(|| cron.time_at("/metadata/creationTimestamp"))?;
    let floor = deadline.and_then(|d| now.checked_sub(d).ok());
    Some(floor.map_or(last, |floor| last.max(floor)))
}

fn job(cron: &Value, name: &str, scheduled: Wall) -> Value {
    let part = |at: &str| {
        let found = cron.pointer(&format!("/spec/jobTemplate{at}")).filter(|v| !v.is_null());
        found.cloned().unwrap_or_else(|| json!({}))
    };
    let mut annotations = part("/metadata/annotations");
    annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] = rfc3339(scheduled).into();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "annotations": annotations,
            "labels": part("/metadata/labels"),
            "name": name,
            "namespace": cron.namespace(),
            "ownerReferences": [owner_reference(cron)],
        },
        "spec": part("/spec"),
    })
}
