//! A plan: everything about a run that is not the program. The same plan gives the same trace.

use serde::{Deserialize, Serialize};
use world::Entropy;

use super::{
    dice::Dice,
    fault::Fault,
    kinds::{KINDS, Kind},
};
use crate::HarnessError;

/// The two hosts whose programs fight for a Lease.
pub(super) const CANDIDATES: [&str; 2] = ["candidate1", "candidate2"];

/// Nothing goes wrong before the load has run for so long, in seconds.
const CALM: u64 = 120;
pub(super) const HOUR: u64 = 3600;
/// So long a person may try to put files back, in seconds.
const RESTORED_WITHIN: u64 = 600;
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

/// One fault of every kind that is planned without being asked for, as chance has it: the first after `first` seconds, the
/// others `apart` seconds after each other.
pub fn every_kind(seed: u64, first: u64, apart: u64) -> Vec<Planned> {
    let shape = Shape::default();
    let dice = Dice { entropy: Entropy::seeded(seed, "chaos/every"), nodes: shape.nodes };
    (0..).zip(shape.kinds).map(|(n, kind)| dice.planned(kind, first + n * apart)).collect()
}

/// Whether the remedy of one is the other's too: two that overlap would not last as long as the plan says.
fn share_remedy(one: &Fault, other: &Fault) -> bool {
    let cuts = |fault: &Fault| matches!(fault, Fault::Partition { .. } | Fault::OneWay { .. });
    one.kind().name == other.kind().name || (cuts(one) && cuts(other))
}

/// A person who puts files back on a disk that lies loses them again, and nobody tells: what a disk that lies has in
/// company is no certificate.
fn spare_restored_files(faults: &mut Vec<Planned>) {
    let near =
        |lie: &Planned, files: &Planned| files.at <= lie.ends() && lie.at <= files.ends() + RESTORED_WITHIN;
    let lies: Vec<Planned> = faults.iter().filter(|f| f.fault == Fault::LyingFsync).cloned().collect();
    faults.retain(|planned| {
        let files = matches!(planned.fault, Fault::CertificateReplaced { .. });
        !files || !lies.iter().any(|lie| near(lie, planned))
    });
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
                let Some(kind) = dice.kind(&shape.kinds) else { continue };
                let planned = dice.planned(kind, at + later);
                let before = faults.last().filter(|before: &&Planned| before.ends() >= planned.at);
                if !before.is_some_and(|before| share_remedy(&before.fault, &planned.fault)) {
                    faults.push(planned);
                }
            }
        }
        spare_restored_files(&mut faults);
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
