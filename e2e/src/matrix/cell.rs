//! A cell of the table: what kind of cluster, how it stops, for how long, and how old it is then.

use std::{fmt, str::FromStr, time::Duration};

/// How long everything lives that kubeadm issues, that the controller manager signs for kubelets, and that a kubelet
/// makes for its own server: a year, give or take minutes.
const LEAF_DAYS: u32 = 365;
const AWAY: [u32; 5] = [30, 90, 180, 365, 730];
const AGES: [u32; 3] = [30, 60, 90];
const DAY: Duration = Duration::from_secs(86_400);

/// How many control planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One, with one worker.
    Single,
    /// Three with stacked etcd behind a balancer, and one worker.
    Ha,
}

/// How all hosts stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Tasks and running clocks stand still; what was open is open afterwards.
    Suspend,
    /// Every process ends; files stay, and enabled units start again.
    Shutdown,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// How many control planes.
    pub topology: Topology,
    /// How all hosts stop.
    pub stop: Stop,
    /// For how many days.
    pub away: u32,
    /// How many days old the cluster is then.
    pub age: u32,
}

impl Cell {
    /// The whole table, in the order in which it is read.
    pub fn all() -> impl Iterator<Item = Self> {
        let stops = [Stop::Suspend, Stop::Shutdown];
        let kinds = [Topology::Single, Topology::Ha].into_iter().flat_map(move |t| stops.map(|s| (t, s)));
        let spans = AWAY.into_iter().flat_map(|away| AGES.map(|age| (away, age)));
        let spans: Vec<_> = spans.collect();
        kinds.flat_map(move |(topology, stop)| {
            spans.clone().into_iter().map(move |(away, age)| Self { topology, stop, away, age })
        })
    }

    /// Whether the certificates' year is over when the hosts wake. No cell is near that edge: what happens a second
    /// before and after it is told by the stories, certificate by certificate.
    pub fn outlives_leaves(&self) -> bool {
        self.age + self.away > LEAF_DAYS
    }

    /// For how long the hosts are away.
    pub fn away(&self) -> Duration {
        DAY * self.away
    }

    /// How old the cluster is when they stop.
    pub fn age(&self) -> Duration {
        DAY * self.age
    }
}

/// `30d`, or `2y` where it is years.
fn span(days: u32) -> String {
    match days {
        0 => "0d".to_owned(),
        _ if days.is_multiple_of(LEAF_DAYS) => format!("{}y", days / LEAF_DAYS),
        _ => format!("{days}d"),
    }
}

fn days(text: &str) -> Option<u32> {
    match text.strip_suffix('y') {
        Some(years) => years.parse::<u32>().ok()?.checked_mul(LEAF_DAYS),
        None => text.strip_suffix('d')?.parse().ok(),
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topology = match self.topology {
            Topology::Single => "single",
            Topology::Ha => "ha",
        };
        let stop = match self.stop {
            Stop::Suspend => "suspend",
            Stop::Shutdown => "shutdown",
        };
        write!(f, "{topology}/{stop}/{}/{}", span(self.away), span(self.age))
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let cell = match parts.as_slice() {
            [topology, stop, away, age] => (|| {
                let topology = match *topology {
                    "single" => Topology::Single,
                    "ha" => Topology::Ha,
                    _ => return None,
                };
                let stop = match *stop {
                    "suspend" => Stop::Suspend,
                    "shutdown" => Stop::Shutdown,
                    _ => return None,
                };
                Some(Self { topology, stop, away: days(away)?, age: days(age)? })
            })(),
            _ => None,
        };
        cell.ok_or_else(|| {
            format!("{text:?} is no cell; a cell looks like single/suspend/1y/30d or ha/shutdown/90d/60d")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_sixty_cells_each_of_which_is_read_as_it_is_written() {
        let all: Vec<Cell> = Cell::all().collect();
        assert_eq!(all.len(), 2 * 2 * 5 * 3);
        for cell in &all {
            assert_eq!(cell.to_string().parse(), Ok(*cell));
        }
        assert_eq!(all[0].to_string(), "single/suspend/30d/30d");
        assert_eq!(all[59].to_string(), "ha/shutdown/2y/90d");
        assert_eq!(all.iter().filter(|cell| cell.outlives_leaves()).count(), 24);
    }

    #[test]
    fn what_is_no_cell_is_told_how_one_looks() {
        for wrong in
            ["", "ha", "ha/off/1y/30d", "one/suspend/1y/30d", "ha/suspend/1m/30d", "ha/suspend/-1d/30d"]
        {
            let why = wrong.parse::<Cell>().expect_err("no cell");
            assert!(why.contains("single/suspend/1y/30d"), "{why}");
        }
    }
}
