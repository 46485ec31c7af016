//! The loop behind an informer, with client-go's order of requests, waits and words.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use world::Host;

use super::{Informer, InformerOptions};
use crate::{
    Backoff, ClientError, EventKind, List, ListParams, Resource, Rest, WatchEvent, WatchParams, WatchStream,
};

/// A watch is asked to last between this and twice this: reconnects of many clients spread.
const SHORTEST_WATCH: Duration = Duration::from_secs(300);
/// A watch that ends sooner than this with nothing said is a failure.
const SUSPICIOUSLY_SHORT: Duration = Duration::from_secs(1);

pub(super) struct Reflector {
    host: Host,
    rest: Rest,
    resource: Resource,
    options: InformerOptions,
    informer: Informer,
    backoff: Backoff,
    /// The last revision seen; empty before the first list.
    last_version: String,
    /// The server refused to list or watch from `last_version`.
    version_is_gone: bool,
    /// The first list came in pages although any state would have done: there is no watch cache.
    paginated: bool,
}

/// How a watch came to its end.
enum Ended {
    /// As it should, or with its connection: the next one resumes.
    Normally,
    /// The server said so; what was seen until then may not be enough to resume.
    With(Failure),
}

enum Failure {
    Client(ClientError),
    VeryShort,
}

impl Reflector {
    pub(super) fn new(
        host: Host,
        rest: Rest,
        resource: Resource,
        options: InformerOptions,
        informer: Informer,
    ) -> Self {
        Self {
            host,
            rest,
            resource,
            options,
            informer,
            backoff: Backoff::reflector(),
            last_version: String::new(),
            version_is_gone: false,
            paginated: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            if let Err(error) = self.list_and_watch().await {
                self.failed(format!("Failed to watch {}: {error}", self.type_name()));
            }
            self.backoff.wait(&self.host).await;
        }
    }

    fn type_name(&self) -> &str {
        self.informer.type_name()
    }

    /// Keeps, logs and records why the server cannot be followed at present.
    fn failed(&self, words: String) {
        tracing::warn!(host = self.host.name(), actor = self.host.actor(), "{words}");
        self.note("error", words.clone());
        self.set_error(words);
    }

    fn set_error(&self, words: String) {
        self.informer.0.state.lock().last_error = Some(words);
        self.informer.0.changed.notify_waiters();
    }

    fn note(&self, what: &'static str, detail: String) {
        self.host.record("informer", vec![("type", self.type_name().to_owned()), (what, detail)]);
    }

    /// Lists once, then watches until a list is needed again.
    async fn list_and_watch(&mut self) -> Result<(), ClientError> {
        if let Err(error) = self.list().await {
            self.failed(format!("failed to list {}: {error}", self.type_name()));
            return Ok(());
        }
        loop {
            let started = self.host.clock().monotonic();
            let watch = match self.open_watch().await {
                Ok(watch) => watch,
                // The server is away for a moment, or busy: no reason to list everything again.
                Err(e) if e.is_refused() || e.is_too_many_requests() => {
                    tracing::debug!("watch of {} returned {e} - backing off", self.type_name());
                    self.set_error(format!("Failed to watch {}: {e}", self.type_name()));
                    self.backoff.wait(&self.host).await;
                    continue;
                }
                Err(e) => return Err(e),
            };
            self.informer.0.state.lock().last_error = None;
            match self.follow(watch, started).await {
                Ended::Normally => {}
                Ended::With(Failure::Client(e)) if e.is_too_many_requests() => {
                    tracing::debug!("watch of {} returned 429 - backing off", self.type_name());
                    self.backoff.wait(&self.host).await;
                }
                Ended::With(Failure::Client(e)) if e.is_expired() => {
                    tracing::debug!("watch of {} closed with: {e}", self.type_name());
                    self.note("expired", e.to_string());
                    return Ok(());
                }
                Ended::With(failure) => {
                    let words = match failure {
                        Failure::Client(e) => e.to_string(),
                        Failure::VeryShort => format!(
                            "very short watch: {}: Unexpected watch close - watch lasted less than a second and no items received",
                            self.host.actor()
                        ),
                    };
                    self.failed(format!("watch of {} ended with: {words}", self.type_name()));
                    return Ok(());
                }
            }
        }
    }

