//! One credential, what the server owes to whoever shows it at an instant, and what it did.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use client::{Resource, Rest};
use jiff::SignedDuration;
use serde_json::json;
use world::{Mono, Wall, rfc3339};

use super::super::{
    invariants::{NEVER_ACCEPTED, NEVER_REFUSED},
    scene::Scene,
};
use crate::cluster::CONTROL_PLANE;

const REVIEWS: Resource = Resource::new("authentication.k8s.io", "v1", "selfsubjectreviews");
/// Dates have whole seconds.
const EDGE: SignedDuration = SignedDuration::from_secs(1);
/// What go-jose spares at both ends of a token.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// The token cache's 10 s, and one for the edge.
const CACHED: Duration = Duration::from_secs(11);
/// How long informers may take to hear of something while no fault is on.
const HEARD: Duration = Duration::from_secs(60);

/// What kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A client certificate of the cluster's authority.
    Certificate,
    /// A service account's token.
    AccountToken,
    /// A bootstrap token.
    BootstrapToken,
    /// Anything that the cluster has not made.
    Forged,
}

/// What the server owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Accept,
    Refuse,
    /// Both are right.
    Either,
}

/// See the module.
pub(super) struct Credential {
    pub kind: Kind,
    /// For people.
    pub what: String,
    pub rest: Rest,
    pub from: Wall,
    pub until: Wall,
    /// When it was made, in true time.
    pub made: Mono,
    /// When its revocation was acknowledged, in true time.
    pub revoked: Option<Mono>,
    /// When it was accepted last while it was good, by the server's monotonic clock.
    pub good_at: Option<Mono>,
}

impl Credential {
    /// What is due at `now` of the server's wall clock.
    fn due(&self, scene: &Scene, now: Wall) -> Due {
        if self.kind == Kind::Forged {
            return Due::Refuse;
        }
        let slack = self.slack();
        let is_token = self.kind != Kind::Certificate;
        let believed = is_token && self.good_at.is_some_and(|at| self.server_runs(scene).since(at) <= CACHED);
        if now > self.until + slack || now < self.from - slack {
            return if believed { Due::Either } else { Due::Refuse };
        }
        // What a disk has lied about is lost with its power: the object, or its deletion.
        let lost = |at: Mono| is_token && scene.history.doubts(at);
        if lost(self.made) || self.revoked.is_some_and(lost) {
            return Due::Either;
        }
        let true_now = scene.workstation().clock().monotonic();
        let heard = |since: Mono| true_now.since(since).min(scene.tempo.calm_for()) >= HEARD;
        if let Some(revoked) = self.revoked {
            return if heard(revoked) { Due::Refuse } else { Due::Either };
        }
        let certain = match self.kind {
            Kind::Certificate => scene.trusts_authority(),
            _ => heard(self.made),
        };
        let within = now < self.until - EDGE && now > self.from + EDGE;
        if certain && within { Due::Accept } else { Due::Either }
    }

    /// How far beyond its dates it may be accepted.
    fn slack(&self) -> SignedDuration {
        if self.kind == Kind::AccountToken { EDGE + LEEWAY } else { EDGE }
    }

    fn server_runs(&self, scene: &Scene) -> Mono {
        scene.host(CONTROL_PLANE).clock().monotonic()
    }

    /// Shows it to the server, and judges the answer by the server's clock before and after. `None`: nothing was
    /// learned.
    pub(super) async fn show(&mut self, scene: &Scene) -> Option<bool> {
        let look = || (self.due(scene, scene.server_time()), scene.tempo.disturbances(), scene.server_time());
        let before = look();
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let answer = self.rest.create(&REVIEWS, None, &review).await;
        let accepted = match &answer {
            Ok(_) => true,
            Err(e) if e.is_unauthorized() => false,
            Err(e) if e.is_forbidden() => true,
            // No answer, or one that says nothing of credentials.
            Err(_) => return None,
        };
        let after = look();
        let counter = if accepted { &scene.figures.accepted } else { &scene.figures.refused };
        counter.fetch_add(1, Relaxed);
        let due = if (before.0, before.1) == (after.0, after.1) { before.0 } else { Due::Either };
        let words = || {
            format!(
                "{} (good from {} to {}) was {} at {} of the server's clock",
                self.what,
                rfc3339(self.from),
                rfc3339(self.until),
                if accepted { "accepted" } else { "refused" },
                rfc3339(after.2)
            )
        };
        scene.judge.check(NEVER_ACCEPTED, !(accepted && due == Due::Refuse), words);
        scene.judge.check(NEVER_REFUSED, accepted || due != Due::Accept, words);
        let slack = self.slack();
        let good = after.2 <= self.until + slack && after.2 >= self.from - slack;
        if accepted && good && self.revoked.is_none() {
            self.good_at = Some(self.server_runs(scene));
        }
        Some(accepted)
    }
}
