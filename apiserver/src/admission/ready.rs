//! Nothing is judged by informers that have not seen their first list: what they do not hold would pass.

use std::time::Duration;

use api::status::Status;
use client::Informer;
use world::Clock;

use super::{Review, Tools, refusal::forbidden};

/// How long a plugin waits for the first list of its informers.
const WAIT: Duration = Duration::from_secs(10);

impl Tools {
    /// As [`ready`].
    pub(super) async fn ready(&self, review: &Review<'_>, informers: &[&Informer]) -> Result<(), Status> {
        ready(self.host.clock(), review, informers).await
    }
}

/// Waits for the first list of all of them.
///
/// # Errors
/// 403: there is none yet.
pub(super) async fn ready(clock: &Clock, review: &Review<'_>, informers: &[&Informer]) -> Result<(), Status> {
    if informers.iter().all(|informer| informer.has_synced()) {
        return Ok(());
    }
    let all = async {
        for informer in informers {
            informer.synced().await;
        }
    };
    match clock.timeout(WAIT, all).await {
        Ok(()) => Ok(()),
        Err(_) => Err(forbidden(review, "not yet ready to handle request")),
    }
}
