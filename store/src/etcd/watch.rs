//! A watch on a remote etcd: a task reads the stream into a bounded queue, and resumes it where it broke.
//!
//! A task, because a stream that nobody reads fills the window of the connection that all calls share.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tonic::Streaming;
use world::{Host, Task};

use super::call::{Caller, failure};
use crate::{
    Batch, Event, ProgressHandle, Range, Revision, StoreError, Watch, WatchOptions, WatchSource,
    convert::Asked,
    feed::Feed,
    proto::{
        ALL_WATCHES, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchRequestUnion,
        WatchResponse, path,
    },
};

/// etcd's client waits so long before it tries again, then longer.
const BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(3);

/// Where requests of the present stream go.
type Requests = Arc<Mutex<Option<mpsc::Sender<WatchRequest>>>>;

/// Starts a watch. Returns when the server has it, so that a watch from now on misses nothing.
pub(super) async fn start(
    host: &Host,
    calls: Arc<Caller>,
    range: Range,
    from: Revision,
    options: WatchOptions,
) -> Result<Watch, StoreError> {
    let feed = Arc::<Feed>::default();
    let mut reader = Reader {
        host: host.clone(),
        calls,
        range,
        next: from.max(0),
        options,
        feed: feed.clone(),
        requests: Requests::default(),
    };
    let opened = match reader.open().await {
        Ok(stream) => Ok(stream),
        // The server's verdict on the watch is the watch's first item, as with engines of this process.
        Err(e @ (StoreError::Compacted { .. } | StoreError::Remote { .. })) => Err(e),
        Err(e) => return Err(e),
    };
    feed.delivered(reader.next - 1);
    let requests = reader.requests.clone();
    let task = match opened {
        Ok(stream) => Some(host.spawn(reader.run(stream))),
        Err(e) => {
            feed.end(e);
            None
        }
    };
    Ok(Watch::new(Remote { feed, requests, task, ended: false }))
}

struct Reader {
    host: Host,
    calls: Arc<Caller>,
    range: Range,
    /// The first revision not yet read; 0 until the server has told what "now" is.
    next: Revision,
    options: WatchOptions,
    feed: Arc<Feed>,
    requests: Requests,
}

impl Reader {
    /// Opens a stream with one watch from `next` on.
    async fn open(&mut self) -> Result<Streaming<WatchResponse>, StoreError> {
        let (key, range_end) = self.range.to_etcd();
        let create = WatchRequestUnion::Create(WatchCreateRequest {
            key,
            range_end,
            start_revision: self.next,
            progress_notify: self.options.progress_every.is_some(),
            prev_kv: self.options.prev_kv,
            ..Default::default()
        });
        let create = WatchRequest { request_union: Some(create) };
        let asked = Asked { revision: self.next, ..Asked::default() };
        let slot = self.requests.clone();
        let requests = || {
            let (sender, mut queue) = mpsc::channel(8);
            // The queue is empty and open: this cannot fail.
            let _ = sender.try_send(create.clone());
            *slot.lock() = Some(sender);
            stream::poll_fn(move |cx| queue.poll_recv(cx))
        };
        let mut stream: Streaming<WatchResponse> =
            self.calls.streaming(path::WATCH, requests, &asked).await?;
        match stream.message().await {
            Ok(Some(response)) if response.canceled => Err(self.refusal(&response)),
            Ok(Some(response)) => {
                if self.next == 0 {
                    self.next = response.header.unwrap_or_default().revision + 1;
                }
                Ok(stream)
            }
            Ok(None) => {
                Err(StoreError::Transport("rpc error: code = Unavailable desc = transport is closing".into()))
            }
            Err(status) => Err(failure(&status, &asked).error),
        }
    }

