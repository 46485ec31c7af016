//! Client certificates that begin and end while the plan runs, one that always holds, and one of a stranger.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use pki::kubeconfig::User;
use world::{Host, Wall};

use super::{
    super::scene::{Scene, identity, stranger},
    credential::{Credential, Kind},
};
use crate::HarnessError;

/// How many begin and end.
const PASSING: u64 = 4;

/// See the module.
pub(super) struct Certificates {
    scene: Arc<Scene>,
    host: Host,
    all: Vec<Credential>,
}

impl Certificates {
    pub(super) fn new(scene: &Arc<Scene>) -> Result<Self, HarnessError> {
        let host = scene.workstation();
        let (now, plan) = (host.clock().wall(), scene.plan_seconds);
        let long = now + SignedDuration::from_hours(24 * 365);
        let mut made = Self { scene: scene.clone(), host, all: Vec::new() };
        made.add(Kind::Certificate, "chaos-always", now - SignedDuration::from_hours(1), long)?;
        made.add(Kind::Forged, "chaos-forged", now - SignedDuration::from_hours(1), long)?;
        for n in 0..PASSING {
            let within = |most: u64| SignedDuration::from_secs(made.host.entropy().below(most.max(1)) as i64);
            let from = now + within(plan * 3 / 4);
            let until = from + SignedDuration::from_mins(1) + within(plan / 4);
            made.add(Kind::Certificate, &format!("chaos-passing{n}"), from, until)?;
        }
        Ok(made)
    }

    fn add(&mut self, kind: Kind, name: &str, from: Wall, until: Wall) -> Result<(), HarnessError> {
        let authority =
            if kind == Kind::Forged { stranger(&self.host)? } else { self.scene.authority.clone() };
        // Dates of certificates have whole seconds.
        let whole = |at: Wall| Wall::from_second(at.as_second()).unwrap_or(at);
        let (from, until) = (whole(from), whole(until));
        let pair = identity(&self.host, &authority, name, &[], from, until)?;
        let rest = self.scene.client(&self.host, User::with_certificate(&pair), name)?;
        // It is good for as long as its authority is, which a clock may be set back before.
        let ca = &authority.certificate;
        self.all.push(Credential {
            kind,
            what: format!("the client certificate of {name}"),
            rest,
            from: from.max(ca.not_before()),
            until: until.min(ca.not_after()),
            made: self.host.clock().monotonic(),
            revoked: None,
            good_at: None,
        });
        Ok(())
    }

    pub(super) async fn run(mut self) {
        while self.scene.tempo.turn(&self.host).await {
            let at = self.host.entropy().below(self.all.len() as u64) as usize;
            if let Some(credential) = self.all.get_mut(at) {
                credential.show(&self.scene).await;
            }
            self.edge().await;
        }
    }

    /// If one begins or ends within a minute by the server's clock, it is shown just before and just after.
    async fn edge(&mut self) {
        let now = self.scene.server_time();
        let soon = |at: Wall| {
            let left = at.duration_since(now);
            (left > SignedDuration::from_secs(2) && left < SignedDuration::from_mins(1)).then_some(left)
        };
        let next = self.all.iter_mut().find_map(|c| soon(c.from).or(soon(c.until)).map(|left| (c, left)));
        let Some((credential, left)) = next else { return };
        let left = Duration::try_from(left).unwrap_or_default();
        self.host.clock().sleep(left.saturating_sub(Duration::from_millis(1500))).await;
        credential.show(&self.scene).await;
        self.host.clock().sleep(Duration::from_secs(3)).await;
        credential.show(&self.scene).await;
    }
}
