//! How much of a zone is down, and how fast its nodes may be emptied then
//! (`pkg/controller/nodelifecycle`, ComputeZoneState, handleDisruption).

use std::{collections::BTreeMap, time::Duration};

use api::object::ObjectExt as _;
use serde_json::Value;
use world::Mono;

use super::changes::Counts;

/// One node in ten seconds (`--node-eviction-rate=0.1`).
const NORMAL: Duration = Duration::from_secs(10);
/// One node in a hundred seconds (`--secondary-node-eviction-rate=0.01`), in a zone that is large.
const SLOW: Duration = Duration::from_secs(100);
/// A zone with more nodes is large (`--large-cluster-size-threshold`).
const LARGE: usize = 50;
/// Share of nodes, in hundredths, from which a zone counts as unhealthy (`--unhealthy-zone-threshold`).
const UNHEALTHY: usize = 55;

/// Region and zone of a node; both empty where nobody said.
pub(super) fn zone_of(node: &Value) -> String {
    let label = |stable: &str, old: &str| {
        let of = |key: &str| node.str_at(&format!("/metadata/labels/{key}")).to_owned();
        Some(of(stable)).filter(|v| !v.is_empty()).unwrap_or_else(|| of(old))
    };
    let region = label("topology.kubernetes.io~1region", "failure-domain.beta.kubernetes.io~1region");
    let zone = label("topology.kubernetes.io~1zone", "failure-domain.beta.kubernetes.io~1zone");
    format!("{region}/{zone}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Normal,
    Partial,
    Full,
}

impl State {
    fn of(ready: usize, down: usize) -> Self {
        if ready == 0 && down > 0 {
            Self::Full
        } else if down > 2 && down * 100 >= (ready + down) * UNHEALTHY {
            Self::Partial
        } else {
            Self::Normal
        }
    }

    /// Time from one node to the next; `None` for never.
    fn pace(self, nodes: usize) -> Option<Duration> {
        match self {
            Self::Normal | Self::Full => Some(NORMAL),
            Self::Partial => (nodes > LARGE).then_some(SLOW),
        }
    }
}

struct Zone {
    state: State,
    pace: Option<Duration>,
    /// When the next node may be emptied.
    next: Mono,
}

/// What a look at all zones says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Zones are judged one by one.
    Zones,
    /// Not one node is ready: more likely the fault is here. Nothing is emptied.
    AllDown,
    /// All were down until now: every node has a whole grace again.
    Recovered,
}

/// See the module.
#[derive(Default)]
pub(super) struct Zones {
    zones: BTreeMap<String, Zone>,
    all_down: bool,
}

impl Zones {
    /// Whether these counts would change how any zone is doing.
    pub(super) fn differ(&self, counts: &Counts) -> bool {
        self.zones.len() != counts.len()
            || counts.iter().any(|(name, (ready, down))| {
                let state = State::of(*ready, *down);
                !self.zones.get(name).is_some_and(|z| z.state == state && z.pace == state.pace(ready + down))
            })
    }

    /// Takes over how many nodes of each zone are ready and how many are down.
    pub(super) fn judge(&mut self, counts: &Counts) -> Outlook {
        self.zones.retain(|name, _| counts.contains_key(name));
        for (name, (ready, down)) in counts {
            let state = State::of(*ready, *down);
            let pace = state.pace(ready + down);
            let zone =
                self.zones.entry(name.clone()).or_insert_with(|| Zone { state, pace, next: Mono::default() });
            (zone.state, zone.pace) = (state, pace);
        }
        let was_down = self.all_down;
        self.all_down = !self.zones.is_empty() && self.zones.values().all(|z| z.state == State::Full);
        match (was_down, self.all_down) {
            (_, true) => Outlook::AllDown,
            (true, false) => Outlook::Recovered,
            (false, false) => Outlook::Zones,
        }
    }

    /// Whether a node of the zone may be emptied now; it then counts as done.
    pub(super) fn take(&mut self, zone: &str, now: Mono) -> bool {
        let Some(zone) = self.zones.get_mut(zone).filter(|_| !self.all_down) else { return false };
        match zone.pace {
            Some(pace) if now >= zone.next => {
                zone.next = now + pace;
                true
            }
            _ => false,
        }
    }

    /// When the next node of the zone may be emptied; `None` while none may.
    pub(super) fn next(&self, zone: &str) -> Option<Mono> {
        let zone = self.zones.get(zone).filter(|z| !self.all_down && z.pace.is_some())?;
        Some(zone.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_fast_a_zone_is_emptied() {
        let check = |ready, down, expect: Option<u64>| {
            let pace = State::of(ready, down).pace(ready + down).map(|p| p.as_secs());
            assert_eq!(pace, expect, "{ready} ready, {down} down");
        };
        check(10, 0, Some(10));
        check(1, 2, Some(10));
        check(2, 3, None);
        check(3, 3, Some(10));
        check(45, 54, Some(10));
        check(45, 55, Some(100));
        check(0, 3, Some(10));
    }

    #[test]
    fn nothing_is_emptied_while_all_are_down() {
        let mut zones = Zones::default();
        let counts =
            |a: (usize, usize), b: (usize, usize)| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let now = Mono::default();
        assert!(zones.differ(&counts((0, 3), (3, 0))), "zones that nobody has seen");
        assert_eq!(zones.judge(&counts((0, 3), (3, 0))), Outlook::Zones);
        assert!(!zones.differ(&counts((0, 2), (3, 1))), "as good and as bad as before");
        assert!(zones.differ(&counts((1, 2), (3, 0))), "not all are down any more");
        assert!(zones.differ(&counts((0, 3), (51, 70))), "large now, and unhealthy");
        assert!(zones.take("a", now));
        assert!(!zones.take("a", now + (NORMAL - Duration::from_secs(1))));
        assert!(zones.take("a", now + NORMAL));
        assert!(zones.take("b", now), "zones do not wait for each other");
        assert_eq!(zones.judge(&counts((0, 3), (0, 3))), Outlook::AllDown);
        assert!(!zones.take("a", now + NORMAL * 10));
        assert_eq!(zones.judge(&counts((0, 3), (1, 2))), Outlook::Recovered);
        assert_eq!(zones.judge(&counts((0, 3), (1, 2))), Outlook::Zones);
        assert!(zones.take("a", now + NORMAL * 10));
    }
}
