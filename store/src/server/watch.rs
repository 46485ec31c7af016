//! The service `Watch`: many watches on one stream.
//!
//! One task reads requests; each watch has a task that forwards its batches. All of them write into one
//! bounded queue, so that what was sent first arrives first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use world::Task;

use super::api::Api;
use crate::{
    Batch, EventKind, ProgressHandle, Range, StoreError, Watch, WatchOptions,
    proto::{ALL_WATCHES, WatchCreateRequest, WatchFilter, WatchRequest, WatchRequestUnion, WatchResponse},
};

/// Responses on their way to a client that does not read. Beyond this the watches' own buffers fill.
const QUEUE: usize = 64;

type Responses = mpsc::Sender<Result<WatchResponse, Status>>;

/// Serves one stream.
pub(super) fn serve(
    api: Arc<Api>,
    requests: Streaming<WatchRequest>,
) -> impl Stream<Item = Result<WatchResponse, Status>> {
    let (responses, mut queue) = mpsc::channel(QUEUE);
    let host = api.host.clone();
    let session = Session { api, responses, watches: BTreeMap::new(), next_id: 0, progress: Arc::default() };
    host.spawn(session.run(requests));
    futures::stream::poll_fn(move |cx| queue.poll_recv(cx))
}

struct Session {
    api: Arc<Api>,
    responses: Responses,
    watches: BTreeMap<i64, Running>,
    next_id: i64,
    progress: Arc<Mutex<Progress>>,
}

struct Running {
    task: Task<()>,
    progress: ProgressHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request for progress that has not been answered: it is when every watch has come so far.
#[derive(Default)]
struct Progress {
    at: i64,
    waiting: BTreeSet<i64>,
    /// How far the one is that was marked earliest: some have been told more than was asked for, and a watch must not hear
    /// that all this was up to less.
    reached: Option<i64>,
}

impl Progress {
    /// Watch `id` has come to `revision`. Gives whether that was asked for, and what to answer if it was the
    /// last one.
    fn mark(&mut self, id: i64, revision: i64) -> (bool, Option<i64>) {
        let asked = revision >= self.at && self.waiting.remove(&id);
        if asked {
            self.reached = Some(self.reached.map_or(revision, |reached| reached.min(revision)));
        }
        (asked, (asked && self.waiting.is_empty()).then(|| self.answer()))
    }

    /// Watch `id` is new; gives whether an answer waits for it too.
    fn join(&mut self, id: i64) -> bool {
        let asked = !self.waiting.is_empty();
        if asked {
            self.waiting.insert(id);
        }
        asked
    }

    /// Watch `id` has ended, so nobody waits for it.
    fn forget(&mut self, id: i64) -> Option<i64> {
        (self.waiting.remove(&id) && self.waiting.is_empty()).then(|| self.answer())
    }

    fn answer(&self) -> i64 {
        self.reached.unwrap_or(self.at)
    }
}

impl Session {
    async fn run(mut self, mut requests: Streaming<WatchRequest>) {
        loop {
            let request = tokio::select! {
                biased;
                () = self.responses.closed() => return,
                request = requests.message() => request,
            };
            // The client has gone, properly or not: its watches end with this task.
            let Ok(Some(request)) = request else { return };
            let done = match request.request_union {
                Some(WatchRequestUnion::Create(request)) => self.create(request).await,
                Some(WatchRequestUnion::Cancel(request)) => self.cancel(request.watch_id).await,
                Some(WatchRequestUnion::Progress(_)) => self.request_progress().await,
                None => Ok(()),
            };
            if let Err(status) = done {
                let _ = self.responses.send(Err(status)).await;
                return;
            }
        }
    }

    async fn send(&self, response: WatchResponse) {
        let _ = self.responses.send(Ok(response)).await;
    }

