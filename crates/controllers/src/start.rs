//! How a loop begins: nobody works on a key before all that the work reads has been listed.

use std::{fmt::Display, future::Future};

use client::{ClientError, Informer, Next, WorkQueue, run_workers};
use world::Host;

use crate::{context::Context, pods::settled};

/// Once all of `informers` have synced, calls `follow`, which tells the queue of what changes, and starts
/// `workers` that handle its keys with `sync` (`cache.WaitForNamedCacheSync`).
///
/// To a loop that reads a copy half filled, what it has not been shown yet is missing: it would make it once
/// more, or let go what it does not see. So there is no other way to workers, and `informers` are all that
/// `sync` and `follow` read. What is there before `follow` comes to its handlers as added.
pub(crate) fn start<H, Fut, R, E>(
    host: &Host,
    informers: impl IntoIterator<Item = Informer>,
    queue: WorkQueue,
    workers: usize,
    follow: impl FnOnce(&WorkQueue) + Send + 'static,
    sync: H,
) where
    H: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Into<Next> + Send + 'static,
    E: Display + Send + 'static,
{
    let (own, informers) = (host.clone(), informers.into_iter().collect::<Vec<_>>());
    host.spawn(async move {
        for informer in &informers {
            informer.synced().await;
        }
        follow(&queue);
        run_workers(&own, workers, &queue, sync);
    });
}

/// A loop that brings one object at a time to where it is to be.
pub(crate) trait Keyed: Clone + Send + Sync + 'static {
    /// One turn for the object of a key; when the next one is due.
    fn sync(&self, key: &str) -> impl Future<Output = Result<Next, ClientError>> + Send;
}

/// As [`start`], for a loop over keys with a queue of its own; a lost race is run again, not reported.
pub(crate) fn start_keyed(
    c: &Context,
    this: &impl Keyed,
    workers: usize,
    informers: impl IntoIterator<Item = Informer>,
    follow: impl FnOnce(&WorkQueue) + Send + 'static,
) {
    let queue = WorkQueue::new(&c.host, c.queue_options());
    start_on(&c.host, this, workers, informers, queue, follow);
}

/// As [`start_keyed`], for a loop that feeds its queue itself too.
pub(crate) fn start_on(
    host: &Host,
    this: &impl Keyed,
    workers: usize,
    informers: impl IntoIterator<Item = Informer>,
    queue: WorkQueue,
    follow: impl FnOnce(&WorkQueue) + Send + 'static,
) {
    let this = this.clone();
    start(host, informers, queue, workers, follow, move |key| {
        let this = this.clone();
        async move { settled(this.sync(&key).await) }
    });
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use api::status::Status;
    use client::{InformerOptions, QueueOptions, Resource};
    use parking_lot::Mutex;
    use serde_json::json;
    use world::sim::{Config, run};

    use super::*;
    use crate::testing::Fake;

    #[test]
    fn no_key_is_handled_before_every_informer_has_synced() {
        let story = run(Config::default(), |sim| async move {
            let (host, server) = (sim.host("cp"), Fake::start(&sim).await);
            server.answer(|line, _| line.starts_with("GET").then(|| Status::internal("not yet")));
            let known = Informer::fixed(vec![json!({"metadata": {"name": "a"}})]);
            let pods = Informer::start(
                &host,
                &server.rest(&host),
                Resource::core("pods"),
                InformerOptions::default(),
            );
            let seen = Arc::new(Mutex::new(Vec::<String>::new()));
            let begin = |informers: Vec<Informer>| {
                let queue = WorkQueue::new(&host, QueueOptions::default());
                let (all, handled) = (known.clone(), seen.clone());
                let follow = move |queue: &WorkQueue| {
                    let feed = queue.clone();
                    all.on(move |change| feed.add(change.key()));
                };
                start(&host, informers, queue, 1, follow, move |key| {
                    let handled = handled.clone();
                    async move {
                        handled.lock().push(key);
                        Ok::<(), String>(())
                    }
                });
            };
            begin(vec![known.clone(), pods]);
            sim.elapse(Duration::from_secs(60)).await;
            assert!(seen.lock().is_empty(), "pods are not known yet");
            begin(vec![known.clone()]);
            sim.elapse(Duration::from_secs(1)).await;
            assert_eq!(*seen.lock(), ["a"], "the control run: what was there before is handled");
        });
        story.expect("a world");
    }
}
