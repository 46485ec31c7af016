//! Two candidates for a Lease, each on a host of its own, and a ledger that only the leader is to write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use api::object::ObjectExt as _;
use client::{
    ClientError, Rest,
    leader::{Election, LeaderElector},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::Host;

use super::super::{
    invariants::FENCED,
    scene::{CONFIG_MAPS, NAMESPACE, NS, Scene, is_open},
    tempo::SLOW,
};
use crate::HarnessError;

/// What both fight for, and what the leader writes.
const LEASE: &str = "leader";
const LEDGER: &str = "ledger";
const AGAIN: Duration = Duration::from_secs(2);
/// Upstream's, as [`Election::new`] has it.
const LEASE_DURATION: Duration = Duration::from_secs(15);

/// Who believes that it leads.
#[derive(Default)]
pub(crate) struct Holders {
    now: AtomicU64,
    /// How often somebody began to lead while another did.
    pub twice: AtomicU64,
    /// How often somebody began to lead.
    pub terms: AtomicU64,
    /// Writes of a former leader that were refused.
    pub refused: AtomicU64,
    /// The latest term whose first write was acknowledged, and not lost since.
    latest: Mutex<Term>,
}

/// Who leads, by number. A lost acknowledgement begins the numbers anew.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Term {
    /// The history's.
    epoch: u64,
    number: u64,
}

struct Holding<'a>(&'a Holders);

impl Holders {
    /// `slow_for`: a lease of another pace says nothing of who should lead.
    fn begin(&self, slow_for: Duration) -> Holding<'_> {
        self.terms.fetch_add(1, Relaxed);
        if self.now.fetch_add(1, Relaxed) > 0 && slow_for > SLOW.of(LEASE_DURATION) {
            self.twice.fetch_add(1, Relaxed);
        }
        Holding(self)
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Relaxed);
    }
}

/// See the module.
pub(super) struct Candidate {
    scene: Arc<Scene>,
    host: Host,
    rest: Rest,
    holders: Arc<Holders>,
}

impl Candidate {
    pub(super) fn new(scene: &Arc<Scene>, host: &Host, holders: &Arc<Holders>) -> Result<Self, HarnessError> {
        let rest = scene.administrator(host, host.name())?;
        Ok(Self { scene: scene.clone(), host: host.clone(), rest, holders: holders.clone() })
    }

    pub(super) async fn run(self) {
        let election = Election::new(&self.host, NAMESPACE, LEASE);
        let elector = match LeaderElector::new(&self.host, &self.rest, election) {
            Ok(elector) => elector,
            Err(e) => return super::cannot(&self.scene.judge, "an election cannot begin", e),
        };
        while !self.scene.tempo.is_quiet() {
            tokio::select! {
                biased;
                _ = elector.run(|| self.lead()) => {}
                // Whose turn never comes again.
                () = self.over() => return,
            }
            self.host.clock().sleep(AGAIN).await;
        }
    }

    /// Whether the ledger of that term may be lost: revisions are given anew then, and fence nobody.
    fn is_void(&self, term: Term) -> bool {
        term.epoch < self.scene.history.epoch()
    }

    async fn over(&self) {
        while self.scene.tempo.turn(&self.host).await {}
    }

    /// Takes the ledger over, and writes it each turn at the revision of its own last write.
    async fn lead(&self) {
        let _holding = self.holders.begin(self.scene.tempo.slow_for());
        let Some((term, mut held)) = self.take_over().await else { return };
        while self.scene.tempo.turn(&self.host).await {
            let mut next = held.clone();
            next["data"]["entry"] = self.host.entropy().below(u64::MAX).to_string().into();
            let latest = *self.holders.latest.lock();
            match self.rest.update(&CONFIG_MAPS, NS, LEDGER, &next).await {
                Ok(stored) => {
                    self.scene.judge.check(FENCED, latest <= term || self.is_void(term), || {
                        format!(
                            "{} wrote as of term {}, after term {} had written",
                            self.host.name(),
                            term.number,
                            latest.number
                        )
                    });
                    held = stored;
                }
                Err(e) if e.is_conflict() => {
                    self.holders.refused.fetch_add(1, Relaxed);
                    return;
                }
                // It may have been written: whether the ledger is still ours, the ledger says.
                Err(e) if is_open(&e) => match self.rest.get(&CONFIG_MAPS, NS, LEDGER).await {
                    Ok(ledger) if term_of(&ledger) == term.number => held = ledger,
                    Ok(_) => return,
                    Err(_) => {}
                },
                Err(_) => {}
            }
        }
    }

    /// The number of a new term, and the ledger with it.
    async fn take_over(&self) -> Option<(Term, Value)> {
        loop {
            let epoch = self.scene.history.epoch();
            let taken = self.try_to_take().await;
            if let Ok(ledger) = taken {
                let term = Term { epoch, number: term_of(&ledger) };
                let mut latest = self.holders.latest.lock();
                *latest = term.max(*latest);
                return Some((term, ledger));
            }
            if self.scene.tempo.is_quiet() {
                return None;
            }
            self.host.clock().sleep(AGAIN).await;
        }
    }

    async fn try_to_take(&self) -> Result<Value, ClientError> {
        let holder = self.host.name();
        match self.rest.get_opt(&CONFIG_MAPS, NS, LEDGER).await? {
            None => {
                let first = json!({"metadata": {"name": LEDGER}, "data": {"term": "1", "holder": holder}});
                self.rest.create(&CONFIG_MAPS, NS, &first).await
            }
            Some(mut ledger) => {
                let term = term_of(&ledger) + 1;
                ledger["data"] = json!({"term": term.to_string(), "holder": holder});
                self.rest.update(&CONFIG_MAPS, NS, LEDGER, &ledger).await
            }
        }
    }
}

fn term_of(ledger: &Value) -> u64 {
    ledger.str_at("/data/term").parse().unwrap_or(0)
}
