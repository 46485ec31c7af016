//! A watch at one member: over when the member has lost the majority, as for a client that asks for a leader.
//!
//! It is noticed at the next thing that happens to the history or to the watch's own clock: nothing of what the others
//! wrote meanwhile gets through.

use std::sync::Arc;

use async_trait::async_trait;

use super::Cluster;
use crate::{Batch, ProgressHandle, StoreError, Watch, WatchSource};

pub(super) struct Watched {
    watch: Watch,
    cluster: Arc<Cluster>,
    member: u64,
    ended: bool,
}

impl Watched {
    pub(super) fn new(watch: Watch, cluster: &Arc<Cluster>, member: u64) -> Self {
        Self { watch, cluster: cluster.clone(), member, ended: false }
    }

    /// Whether the member is on the majority's side, whoever leads there.
    fn is_led(&self) -> bool {
        let state = self.cluster.state.lock();
        match state.leader() {
            Some((leader, _)) => state.connected(self.member, leader),
            None => state.has_quorum(self.member),
        }
    }
}

#[async_trait]
impl WatchSource for Watched {
    async fn next(&mut self) -> Option<Result<Batch, StoreError>> {
        if self.ended {
            return None;
        }
        let item = self.watch.next().await?;
        if self.is_led() {
            return Some(item);
        }
        self.ended = true;
        Some(Err(StoreError::NoLeader))
    }

    fn progress_handle(&self) -> ProgressHandle {
        self.watch.progress_handle()
    }
}
