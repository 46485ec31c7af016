//! The loop around a queue that every controller has: take a key, handle it, try again on failure.

use std::{fmt::Display, future::Future, sync::Arc, time::Duration};

use world::{Host, Task};

use crate::WorkQueue;

/// When a key that was handled without an error is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When it changes.
    OnChange,
    /// After this time, or when it changes.
    After(Duration),
    /// After the next wait of its backoff: not an error, but not there yet.
    Retry,
}

impl From<()> for Next {
    fn from((): ()) -> Self {
        Self::OnChange
    }
}

impl From<Option<Duration>> for Next {
    fn from(after: Option<Duration>) -> Self {
        after.map_or(Self::OnChange, Self::After)
    }
}

/// Starts `n` workers on `queue`. Each takes a key, runs `handler` on it and acts on the outcome: an
/// error is logged and the key retried with backoff. They end when the queue is shut down and empty,
/// or with their process.
pub fn run_workers<H, Fut, R, E>(host: &Host, n: usize, queue: &WorkQueue, handler: H) -> Vec<Task<()>>
where
    H: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Into<Next> + Send + 'static,
    E: Display + Send + 'static,
{
    let handler = Arc::new(handler);
    (0..n)
        .map(|_| {
            let (queue, handler, actor) = (queue.clone(), handler.clone(), host.clone());
            host.spawn(async move {
                while let Some(key) = queue.get().await {
                    let outcome = handler(key.clone()).await.map(Into::into);
                    settle(&actor, &queue, &key, outcome);
                }
            })
        })
        .collect()
}

fn settle<E: Display>(host: &Host, queue: &WorkQueue, key: &str, outcome: Result<Next, E>) {
    match outcome {
        Ok(Next::OnChange) => queue.forget(key),
        Ok(Next::After(delay)) => {
            queue.forget(key);
            queue.add_after(key, delay);
        }
        Ok(Next::Retry) => queue.add_rate_limited(key),
        Err(error) => {
            tracing::warn!(
                host = host.name(),
                actor = host.actor(),
                key,
                "error syncing, will be retried: {error}"
            );
            host.record("retry", vec![("key", key.to_owned()), ("error", error.to_string())]);
            queue.add_rate_limited(key);
        }
    }
    queue.done(key);
}
