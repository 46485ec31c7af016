//! What a run amounted to.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
    sync::atomic::AtomicU64,
};

use serde::Serialize;
use world::{Event, Wall, rfc3339};

/// Counted while it runs.
#[derive(Default)]
pub(super) struct Figures {
    /// Credentials that were accepted.
    pub accepted: AtomicU64,
    /// Credentials that were refused.
    pub refused: AtomicU64,
    /// What a node may not do and was forbidden.
    pub forbidden: AtomicU64,
}

/// Counted in the end, and added up over runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Runs.
    pub worlds: u64,
    /// Simulated time, in seconds.
    pub simulated_seconds: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Those of them that another fault kept from happening, or from being remedied as planned.
    pub hindered: u64,
    /// Requests that an apiserver answered.
    pub requests: u64,
    /// TLS handshakes that a client began.
    pub handshakes: u64,
    /// Those that failed.
    pub failed_handshakes: u64,
    /// Certificates that came into sight: made by kubeadm, signed by the controller manager, shown by a client.
    pub certificates: u64,
    /// Those of them that ended while the world existed.
    pub expired_certificates: u64,
    /// Writes that were acknowledged and compared.
    pub acknowledged: u64,
    /// Events of watches that were compared.
    pub watched: u64,
    /// Credentials that were shown and accepted.
    pub accepted: u64,
    /// Credentials that were shown and refused.
    pub refused: u64,
    /// What a node tried that is not its business, and was forbidden.
    pub forbidden: u64,
    /// How often somebody began to lead.
    pub terms: u64,
    /// How often two led at once.
    pub two_holders: u64,
    /// Writes of a former leader that were refused.
    pub fenced: u64,
    /// How long healing took at most after the last remedy, in seconds.
    pub slowest_healing_seconds: u64,
}

impl Tally {
    /// Adds what the record of a world tells.
    pub(super) fn read(&mut self, events: &[Event], end: Wall) {
        let mut certificates = BTreeSet::new();
        let end = rfc3339(end);
        for event in events {
            let field =
                |name: &str| event.fields.iter().find(|(key, _)| *key == name).map(|(_, v)| v.as_str());
            match event.kind {
                "request" => self.requests += 1,
                "fault" if field("failed").is_some() => self.hindered += 1,
                "handshake" if field("side") == Some("client") => {
                    self.handshakes += 1;
                    self.failed_handshakes += u64::from(field("result") != Some("ok"));
                }
                _ => {}
            }
            if let (Some(serial), Some(until)) = (field("serial"), field("not_after")) {
                certificates.insert((serial, until));
            }
        }
        self.certificates += certificates.len() as u64;
        // RFC 3339 in UTC sorts as time does.
        self.expired_certificates +=
            certificates.iter().filter(|(_, until)| *until < end.as_str()).count() as u64;
    }
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        for (kind, n) in &other.faults {
            *self.faults.entry(kind).or_default() += n;
        }
        let sums = [
            (&mut self.worlds, other.worlds),
            (&mut self.simulated_seconds, other.simulated_seconds),
            (&mut self.hindered, other.hindered),
            (&mut self.requests, other.requests),
            (&mut self.handshakes, other.handshakes),
            (&mut self.failed_handshakes, other.failed_handshakes),
            (&mut self.certificates, other.certificates),
            (&mut self.expired_certificates, other.expired_certificates),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.watched, other.watched),
            (&mut self.accepted, other.accepted),
            (&mut self.refused, other.refused),
            (&mut self.forbidden, other.forbidden),
            (&mut self.terms, other.terms),
            (&mut self.two_holders, other.two_holders),
            (&mut self.fenced, other.fenced),
        ];
        sums.into_iter().for_each(|(sum, n)| *sum += n);
        self.slowest_healing_seconds = self.slowest_healing_seconds.max(other.slowest_healing_seconds);
    }
}
