//! A watch as its reader sees it, whatever engine is behind.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{Batch, StoreError};

/// How a range is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// Deliver each key's previous state too. Engines of this process always do.
    pub prev_kv: bool,
    /// Deliver a mark of progress when nothing else came for so long. A remote etcd decides the time
    /// by itself.
    pub progress_every: Option<Duration>,
    /// So many events may wait for the reader before its watch is cancelled.
    pub buffer: usize,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { prev_kv: true, progress_every: None, buffer: 10_000 }
    }
}

/// Where a watch takes its batches from: what an engine implements.
#[async_trait]
pub trait WatchSource: Send {
    /// See [`Watch::next`].
    async fn next(&mut self) -> Option<Result<Batch, StoreError>>;
    /// See [`Watch::progress_handle`].
    fn progress_handle(&self) -> ProgressHandle;
}

/// A running watch. Dropping it ends it.
pub struct Watch(Box<dyn WatchSource>);

impl Watch {
    /// A watch on `source`.
    pub fn new(source: impl WatchSource + 'static) -> Self {
        Self(Box::new(source))
    }

    /// The next batch: all events of one transaction together, revisions strictly ascending (a mark
    /// of progress may repeat the last one). After an error, `None`: watch again.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Batch, StoreError>> {
        self.0.next().await
    }

    /// Asks for a mark of progress: it comes after all events up to the store's present revision.
    pub fn request_progress(&self) {
        self.progress_handle().request();
    }

    /// A handle that can ask for progress while another task waits in [`Watch::next`].
    pub fn progress_handle(&self) -> ProgressHandle {
        self.0.progress_handle()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// See [`Watch::progress_handle`].
#[derive(Clone)]
pub struct ProgressHandle(Arc<dyn Fn() + Send + Sync>);

impl ProgressHandle {
    /// A handle that asks by calling `ask`.
    pub fn new(ask: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Asks; nothing happens if the watch has ended.
    pub fn request(&self) {
        (self.0)();
    }
}

impl fmt::Debug for ProgressHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressHandle")
    }
}