    fn refusal(&self, response: &WatchResponse) -> StoreError {
        if response.compact_revision > 0 {
            return StoreError::Compacted { requested: self.next, oldest: response.compact_revision };
        }
        let message = match response.cancel_reason.as_str() {
            "" => "etcdserver: watch canceled".to_owned(),
            reason => reason.to_owned(),
        };
        StoreError::Remote { code: tonic::Code::Cancelled.into(), message }
    }

    /// Reads until the watch is over for a reason that another try would not change.
    async fn run(mut self, mut stream: Streaming<WatchResponse>) {
        let mut backoff = BACKOFF;
        loop {
            match self.read(&mut stream).await {
                Ok(()) => return,
                Err(why) => tracing::debug!(error = %why, "watch on etcd broke; resuming"),
            }
            stream = loop {
                match self.open().await {
                    Ok(stream) => break stream,
                    Err(e @ (StoreError::Compacted { .. } | StoreError::Remote { .. })) => {
                        return self.feed.end(e);
                    }
                    Err(_) => {
                        let wait = self.host.entropy().jitter(backoff, 0.1);
                        self.host.clock().sleep(wait).await;
                        backoff = (backoff * 2).min(LONGEST_BACKOFF);
                    }
                }
            };
            backoff = BACKOFF;
        }
    }

    /// Reads one stream to its end: `Ok` if the watch is over with it, else why the stream broke.
    async fn read(&mut self, stream: &mut Streaming<WatchResponse>) -> Result<(), StoreError> {
        let asked = Asked { revision: self.next, ..Asked::default() };
        loop {
            let response = match stream.message().await {
                Ok(Some(response)) => response,
                Ok(None) => return Err(StoreError::Closed),
                Err(status) => {
                    let failure = failure(&status, &asked);
                    if failure.elsewhere {
                        return Err(failure.error);
                    }
                    self.feed.end(failure.error);
                    return Ok(());
                }
            };
            if response.canceled {
                self.feed.end(self.refusal(&response));
                return Ok(());
            }
            let revision = response.header.unwrap_or_default().revision;
            if response.watch_id == ALL_WATCHES || (response.events.is_empty() && !response.created) {
                self.next = self.next.max(revision + 1);
                self.feed.mark(revision);
                continue;
            }
            for batch in batches(response.events) {
                self.next = batch.revision + 1;
                if !self.feed.push(batch, self.options.buffer) {
                    return Ok(());
                }
            }
        }
    }
}

impl Drop for Reader {
    // Also when the process that reads is killed: nobody waits for a watch that nobody reads.
    fn drop(&mut self) {
        self.feed.end(StoreError::Closed);
    }
}

/// One response may hold several transactions: one batch each.
fn batches(events: Vec<crate::proto::Event>) -> Vec<Batch> {
    let mut batches: Vec<(Revision, Vec<Event>)> = Vec::new();
    for event in events.into_iter().map(Event::from) {
        let revision = event.kv.mod_revision;
        match batches.last_mut() {
            Some((last, events)) if *last == revision => events.push(event),
            _ => batches.push((revision, vec![event])),
        }
    }
    batches.into_iter().map(|(revision, events)| Batch::changes(revision, events)).collect()
}

struct Remote {
    feed: Arc<Feed>,
    requests: Requests,
    task: Option<Task<()>>,
    ended: bool,
}

#[async_trait]
impl WatchSource for Remote {
    async fn next(&mut self) -> Option<Result<Batch, StoreError>> {
        while !self.ended {
            if let Some(item) = self.feed.take() {
                self.ended = item.is_err();
                return Some(item);
            }
            self.feed.filled.notified().await;
        }
        None
    }

    fn progress_handle(&self) -> ProgressHandle {
        let requests = self.requests.clone();
        ProgressHandle::new(move || {
            let ask = WatchRequestUnion::Progress(WatchProgressRequest {});
            if let Some(requests) = requests.lock().as_ref() {
                // A stream that is being opened anew answers nobody: who waits asks again.
                let _ = requests.try_send(WatchRequest { request_union: Some(ask) });
            }
        })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