    async fn create(&mut self, request: WatchCreateRequest) -> Result<(), Status> {
        let id = match request.watch_id {
            0 => {
                while self.watches.contains_key(&self.next_id) {
                    self.next_id += 1;
                }
                self.next_id += 1;
                self.next_id - 1
            }
            id => id,
        };
        let header = self.api.header().await?;
        if self.watches.get(&id).is_some_and(|watch| !watch.task.is_finished()) {
            let cancel_reason = "mvcc: duplicate watch ID provided on the WatchStream".to_owned();
            let refused = WatchResponse {
                header,
                watch_id: ALL_WATCHES,
                created: true,
                canceled: true,
                cancel_reason,
                ..Default::default()
            };
            self.send(refused).await;
            return Ok(());
        }
        let key = if request.key.is_empty() { bytes::Bytes::from_static(b"\0") } else { request.key.clone() };
        let range = Range::from_etcd(key, request.range_end.clone());
        let every = self.api.host.periods().of(self.api.options.progress_interval);
        let options = WatchOptions {
            prev_kv: request.prev_kv,
            progress_every: request.progress_notify.then_some(every),
            ..WatchOptions::default()
        };
        let watch = self.api.store.watch(range, request.start_revision, options).await?;
        let progress = watch.progress_handle();
        // Whoever is told how far all watches have come counts this one, from the next message on.
        if self.progress.lock().join(id) {
            progress.request();
        }
        let created = WatchResponse { header, watch_id: id, created: true, ..Default::default() };
        self.send(created).await;
        let forwarder = Forwarder {
            id,
            request,
            api: self.api.clone(),
            responses: self.responses.clone(),
            progress: self.progress.clone(),
        };
        let task = self.api.host.spawn(forwarder.run(watch));
        self.watches.insert(id, Running { task, progress });
        Ok(())
    }

    async fn cancel(&mut self, id: i64) -> Result<(), Status> {
        if self.watches.remove(&id).is_none() {
            return Ok(());
        }
        let header = self.api.header().await?;
        self.send(WatchResponse { header, watch_id: id, canceled: true, ..Default::default() }).await;
        let _ = tell(&self.responses, &self.progress, |progress| {
            progress.forget(id).map(|revision| all_reached(&self.api, revision))
        })
        .await;
        Ok(())
    }

    async fn request_progress(&mut self) -> Result<(), Status> {
        self.watches.retain(|_, watch| !watch.task.is_finished());
        let at = self.api.store.revision().await?;
        {
            let mut progress = self.progress.lock();
            progress.at = at;
            progress.reached = None;
            progress.waiting = self.watches.keys().copied().collect();
        }
        self.watches.values().for_each(|watch| watch.progress.request());
        Ok(())
    }
}

/// Sends what comes of a step in `progress`, if anything, before anybody takes the next one: an answer that a new watch
/// has not been waited for must not come after the news of that watch. Gives whether anybody still listens.
async fn tell(
    responses: &Responses,
    progress: &Mutex<Progress>,
    step: impl FnOnce(&mut Progress) -> Option<WatchResponse>,
) -> bool {
    let Ok(room) = responses.reserve().await else { return false };
    let mut progress = progress.lock();
    if let Some(response) = step(&mut progress) {
        room.send(Ok(response));
    }
    true
}

fn all_reached(api: &Api, revision: i64) -> WatchResponse {
    WatchResponse { header: api.header_at(revision), watch_id: ALL_WATCHES, ..Default::default() }
}

/// Carries one watch's batches to the client.
struct Forwarder {
    id: i64,
    request: WatchCreateRequest,
    api: Arc<Api>,
    responses: Responses,
    progress: Arc<Mutex<Progress>>,
}

impl Forwarder {
    async fn run(self, mut watch: Watch) {
        while let Some(item) = watch.next().await {
            let told = match item {
                Ok(batch) if batch.progress => self.mark(batch.revision).await,
                Ok(batch) => match self.events(&batch) {
                    Some(response) => self.responses.send(Ok(response)).await.is_ok(),
                    None => true,
                },
                Err(e) => {
                    let cancelled = self.cancelled(e).await;
                    self.responses.send(Ok(cancelled)).await.is_ok()
                        && tell(&self.responses, &self.progress, |progress| {
                            progress.forget(self.id).map(|revision| all_reached(&self.api, revision))
                        })
                        .await
                }
            };
            if !told {
                return;
            }
        }
    }

    async fn mark(&self, revision: i64) -> bool {
        tell(&self.responses, &self.progress, |progress| {
            let (asked, answer) = progress.mark(self.id, revision);
            let own = !asked && self.request.progress_notify;
            answer.map(|at| all_reached(&self.api, at)).or_else(|| own.then(|| self.response(revision)))
        })
        .await
    }

