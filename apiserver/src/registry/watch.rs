//! Watches: the state first if asked for, then the cache's events, bookmarks in between.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use api::{selector::FieldSelector, status::Status};
use bytes::{Bytes, BytesMut};
use futures::{future::BoxFuture, stream};
use http::Response;
use wire::{Body, BoxError, body};
use world::{Mono, mutant};

use super::{list::filter, wanted};
use crate::{
    catalog::Served,
    context::Ctx,
    crd::convert,
    metrics::Watching,
    pipeline::{ListOptions, Permitted, Refusal},
    respond::{self, Encoding, Format},
    watch_cache::{Change, EventType, Filter, Item, Subscription},
};

/// Between two bookmarks.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// The last bookmark comes so long before the end.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Frames of the present state that go out in one chunk.
const INITIAL_CHUNK: usize = 64;
/// A chunk of events that arrived together is not made longer than this.
const CHUNK_BYTES: usize = 64 * 1024;

pub(super) async fn watch(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    if wanted.format != Format::Json {
        return Err(Status::not_acceptable(&["application/json"]).into());
    }
    let options = ListOptions::parse(&permitted.request().query, true)?;
    let mut filter = filter(&served, &permitted.info().namespace, &options)?;
    let info = permitted.info();
    // The old form `/watch/…/<name>` names one object in its path.
    if !info.name.is_empty() {
        match options.fields.requirement("metadata.name") {
            Some(selected) if selected != info.name => {
                let words = "fieldSelector metadata.name doesn't match requested name";
                return Err(Status::bad_request(words).into());
            }
            Some(_) => {}
            None => {
                filter.fields = FieldSelector::name(&info.name);
            }
        }
    }
    // Without a version the watch begins with the state, as new as the store's.
    let version = options.resource_version.unwrap_or(0);
    let begins_with_state = match options.send_initial_events {
        Some(send) => send,
        None => version == 0,
    };
    if options.send_initial_events == Some(true) {
        if version > 0 {
            ctx.caches.wait_for(version).await?;
        } else {
            ctx.caches.catch_up().await?;
        }
    } else if options.resource_version.is_none() {
        ctx.caches.catch_up().await?;
    }
    let from = match (begins_with_state, version) {
        (true, _) => None,
        (false, 0) => Some(ctx.caches.revision()),
        (false, version) => Some(version + i64::from(mutant("lose-an-event-at-resume"))),
    };
    let subscription = match ctx.caches.subscribe(&served, &filter, from) {
        Ok(subscription) => subscription,
        // Upstream answers 200 and says it in the stream.
        Err(status) if status.is_expired() => {
            let frame = respond::error_frame(&status);
            return Ok(respond::stream(body::full(frame)));
        }
        Err(status) => return Err(status.into()),
    };
    convert::ready(ctx, &served, &subscription.initial).await?;
    let lifetime = options.timeout.unwrap_or_else(|| {
        let least = ctx.host.periods().of(ctx.options.min_request_timeout);
        ctx.host.entropy().jitter(least, 1.0)
    });
    let marks_end = options.bookmarks && options.send_initial_events == Some(true);
    let watcher = Watcher::new(
        ctx,
        served,
        filter,
        wanted.encoding,
        subscription,
        lifetime,
        options.bookmarks && !mutant("drop-bookmarks"),
        marks_end,
    );
    let frames = stream::unfold(watcher, |mut watcher| async move {
        let frame = watcher.next().await?;
        Some((Ok::<_, BoxError>(frame), watcher))
    });
    Ok(respond::stream(body::stream(frames)))
}

struct Watcher {
    ctx: Ctx,
    served: Arc<Served>,
    filter: Filter,
    encoding: Encoding,
    initial: VecDeque<Arc<Item>>,
    missed: VecDeque<Arc<Change>>,
    live: tokio::sync::mpsc::Receiver<Arc<Change>>,
    /// Everything up to here was sent or is of no interest.
    revision: i64,
    /// The bookmark that ends the present state is still to come.
    initial_end: bool,
    bookmarks: bool,
    began: Mono,
    next_bookmark: Mono,
    /// When the last bookmark is due.
    last_bookmark: Mono,
    end: Mono,
    /// Waits for the next of these; kept from event to event.
    timer: Option<(Mono, BoxFuture<'static, ()>)>,
    first_frame: bool,
    over: bool,
    watching: Option<Watching>,
}

impl Watcher {
    #[allow(clippy::too_many_arguments, reason = "one caller, right above")]
    fn new(
        ctx: &Ctx,
        served: Arc<Served>,
        filter: Filter,
        encoding: Encoding,
        subscription: Subscription,
        lifetime: Duration,
        bookmarks: bool,
        initial_end: bool,
    ) -> Self {
        let now = ctx.host.clock().monotonic();
        let before_end = lifetime.saturating_sub(LAST_BOOKMARK);
        Self {
            initial: subscription.initial.into(),
            missed: subscription.missed.into(),
            live: subscription.live,
            revision: subscription.revision,
            began: now,
            next_bookmark: now + ctx.host.periods().of(BOOKMARK_PERIOD).min(before_end),
            last_bookmark: now + before_end,
            end: now + lifetime,
            watching: ctx.metrics.watches.begin(&served),
            ctx: ctx.clone(),
            served,
            filter,
            encoding,
            initial_end,
            bookmarks,
            timer: None,
            first_frame: true,
            over: false,
        }
    }

