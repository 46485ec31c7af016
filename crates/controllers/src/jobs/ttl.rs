//! ttl-after-finished: removes finished jobs when their time is over, on the wall clock.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, Next, Rest, WorkQueue, split_key};
use jiff::SignedDuration;
use serde_json::Value;
use world::{Host, Wall};

use super::{JOBS, rules};
use crate::{context::Context, start::start};

const WORKERS: usize = 5;

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let (jobs, rest) = (c.informer(JOBS), c.rest("ttl-after-finished-controller"));
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let (host, all) = (c.host.clone(), jobs.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        all.on(move |change| {
            let job = change.object();
            if !matches!(change, client::Change::Deleted(_)) && end(job).is_some() {
                feed.add(change.key());
            }
        });
    };
    start(&c.host, [jobs.clone()], queue, WORKERS, follow, move |key| {
        let (host, rest, jobs) = (host.clone(), rest.clone(), jobs.clone());
        async move {
            match jobs.get_key(&key) {
                Some(job) => remove(&host, &rest, &key, &job).await.map_err(|e| e.to_string()),
                None => Ok(Next::OnChange),
            }
        }
    });
}

/// When a finished job is to go.
fn end(job: &Value) -> Option<Wall> {
    let ttl = job.i64_at("/spec/ttlSecondsAfterFinished").filter(|_| !job.is_terminating())?;
    let finished = rules::finished(job)?.time_at("/lastTransitionTime")?;
    finished.checked_add(SignedDuration::from_secs(ttl)).ok()
}

fn left(job: &Value, now: Wall) -> Option<Duration> {
    Some(Duration::try_from(end(job)?.duration_since(now)).unwrap_or_default())
}

async fn remove(host: &Host, rest: &Rest, key: &str, shown: &Value) -> Result<Next, ClientError> {
    match left(shown, host.clock().wall()) {
        None => return Ok(Next::OnChange),
        Some(wait) if !wait.is_zero() => return Ok(Next::After(wait)),
        Some(_) => {}
    }
    // The informer may be behind: somebody may have given the job more time.
    let (namespace, name) = split_key(key);
    let Some(live) = rest.get_opt(&JOBS, namespace, name).await? else { return Ok(Next::OnChange) };
    match left(&live, host.clock().wall()) {
        None => return Ok(Next::OnChange),
        Some(wait) if !wait.is_zero() => return Ok(Next::After(wait)),
        Some(_) => {}
    }
    let params =
        DeleteParams { propagation_policy: Some("Foreground".into()), ..DeleteParams::uid(live.uid()) };
    match rest.delete(&JOBS, namespace, name, &params).await {
        Err(e) if !e.is_not_found() && !e.is_conflict() => Err(e),
        _ => Ok(Next::OnChange),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(job: Value, now: &str, expect: Option<u64>) {
        let found = left(&job, now.parse().expect("a time")).map(|d| d.as_secs());
        assert_eq!(found, expect, "{job} at {now}");
    }

    #[test]
    fn when_a_job_is_to_go() {
        let job = |ttl: Value, kind: &str| {
            json!({"spec": {"ttlSecondsAfterFinished": ttl}, "status": {"conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            ]}})
        };
        check(job(json!(60), "Complete"), "2026-01-01T00:00:59Z", Some(1));
        check(job(json!(60), "Failed"), "2026-01-01T00:01:00Z", Some(0));
        check(job(json!(0), "Complete"), "2026-01-01T00:00:00Z", Some(0));
        check(job(Value::Null, "Complete"), "2026-01-02T00:00:00Z", None);
        check(job(json!(60), "SuccessCriteriaMet"), "2026-01-02T00:00:00Z", None);
    }
}
