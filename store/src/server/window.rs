//! How much history a member keeps by itself: etcd's `--auto-compaction-mode` and `--auto-compaction-retention`.
//!
//! As etcd's `v3compactor` has it: by age, the revision is noted ten times within each interval (the period, at most an
//! hour), and what was the newest one a period ago is compacted to, once an interval; by number, every five minutes.
//! Only the leader compacts.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{UsageError, api::Api, given::Given};
use crate::{Revision, StoreError};

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// What is younger than this (`periodic`).
    Age(Duration),
    /// So many revisions (`revision`).
    Revisions(Revision),
}

const MODE: &str = "auto-compaction-mode";
const RETENTION: &str = "auto-compaction-retention";
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// Looks within one interval.
const LOOKS: u32 = 10;
const BETWEEN_COUNTS: Duration = Duration::from_secs(300);

impl Window {
    /// What the flags ask for; `None`: keep everything until a client compacts.
    pub(super) fn read(given: &Given) -> Result<Option<Self>, UsageError> {
        let text = given.text(RETENTION).unwrap_or("0");
        let by_age = match given.text(MODE).unwrap_or("periodic") {
            "" | "periodic" => true,
            "revision" => false,
            other => return Err(given.bad(MODE, other, "use periodic or revision")),
        };
        // A bare number means hours, or revisions.
        match (text.parse::<u32>(), by_age) {
            (Ok(0), _) => Ok(None),
            (Ok(hours), true) => Ok(Some(Self::Age(Duration::from_secs(3600) * hours))),
            (Ok(count), false) => Ok(Some(Self::Revisions(count.into()))),
            (Err(_), true) => {
                match text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok()) {
                    Some(age) if age.is_zero() => Ok(None),
                    Some(age) => Ok(Some(Self::Age(age))),
                    None => Err(given.bad(RETENTION, text, "hours, or a duration like 30m")),
                }
            }
            (Err(_), false) => {
                Err(given.bad(RETENTION, text, "with --auto-compaction-mode=revision, a number of revisions"))
            }
        }
    }
}

/// Compacts for ever.
pub(super) async fn keep(api: Arc<Api>, window: Window) {
    match window {
        Window::Age(age) => by_age(&api, age).await,
        Window::Revisions(count) => by_count(&api, count).await,
    }
}

async fn by_age(api: &Api, age: Duration) {
    let clock = api.host.clock();
    let interval = age.min(LONGEST_INTERVAL);
    let look = interval / LOOKS;
    // From the newest to the one of a period ago.
    let kept =
        usize::try_from(age.as_nanos() / look.as_nanos().max(1)).unwrap_or(usize::MAX).saturating_add(1);
    let mut seen = VecDeque::new();
    // Nothing has the age before the first period is over.
    let (mut last, mut wait) = (clock.monotonic(), age);
    loop {
        // Who cannot agree on a revision, without a majority, looks again later.
        if let Ok(revision) = api.store.revision().await {
            seen.push_back(revision);
        }
        while seen.len() > kept {
            seen.pop_front();
        }
        api.host.recur(look).await;
        if clock.monotonic().since(last) < api.host.periods().of(wait) {
            continue;
        }
        wait = interval;
        if let Some(oldest) = seen.front().copied()
            && compact(api, oldest).await
        {
            last = clock.monotonic();
        }
    }
}

async fn by_count(api: &Api, count: Revision) {
    let mut last = 0;
    loop {
        api.host.recur(BETWEEN_COUNTS).await;
        let Ok(revision) = api.store.revision().await else { continue };
        let at = revision - count;
        if at > 0 && at != last && compact(api, at).await {
            last = at;
        }
    }
}

/// Whether there is nothing left to do for this time.
async fn compact(api: &Api, at: Revision) -> bool {
    if api.leader().0 != Some(api.member_id) {
        return true;
    }
    match api.store.compact(at).await {
        Ok(()) | Err(StoreError::Compacted { .. }) => true,
        Err(e) => {
            tracing::warn!(revision = at, error = %e, "history could not be compacted; it is tried again");
            false
        }
    }
}
