//! Chance: from a kind to one fault with its parameters.

use std::num::NonZeroU32;

use world::Entropy;

use super::{
    fault::{Fault, Kept, Replaced, Resolves, Weather},
    kinds::Kind,
    plan::{CANDIDATES, HOUR, LEAF_HOURS, Planned},
};
use crate::{
    Component,
    cluster::{CONTROL_PLANE, WORKSTATION},
};

/// Chance, and what there is to choose from.
pub(super) struct Dice {
    pub entropy: Entropy,
    /// Workers.
    pub nodes: usize,
}

impl Dice {
    pub(super) fn below(&self, n: u64) -> u64 {
        self.entropy.below(n)
    }

    fn pick<T: Clone>(&self, of: &[T], instead: T) -> T {
        of.get(self.below(of.len() as u64) as usize).cloned().unwrap_or(instead)
    }

    pub(super) fn kind(&self, kinds: &[&'static Kind]) -> Option<&'static Kind> {
        let total: u64 = kinds.iter().map(|kind| kind.weight.max(1)).sum();
        let mut left = self.below(total);
        kinds.iter().copied().find(|kind| {
            let here = left < kind.weight.max(1);
            left = left.saturating_sub(kind.weight.max(1));
            here
        })
    }

    fn workers(&self) -> Vec<String> {
        (1..=self.nodes).map(|n| format!("node{n}")).collect()
    }

    /// Every host that a plan may name.
    pub(super) fn hosts(&self) -> Vec<String> {
        let others = [CONTROL_PLANE, WORKSTATION].into_iter().chain(CANDIDATES).map(str::to_owned);
        others.chain(self.workers()).collect()
    }

    fn member(&self) -> String {
        let members: Vec<String> = std::iter::once(CONTROL_PLANE.to_owned()).chain(self.workers()).collect();
        self.pick(&members, CONTROL_PLANE.to_owned())
    }

    /// A member of the cluster, or a candidate.
    fn actor(&self) -> String {
        match self.below(3) {
            0 => self.pick(&CANDIDATES, CANDIDATES[0]).to_owned(),
            _ => self.member(),
        }
    }

    /// Whoever talks to the control plane.
    fn client(&self) -> String {
        let mut all = self.workers();
        all.extend(CANDIDATES.map(str::to_owned));
        all.push(WORKSTATION.to_owned());
        self.pick(&all, WORKSTATION.to_owned())
    }

    /// Two that talk to each other, at which port.
    fn connected(&self) -> (String, String, u16) {
        let (control_plane, apiserver) = (CONTROL_PLANE.to_owned(), 6443);
        match self.below(3) {
            0 => (control_plane.clone(), control_plane, 2379),
            1 => (control_plane.clone(), control_plane, apiserver),
            _ => (self.client(), control_plane, apiserver),
        }
    }

    /// From a long way to a hopeless one.
    fn weather(&self) -> Weather {
        let latency_ms = 1 + self.below(self.pick(&[50, 500, 3000], 50));
        let jitter_ms = self.below(latency_ms + 1);
        let loss_per_mille = self.below(self.pick(&[1, 20, 200], 1)) as u16;
        let rate = self.pick(&[None, Some(200), Some(20), Some(3)], None);
        Weather { latency_ms, jitter_ms, loss_per_mille, messages_per_second: rate.and_then(NonZeroU32::new) }
    }

    fn program(&self) -> (String, Component) {
        match self.below(5) {
            0 => (self.member(), Component::Kubelet),
            _ => (CONTROL_PLANE.to_owned(), self.pick(&Component::STATIC, Component::Etcd)),
        }
    }

    /// Seconds ahead or back: from a nuisance to a wrong day.
    fn step(&self) -> i64 {
        let most = self.pick(&[3_u64, 90, 700, HOUR, 20 * HOUR], 3);
        let by = 1 + self.below(most) as i64;
        if self.below(2) == 0 { by } else { -by }
    }

    pub(super) fn planned(&self, kind: &Kind, at: u64) -> Planned {
        let lasts = match kind.name {
            "outlive" => (LEAF_HOURS + 1) * HOUR,
            _ if kind.lasts => 5 + self.below(self.pick(&[20, 120, 300], 20)),
            _ => 0,
        };
        let host = || self.actor();
        let fault = match kind.name {
            "crash" => {
                let (host, component) = self.program();
                Fault::Crash { host, component }
            }
            "stop" => {
                let (host, component) = self.program();
                Fault::Stop { host, component }
            }
            "reboot" => Fault::Reboot { host: self.member() },
            "power-failure" => Fault::PowerFailure { host: self.member() },
            "partition" => Fault::Partition { a: self.client(), b: CONTROL_PLANE.to_owned() },
            "one-way" => {
                let (there, here) = (self.client(), CONTROL_PLANE.to_owned());
                let (from, to) = if self.below(2) == 0 { (there, here) } else { (here, there) };
                Fault::OneWay { from, to }
            }
            "bad-network" => {
                // Also between the apiserver and its store.
                let a = if self.below(4) == 0 { CONTROL_PLANE.to_owned() } else { self.client() };
                Fault::BadNetwork { a, b: CONTROL_PLANE.to_owned(), weather: self.weather() }
            }
            "reset" => {
                let (from, to, port) = self.connected();
                Fault::Reset { from, to, port }
            }
            "half-open" => {
                let (from, to, port) = self.connected();
                Fault::HalfOpen { from, to, port }
            }
            "name-wrong" => {
                let all = [Resolves::Elsewhere, Resolves::Unknown, Resolves::Silence];
                Fault::NameWrong { host: self.client(), resolves: self.pick(&all, Resolves::Unknown) }
            }
            "step" => Fault::Step { host: host(), seconds: self.step() },
            "drift" => {
                let ppm = 100 + self.below(100_000) as i32;
                Fault::Drift { host: host(), ppm: if self.below(2) == 0 { ppm } else { -ppm } }
            }
            "freeze" => Fault::Freeze { host: host() },
            "pause" => Fault::Pause { host: host() },
            "suspend" => Fault::Suspend { host: host() },
            "disk-full" => Fault::DiskFull { host: self.member() },
            "disk-read-only" => Fault::DiskReadOnly { host: self.member() },
            "slow-fsync" => Fault::SlowFsync {
                host: CONTROL_PLANE.to_owned(),
                milliseconds: 10 + self.below(self.pick(&[100, 1000, 12_000], 100)),
            },
            "lying-fsync" => Fault::LyingFsync,
            "certificate-replaced" => {
                let all = [Replaced::Serving, Replaced::ClientAuthority, Replaced::KubeletClient];
                Fault::CertificateReplaced { which: self.pick(&all, Replaced::Serving) }
            }
            "object-deleted" => {
                let all = [Kept::RootCa, Kept::NodeLease, Kept::LeaderLease, Kept::DefaultAccount];
                Fault::ObjectDeleted { which: self.pick(&all, Kept::RootCa) }
            }
            "secret-deleted" => Fault::SecretDeleted,
            "webhook-gone" => Fault::WebhookGone,
            "webhook-slow" => Fault::WebhookSlow,
            "overload" => Fault::Overload { requests: 50 + self.below(400) as u32 },
            "compaction" => Fault::Compaction,
            _ => Fault::Outlive,
        };
        Planned { at, lasts, fault, remedied: true }
    }
}
