//! A plan: everything about a run that is not the program. The same plan gives the same trace.

use serde::{Deserialize, Serialize};
use world::Entropy;

use super::fault::{Component, Fault, KINDS, Kept, Kind, Replaced};
use crate::{HarnessError, cluster::CONTROL_PLANE, cluster::WORKSTATION};

/// The two hosts whose programs fight for a Lease.
pub(super) const CANDIDATES: [&str; 2] = ["candidate1", "candidate2"];

/// Nothing goes wrong before the load has run for so long, in seconds.
const CALM: u64 = 120;
const HOUR: u64 = 3600;
/// The longest plan: certificates of load and cluster are made to last so long.
const LONGEST_HOURS: u64 = 200;
/// Validity of what kubeadm issues in these clusters, in hours.
pub(super) const LEAF_HOURS: u64 = 240;
/// Validity of what the controller manager signs, in hours, so that kubelets rotate within a day.
const SIGNED_HOURS: u64 = 24;
/// The same where nobody can sign for days.
const SIGNED_LONG_HOURS: u64 = 24 * 365;

/// One fault in its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Planned {
    /// When it begins, in seconds after the load began.
    pub at: u64,
    /// Until its remedy, in seconds; without meaning for what is over at once.
    #[serde(default)]
    pub lasts: u64,
    /// What happens.
    pub fault: Fault,
    /// Whether its remedy comes. Without it the cluster is not expected to heal, and the run says so.
    #[serde(default = "yes")]
    pub remedied: bool,
}

fn yes() -> bool {
    true
}

