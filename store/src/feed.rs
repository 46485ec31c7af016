//! What waits for a watch's reader: a bounded queue per watch. Whoever fills it never waits.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Batch, Revision, StoreError};

/// One watch's queue.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    queue: Mutex<Queue>,
    /// One reader only.
    pub(crate) filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    /// In all of `batches`.
    events: usize,
    delivered: Revision,
    ended: Option<StoreError>,
}

impl Feed {
    /// The next batch, else why there will be none, else nothing yet.
    pub(crate) fn take(&self) -> Option<Result<Batch, StoreError>> {
        let mut queue = self.queue.lock();
        if let Some(batch) = queue.batches.pop_front() {
            queue.events -= batch.events.len();
            queue.delivered = batch.revision;
            return Some(Ok(batch));
        }
        queue.ended.clone().map(Err)
    }

    /// Says that the reader got everything up to `revision` from elsewhere.
    pub(crate) fn delivered(&self, revision: Revision) {
        self.queue.lock().delivered = revision;
    }

    /// Appends; `false` if the reader was too slow and the feed has ended now.
    pub(crate) fn push(&self, batch: Batch, capacity: usize) -> bool {
        let mut queue = self.queue.lock();
        let fits = queue.events + batch.events.len() <= capacity || queue.batches.is_empty();
        if fits {
            queue.events += batch.events.len();
            queue.batches.push_back(batch);
        } else {
            // What waited is given up too: the reader resumes from what it has really taken.
            queue.batches.clear();
            queue.events = 0;
            queue.ended = Some(StoreError::Lagged { delivered: queue.delivered });
        }
        drop(queue);
        self.filled.notify_one();
        fits
    }

    /// Appends a mark; two in a row are one. None comes after the end: the reader has not been told all before it.
    pub(crate) fn mark(&self, revision: Revision) {
        let mut queue = self.queue.lock();
        if queue.ended.is_some() {
            return;
        }
        match queue.batches.back_mut() {
            Some(last) if last.progress => last.revision = revision,
            _ => queue.batches.push_back(Batch::progress(revision)),
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// There will be no more.
    pub(crate) fn end(&self, why: StoreError) {
        self.queue.lock().ended.get_or_insert(why);
        self.filled.notify_one();
    }
}