    fn response(&self, revision: i64) -> WatchResponse {
        WatchResponse { header: self.api.header_at(revision), watch_id: self.id, ..Default::default() }
    }

    fn events(&self, batch: &Batch) -> Option<WatchResponse> {
        let filtered = |filter| self.request.filters.contains(&i32::from(filter));
        let (no_puts, no_deletes) = (filtered(WatchFilter::NoPut), filtered(WatchFilter::NoDelete));
        let wanted = batch.events.iter().filter(|event| match event.kind {
            EventKind::Put => !no_puts,
            EventKind::Delete => !no_deletes,
        });
        let mut events: Vec<crate::proto::Event> = wanted.cloned().map(Into::into).collect();
        if !self.request.prev_kv {
            events.iter_mut().for_each(|event| event.prev_kv = None);
        }
        (!events.is_empty()).then(|| WatchResponse { events, ..self.response(batch.revision) })
    }

    async fn cancelled(&self, why: StoreError) -> WatchResponse {
        let revision = self.api.store.revision().await.unwrap_or(0);
        let response = WatchResponse { canceled: true, ..self.response(revision) };
        match why {
            // etcd gives no reason here: the revision says it all.
            StoreError::Compacted { oldest, .. } => WatchResponse { compact_revision: oldest, ..response },
            why => WatchResponse { cancel_reason: why.to_string(), ..response },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_when_all_have_come_so_far_and_never_less_than_one_was_told() {
        let mut progress = Progress { at: 39, waiting: [1, 2].into(), reached: None };
        assert_eq!(progress.mark(1, 38), (false, None), "before what was asked about");
        assert_eq!(progress.mark(1, 45), (true, None));
        assert_eq!(progress.mark(1, 46), (false, None), "once");
        assert_eq!(progress.mark(2, 41), (true, Some(41)));
        let mut alone = Progress { at: 39, waiting: [1].into(), reached: None };
        assert_eq!(alone.mark(1, 41), (true, Some(41)), "events up to 41 came before it");
        let mut joined = Progress { at: 39, waiting: [1].into(), reached: None };
        assert!(joined.join(2), "one that came meanwhile is waited for");
        assert_eq!((joined.mark(1, 40), joined.mark(2, 39)), ((true, None), (true, Some(39))));
        assert!(!joined.join(3), "nobody has asked");
        let mut ended = Progress { at: 39, waiting: [1, 2].into(), reached: None };
        assert_eq!((ended.mark(1, 40), ended.forget(2)), ((true, None), Some(40)));
    }

    /// Progress was asked for, and before the answer a watch is made that has the whole past before it: the answer speaks
    /// of all watches, so that it must come after what this one has to tell.
    #[test]
    fn who_comes_between_the_question_and_the_answer_is_waited_for() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let host = sim.host("etcd1");
            let options = crate::server::flags::Options::parse(&[]).unwrap();
            let api = Arc::new(Api::new(&host, options, crate::memory(&host), None));
            for n in 0..20 {
                api.store.put("/k".into(), n.to_string().into()).await.unwrap();
            }
            let (responses, mut told) = mpsc::channel(1000);
            let progress = Arc::default();
            let mut session = Session { api, responses, watches: BTreeMap::new(), next_id: 0, progress };
            let all = |watch_id| WatchCreateRequest {
                watch_id,
                key: "/".into(),
                range_end: "0".into(),
                start_revision: 2,
                ..Default::default()
            };
            session.create(all(1)).await.unwrap();
            session.request_progress().await.unwrap();
            session.create(all(2)).await.unwrap();
            let mut events = BTreeMap::new();
            loop {
                let response = told.recv().await.unwrap().unwrap();
                if response.watch_id == ALL_WATCHES {
                    assert_eq!(response.header.unwrap().revision, 21);
                    break;
                }
                *events.entry(response.watch_id).or_insert(0) += response.events.len();
            }
            assert_eq!(events, [(1, 20), (2, 20)].into(), "all of it, to both, before the answer");
        })
        .unwrap();
    }
}