impl Planned {
    /// When it is over, in seconds after the load began.
    pub fn ends(&self) -> u64 {
        match self.remedied {
            true => self.at.saturating_add(self.lasts),
            false => self.at,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Decides all chance.
    pub seed: u64,
    /// How long the load runs, in hours; longer if a fault lasts longer.
    pub hours: u64,
    /// Workers besides the control plane.
    pub nodes: usize,
    /// For how long the controller manager signs certificates, in hours.
    pub signed_hours: u64,
    /// What goes wrong.
    pub faults: Vec<Planned>,
}

/// What plans are made of.
#[derive(Clone, Debug)]
pub struct Shape {
    /// As [`Plan::hours`].
    pub hours: u64,
    /// As [`Plan::nodes`].
    pub nodes: usize,
    /// The kinds to choose from, by their weight; a weight of 0 counts as 1 here.
    pub kinds: Vec<&'static Kind>,
}

impl Default for Shape {
    /// A day, one worker, every kind that is planned without being asked for.
    fn default() -> Self {
        Self { hours: 24, nodes: 1, kinds: KINDS.iter().filter(|kind| kind.weight > 0).collect() }
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn seeded(seed: u64, shape: &Shape) -> Self {
        let dice = Dice { entropy: Entropy::seeded(seed, "chaos/plan"), nodes: shape.nodes };
        let episodes = 2 + dice.below(3);
        let slot = (shape.hours * HOUR).saturating_sub(CALM) / episodes.max(1);
        let mut faults = Vec::new();
        for n in 0..episodes {
            let at = CALM + n * slot + dice.below(slot.max(2) / 2);
            // Now and then something else happens before it is over.
            let company = dice.below(3) == 0;
            for later in [Some(0), company.then(|| dice.below(60))].into_iter().flatten() {
                if let Some(kind) = dice.kind(&shape.kinds) {
                    faults.push(dice.planned(kind, at + later));
                }
            }
        }
        // Nothing outlives anything: it is the last thing that happens, and happens once.
        let (mut outlive, mut rest): (Vec<_>, Vec<_>) =
            faults.into_iter().partition(|planned| planned.fault == Fault::Outlive);
        rest.sort_by_key(|planned| planned.at);
        let signed_hours = if outlive.is_empty() { SIGNED_HOURS } else { SIGNED_LONG_HOURS };
        if let Some(mut last) = outlive.pop() {
            last.at = rest.iter().map(Planned::ends).max().unwrap_or(CALM) + HOUR;
            rest.push(last);
        }
        Self { seed, hours: shape.hours, nodes: shape.nodes, signed_hours, faults: rest }
    }

    /// When the last thing of the plan is over, in seconds after the load began.
    pub fn ends(&self) -> u64 {
        self.faults.iter().map(Planned::ends).max().unwrap_or(0).max(self.hours * HOUR)
    }

    /// Whether everything that goes wrong is remedied.
    pub fn is_remedied(&self) -> bool {
        self.faults.iter().all(|planned| planned.remedied)
    }

    /// The plan as one line, for `--replay`.
    pub fn to_line(&self) -> String {
        // Numbers, names and lists of them: there is nothing in it that cannot be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a plan, and looks whether it can be played.
    ///
    /// # Errors
    /// It is no plan, or names hosts that there are not.
    pub fn parse(text: &str) -> Result<Self, HarnessError> {
        let plan: Self = serde_json::from_str(text)
            .map_err(|e| HarnessError::new(format!("this is no plan: {e}; --replay prints one that is")))?;
        plan.check()?;
        Ok(plan)
    }

    /// Looks whether it can be played.
    ///
    /// # Errors
    /// Says what cannot.
    pub fn check(&self) -> Result<(), HarnessError> {
        let wrong = |why: String| Err(HarnessError::new(why));
        if self.hours == 0 || self.hours > LONGEST_HOURS {
            return wrong(format!("a plan takes 1 to {LONGEST_HOURS} hours, not {}", self.hours));
        }
        if self.nodes == 0 {
            return wrong("a plan needs a worker: give it 1 node or more".to_owned());
        }
        let hosts = Dice { entropy: Entropy::seeded(0, ""), nodes: self.nodes }.hosts();
        for planned in &self.faults {
            let unknown = planned.fault.hosts().into_iter().find(|name| !hosts.iter().any(|h| h == name));
            if let Some(name) = unknown {
                return wrong(format!(
                    "{} names the host {name:?}; there are {}",
                    planned.fault.kind().name,
                    hosts.join(", ")
                ));
            }
            if planned.ends() > (LONGEST_HOURS + 2 * LEAF_HOURS) * HOUR {
                return wrong(format!(
                    "{} ends after more than {LONGEST_HOURS} hours",
                    planned.fault.kind().name
                ));
            }
        }
        Ok(())
    }
}

impl Fault {
    fn hosts(&self) -> Vec<&str> {
        match self {
            Self::Crash { host, .. }
            | Self::Stop { host, .. }
            | Self::Reboot { host }
            | Self::Step { host, .. }
            | Self::Drift { host, .. }
            | Self::Freeze { host }
            | Self::Pause { host }
            | Self::Suspend { host }
            | Self::DiskFull { host }
            | Self::DiskReadOnly { host } => vec![host],
            Self::Partition { a, b } => vec![a, b],
            Self::Reset { from, to, .. } => vec![from, to],
            Self::CertificateReplaced { .. }
            | Self::ObjectDeleted { .. }
            | Self::WebhookGone
            | Self::WebhookSlow
            | Self::Overload { .. }
            | Self::Compaction
            | Self::Outlive => Vec::new(),
        }
    }
}

/// Chance, and what there is to choose from.
struct Dice {
    entropy: Entropy,
    nodes: usize,
}

impl Dice {
    fn below(&self, n: u64) -> u64 {
        self.entropy.below(n)
    }

    fn pick<T: Clone>(&self, of: &[T], instead: T) -> T {
        of.get(self.below(of.len() as u64) as usize).cloned().unwrap_or(instead)
    }

    fn kind(&self, kinds: &[&'static Kind]) -> Option<&'static Kind> {
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
    fn hosts(&self) -> Vec<String> {
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

    fn planned(&self, kind: &Kind, at: u64) -> Planned {
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
            "partition" => Fault::Partition { a: self.client(), b: CONTROL_PLANE.to_owned() },
            "reset" => match self.below(3) {
                0 => {
                    Fault::Reset { from: CONTROL_PLANE.to_owned(), to: CONTROL_PLANE.to_owned(), port: 2379 }
                }
                1 => {
                    Fault::Reset { from: CONTROL_PLANE.to_owned(), to: CONTROL_PLANE.to_owned(), port: 6443 }
                }
                _ => Fault::Reset { from: self.client(), to: CONTROL_PLANE.to_owned(), port: 6443 },
            },
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
            "certificate-replaced" => {
                let all = [Replaced::Serving, Replaced::ClientAuthority, Replaced::KubeletClient];
                Fault::CertificateReplaced { which: self.pick(&all, Replaced::Serving) }
            }
            "object-deleted" => {
                let all = [Kept::RootCa, Kept::NodeLease, Kept::LeaderLease, Kept::DefaultAccount];
                Fault::ObjectDeleted { which: self.pick(&all, Kept::RootCa) }
            }
            "webhook-gone" => Fault::WebhookGone,
            "webhook-slow" => Fault::WebhookSlow,
            "overload" => Fault::Overload { requests: 50 + self.below(400) as u32 },
            "compaction" => Fault::Compaction,
            _ => Fault::Outlive,
        };
        Planned { at, lasts, fault, remedied: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Shape {
        Shape { kinds: KINDS.iter().collect(), nodes: 2, ..Shape::default() }
    }

    #[test]
    fn a_seed_has_one_plan_and_it_can_be_written_and_read() {
        for seed in 0..300 {
            let plan = Plan::seeded(seed, &all());
            assert_eq!(plan, Plan::seeded(seed, &all()));
            assert_eq!(Plan::parse(&plan.to_line()), Ok(plan.clone()), "{}", plan.to_line());
            assert!(plan.is_remedied() && plan.faults.len() >= 2, "{}", plan.to_line());
        }
        assert_ne!(Plan::seeded(1, &all()).faults, Plan::seeded(2, &all()).faults);
    }

    #[test]
    fn every_kind_is_planned_under_its_own_name() {
        let dice = Dice { entropy: Entropy::seeded(7, "test"), nodes: 1 };
        for kind in KINDS {
            assert_eq!(dice.planned(kind, 0).fault.kind().name, kind.name);
        }
        let planned: std::collections::BTreeSet<_> = (0..1000)
            .flat_map(|seed| Plan::seeded(seed, &all()).faults)
            .map(|planned| planned.fault.kind().name)
            .collect();
        assert_eq!(planned.len(), KINDS.len(), "{planned:?}");
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = Plan::parse(text).expect_err("it cannot be played").to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_a_reason() {
        let plan = |faults: &str, hours: u64, nodes: usize| {
            format!(r#"{{"seed":1,"hours":{hours},"nodes":{nodes},"signedHours":24,"faults":[{faults}]}}"#)
        };
        refused("{}", "this is no plan: missing field");
        refused(&plan("", 0, 1), "1 to 200 hours");
        refused(&plan("", 1, 0), "needs a worker");
        refused(&plan(r#"{"at":1,"fault":{"kind":"freeze","host":"node2"}}"#, 1, 1), "the host \"node2\"");
        refused(&plan(r#"{"at":1,"fault":{"kind":"flood"}}"#, 1, 1), "unknown variant `flood`");
        refused(&plan(r#"{"at":1,"when":2,"fault":{"kind":"compaction"}}"#, 1, 1), "unknown field `when`");
    }
}
