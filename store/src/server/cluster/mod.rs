//! The members of one cluster in the simulated gear: one history between them, and who may answer for it.
//!
//! ```text
//!   disk of cp1 ── Seat ─┐
//!   disk of cp2 ── Seat ─┼─> Cluster ── members, History, who leads
//!   disk of cp3 ── Seat ─┘       ^
//!                                │ asks before it answers
//!   Member (one per process) ────┘
//! ```
//!
//! Raft is not modelled: no terms of office, no votes, no log to catch up with. Whoever serves while the network lets
//! it reach the peer URLs of a majority commits to the one history; the first to need a leader becomes it. So there
//! is no time of an election, a member that was away lacks nothing when it is back, and a read that asks for no
//! agreement (`serializable`) sees what the others wrote on the other side of a cut. What holds: without a majority
//! nothing is written or agreed upon, in etcd's words.
//!
//! The history lives as long as a disk of a member holds its seat.

mod boot;
mod change;
mod member;
mod watched;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::Net;

use crate::{Medium, Memory, Mvcc, mvcc::History};
pub(super) use boot::REMOVED;
pub(super) use member::Member;

/// What all members share.
#[derive(Debug)]
pub(super) struct Cluster {
    id: u64,
    medium: Medium,
    history: History,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<u64, Entry>,
    /// Ids of members that were there: none comes back.
    removed: BTreeSet<u64>,
    serving: BTreeMap<u64, Serving>,
    leader: Option<Leader>,
    /// How often the leader changed; etcd begins with 2.
    term: u64,
}

/// A member as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: u64,
    /// Empty until it has started.
    pub(super) name: String,
    pub(super) peer_urls: Vec<String>,
    pub(super) client_urls: Vec<String>,
    pub(super) learner: bool,
    /// Its data directory is some disk's.
    bootstrapped: bool,
}

/// A member whose process runs.
#[derive(Debug)]
struct Serving {
    net: Net,
    removed: Arc<Notify>,
}

/// Who commits. The committer is its process's own and ends with it.
#[derive(Debug)]
struct Leader {
    id: u64,
    commits: Weak<Mvcc<Memory>>,
}

impl State {
    fn voters(&self) -> impl Iterator<Item = &Entry> {
        self.members.values().filter(|member| !member.learner)
    }

    /// Whether bytes would pass between the two members now.
    fn connected(&self, from: u64, to: u64) -> bool {
        if from == to {
            return self.serving.contains_key(&from);
        }
        let (Some(from), Some(to)) = (self.serving.get(&from), self.members.get(&to)) else { return false };
        let mut addresses = to.peer_urls.iter().filter_map(|url| address(url));
        self.serving.contains_key(&to.id)
            && addresses.any(|(host, port)| from.net.reaches(host, port) == Some(true))
    }

    /// Whether the member and those that it reaches are a majority.
    fn has_quorum(&self, id: u64) -> bool {
        let (all, connected) = self.voters().fold((0, 0), |(all, connected), voter| {
            (all + 1, connected + usize::from(self.connected(id, voter.id)))
        });
        connected > all / 2
    }

    /// Who leads, if that one still has a majority.
    fn leader(&self) -> Option<(u64, Arc<Mvcc<Memory>>)> {
        let leader = self.leader.as_ref()?;
        let commits = leader.commits.upgrade()?;
        let leads =
            !commits.is_closed() && self.members.contains_key(&leader.id) && self.has_quorum(leader.id);
        leads.then_some((leader.id, commits))
    }
}

/// Host and port of a URL.
fn address(url: &str) -> Option<(&str, u16)> {
    let (_, rest) = url.split_once("://")?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}