    async fn list(&mut self) -> Result<(), ClientError> {
        let mut outcome = self.list_once().await;
        if outcome.as_ref().is_err_and(|e| e.is_expired() || e.is_version_too_large()) {
            self.version_is_gone = true;
            outcome = self.list_once().await;
        }
        let mut list = outcome?;
        if self.options.untracked {
            for object in list.items.iter_mut().filter_map(Arc::get_mut) {
                object.remove_at("/metadata/managedFields");
            }
        }
        self.version_is_gone = false;
        self.last_version = list.resource_version;
        self.note("listed", format!("{} objects at {}", list.items.len(), self.last_version));
        self.informer.replace(list.items, &self.last_version);
        Ok(())
    }

    /// Any state will do at first; never one older than what was seen; the latest if that is gone.
    fn list_version(&self) -> &str {
        match (self.version_is_gone, self.last_version.as_str()) {
            (true, _) => "",
            (false, "") => "0",
            (false, seen) => seen,
        }
    }

    async fn list_once(&mut self) -> Result<List, ClientError> {
        let from = self.list_version().to_owned();
        let (any, latest) = (from == "0", from.is_empty());
        let params = ListParams {
            label_selector: self.options.label_selector.clone(),
            field_selector: self.options.field_selector.clone(),
            resource_version: Some(from).filter(|v| !v.is_empty()),
            ..ListParams::default()
        };
        let ns = self.options.namespace.as_deref();
        // A list from a known revision is served whole from the server's cache; pages are not.
        if !any && !latest && !self.paginated {
            return self.rest.list(&self.resource, ns, &params).await;
        }
        let (list, pages) = self.rest.list_pages(&self.resource, ns, &params).await?;
        self.paginated |= any && pages > 1;
        Ok(list)
    }

    async fn open_watch(&self) -> Result<WatchStream, ClientError> {
        let shortest = self.host.periods().of(SHORTEST_WATCH).as_secs();
        let params = WatchParams {
            label_selector: self.options.label_selector.clone(),
            field_selector: self.options.field_selector.clone(),
            resource_version: Some(self.last_version.clone()),
            allow_bookmarks: true,
            timeout_seconds: Some(shortest + self.host.entropy().below(shortest)),
            ..WatchParams::default()
        };
        let watch = self.rest.watch(&self.resource, self.options.namespace.as_deref(), &params).await?;
        Ok(watch.untracked(self.options.untracked))
    }

    async fn follow(&mut self, mut watch: WatchStream, started: world::Mono) -> Ended {
        let mut resync = self.options.resync.map(|d| self.host.clock().interval(self.host.periods().of(d)));
        let mut events = 0_u64;
        loop {
            let event = match &mut resync {
                None => watch.next().await,
                Some(interval) => tokio::select! {
                    biased;
                    event = watch.next() => event,
                    () = interval.tick() => {
                        self.informer.0.store.resync();
                        continue;
                    }
                },
            };
            match event {
                Some(Ok(event)) => {
                    events += 1;
                    self.take_over(event);
                }
                Some(Err(error)) => return Ended::With(Failure::Client(error)),
                None => break,
            }
        }
        let lasted = self.host.clock().monotonic().since(started);
        if events == 0 && lasted < SUSPICIOUSLY_SHORT {
            return Ended::With(Failure::VeryShort);
        }
        Ended::Normally
    }

    fn take_over(&mut self, event: WatchEvent) {
        let WatchEvent { kind, object } = event;
        self.last_version = object.resource_version().to_owned();
        let store = &self.informer.0.store;
        match kind {
            EventKind::Added | EventKind::Modified => store.put(object),
            EventKind::Deleted => {
                let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
                store.remove(&namespace, &name, Some(object));
            }
            EventKind::Bookmark => {}
        }
        self.informer.0.state.lock().resource_version = self.last_version.clone();
        self.informer.0.changed.notify_waiters();
    }
}
