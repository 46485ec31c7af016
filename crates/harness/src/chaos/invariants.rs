//! What must hold whatever goes wrong, each claim with what upstream itself allows beside it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Host, Wall};

/// One claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// Its name.
    pub name: &'static str,
    /// What must hold.
    pub claim: &'static str,
    /// What upstream allows all the same.
    pub allowance: &'static str,
}

/// A credential that is expired, of the future, revoked or forged is not accepted.
pub const NEVER_ACCEPTED: Invariant = Invariant {
    name: "bad-credential-refused",
    claim: "an expired, future, revoked or forged credential is never accepted at the server's clock",
    allowance: "a second at the edges; tokens: believed for 10 s after they were good (token cache), JWT dates with a \
                minute of leeway; a revocation counts once informers had a minute without a fault to hear of it",
};
/// A good credential is accepted.
pub const NEVER_REFUSED: Invariant = Invariant {
    name: "good-credential-accepted",
    claim: "a valid credential is never refused with 401 at the server's clock",
    allowance: "a second at the edges; tokens are looked up in informers, which may be stale until they had a minute \
                without a fault; certificates while the authority on the disk is a stranger's, and until the server has \
                looked again (every minute)",
};
/// What was acknowledged stays.
pub const ACKNOWLEDGED: Invariant = Invariant {
    name: "acknowledged-kept",
    claim: "a write that was acknowledged is seen by every later read, and no update is lost to another",
    allowance: "none; but what is acknowledged while the store's disk lies about fsync is lost with its power, be it a \
                write, a credential, its revocation or a term of leadership",
};
/// Revisions order.
pub const REVISIONS: Invariant = Invariant {
    name: "revisions-grow",
    claim: "a write has a greater resourceVersion than every write acknowledged before it was sent",
    allowance: "as acknowledged-kept",
};
/// Watches tell everything, in order.
pub const WATCHES: Invariant = Invariant {
    name: "watches-complete",
    claim: "a watcher that resumes from its last revision sees every acknowledged write once, in order, as written",
    allowance: "after 410 Gone it lists again, and what was in between is not told; it may be late, not wrong",
};
/// A node acts for itself.
pub const NODES: Invariant = Invariant {
    name: "node-for-itself",
    claim: "a node's credentials change or read nothing that is another node's, or nobody's it runs",
    allowance: "none",
};
/// Who led before writes nothing.
pub const FENCED: Invariant = Invariant {
    name: "former-leader-fenced",
    claim: "after a new holder's first write, a write of the former one is refused by its resourceVersion",
    allowance: "two may believe that they lead at once; that is counted, not forbidden",
};
/// The webhook is asked.
pub const ADMITTED: Invariant = Invariant {
    name: "admission-asked",
    claim: "nothing that a webhook with failurePolicy Fail is to judge is stored without its consent",
    allowance: "a minute after the configuration is made or changed (informers)",
};
/// It heals.
pub const HEALTHY: Invariant = Invariant {
    name: "healthy-again",
    claim: "nodes Ready with fresh leases, components ready, leaders renewing, the Deployment available, and a write \
            goes through, within 15 minutes after the last remedy",
    allowance: "kubelets wait up to 5 min between starts of a container that crashed (CrashLoopBackOff)",
};

/// All of them.
pub const INVARIANTS: &[Invariant] =
    &[NEVER_ACCEPTED, NEVER_REFUSED, ACKNOWLEDGED, REVISIONS, WATCHES, NODES, FENCED, ADMITTED, HEALTHY];

/// One that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub seen: String,
    /// When, in true time.
    pub at: Wall,
}

/// Takes down what did not hold. Clones share the record.
#[derive(Clone)]
pub(super) struct Judge {
    /// In true time.
    host: Host,
    found: Arc<Mutex<Vec<Violation>>>,
    told: Arc<Notify>,
}

impl Judge {
    pub(super) fn new(host: &Host) -> Self {
        Self { host: host.clone(), found: Arc::default(), told: Arc::default() }
    }

    pub(super) fn violated(&self, invariant: Invariant, seen: impl Into<String>) {
        let (seen, at) = (seen.into(), self.host.clock().wall());
        self.host.record("violation", vec![("invariant", invariant.name.to_owned()), ("seen", seen.clone())]);
        self.found.lock().push(Violation { invariant, seen, at });
        self.told.notify_one();
    }

    /// [`Judge::violated`] unless it held.
    pub(super) fn check(&self, invariant: Invariant, held: bool, seen: impl FnOnce() -> String) {
        if !held {
            self.violated(invariant, seen());
        }
    }

    /// Waits for the first violation.
    pub(super) async fn violation(&self) {
        while self.found.lock().is_empty() {
            self.told.notified().await;
        }
    }

    pub(super) fn found(&self) -> Vec<Violation> {
        self.found.lock().clone()
    }
}