    /// The next chunk; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if let Some(chunk) = self.state() {
            return Some(chunk);
        }
        if std::mem::take(&mut self.initial_end) {
            let took = self.ctx.host.clock().monotonic().since(self.began);
            self.ctx.metrics.watches.listed(&self.served, &self.filter.namespace, took);
            return Some(respond::bookmark_frame(&self.served, self.revision, self.encoding, true));
        }
        while let Some(change) = self.missed.pop_front() {
            let frame = self.show(&change).await;
            change.shown();
            if frame.is_some() {
                return frame;
            }
        }
        loop {
            enum Turn {
                Change(Option<Arc<Change>>),
                Bookmark,
                End,
            }
            let wake = if self.bookmarks { self.next_bookmark.min(self.end) } else { self.end };
            if self.timer.as_ref().is_none_or(|(at, _)| *at != wake) {
                let clock = self.ctx.host.clock().clone();
                self.timer = Some((wake, Box::pin(async move { clock.sleep_until(wake).await })));
            }
            let Some((_, timer)) = &mut self.timer else { return None };
            let turn = tokio::select! {
                biased;
                change = self.live.recv() => Turn::Change(change),
                () = timer => {
                    if wake == self.end { Turn::End } else { Turn::Bookmark }
                }
            };
            match turn {
                Turn::Change(Some(change)) => {
                    let frame = self.show(&change).await;
                    change.shown();
                    if let Some(frame) = frame {
                        return Some(self.with_more(frame).await);
                    }
                }
                // Too slow, or the cache starts over: the client resumes from what it has.
                Turn::Change(None) | Turn::End => {
                    self.over = true;
                    return None;
                }
                Turn::Bookmark => return Some(self.bookmark(wake).await),
            }
        }
    }

    /// A frame and what has arrived besides: a busy watch sends few long chunks rather than many short ones.
    async fn with_more(&mut self, first: Bytes) -> Bytes {
        let mut chunk = BytesMut::new();
        while chunk.len() < CHUNK_BYTES
            && let Ok(change) = self.live.try_recv()
        {
            let frame = self.show(&change).await;
            change.shown();
            let Some(frame) = frame else { continue };
            if chunk.is_empty() {
                chunk.extend_from_slice(&first);
            }
            chunk.extend_from_slice(&frame);
        }
        if chunk.is_empty() { first } else { chunk.freeze() }
    }

    /// Frames of the present state.
    fn state(&mut self) -> Option<Bytes> {
        let mut chunk = Vec::new();
        let mut frames = 0;
        while frames < INITIAL_CHUNK {
            let Some(item) = self.initial.pop_front() else { break };
            if !self.filter.matches(&item) {
                continue;
            }
            let now = self.ctx.host.clock().wall();
            let columns = std::mem::take(&mut self.first_frame);
            match respond::event_frame(&self.served, EventType::Added, &item, self.encoding, columns, now) {
                Ok(frame) => {
                    if let Some(watching) = &self.watching {
                        watching.sent(frame.len());
                    }
                    chunk.extend_from_slice(&frame);
                }
                Err(status) => chunk.extend_from_slice(&respond::error_frame(&status)),
            }
            frames += 1;
        }
        (!chunk.is_empty()).then(|| chunk.into())
    }

    async fn show(&mut self, change: &Change) -> Option<Bytes> {
        self.revision = self.revision.max(change.revision);
        if self.served.webhook().is_some()
            && let Err(status) = convert::ready(&self.ctx, &self.served, &change.items()).await
        {
            return Some(respond::error_frame(&status));
        }
        let (event, item) = change.through(&self.filter)?;
        let columns = std::mem::take(&mut self.first_frame);
        let make = || {
            let now = self.ctx.host.clock().wall();
            respond::event_frame(&self.served, event, item, self.encoding, columns, now)
                .unwrap_or_else(|status| respond::error_frame(&status))
        };
        let own = columns && matches!(self.encoding, Encoding::Table(_));
        let frame = if own { make() } else { change.frame(event, self.encoding, make) };
        if let Some(watching) = &self.watching {
            watching.sent(frame.len());
        }
        Some(frame)
    }

    /// What is known now, after everything that was known before it has been sent.
    async fn bookmark(&mut self, at: Mono) -> Bytes {
        let revision = self.ctx.caches.revision();
        let mut out = Vec::new();
        while let Ok(change) = self.live.try_recv() {
            out.extend(self.show(&change).await.into_iter().flatten());
            change.shown();
        }
        self.revision = self.revision.max(revision);
        let next = at + self.ctx.host.periods().of(BOOKMARK_PERIOD);
        self.next_bookmark = if at < self.last_bookmark { next.min(self.last_bookmark) } else { self.end };
        out.extend_from_slice(&respond::bookmark_frame(&self.served, self.revision, self.encoding, false));
        out.into()
    }
}
