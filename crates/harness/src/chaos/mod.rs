//! Chaos: a seeded plan of faults over a working cluster with real load, and what must hold all the same.
//!
//! ```text
//!   Plan ── faults, when, for how long      seeded, or read from a replay
//!    └─ run ── one simulated world
//!         ├─ load        writers, watchers, candidates, tokens, certificates, a node's credentials, a webhook
//!         ├─ faults      played and remedied
//!         ├─ healing     everything is well again within a stated time
//!         └─ Outcome     what did not hold, the trace, the figures
//!    └─ shrink ── the fewest faults with which it still does not hold
//! ```
//!
//! Recurring work of the cluster is stretched while nothing happens ([`world::Periods::sparse`]), and runs at a sixth of
//! upstream's pace from the beginning of each fault until two minutes after its remedy.
//!
//! [`Fault`] is one thing that goes wrong, [`KINDS`] the table of their kinds, [`INVARIANTS`] the table of what must hold.

mod act;
mod dice;
mod fault;
mod figures;
mod health;
mod history;
mod invariants;
mod kinds;
mod load;
mod plan;
mod scene;
mod shrink;
mod tempo;

pub use fault::{Fault, Kept, Replaced, Resolves, Weather};
pub use figures::Tally;
pub use invariants::{INVARIANTS, Invariant, Violation};
pub use kinds::{KINDS, Kind, find};
pub use plan::{Plan, Planned, Shape, every_kind};
pub use shrink::{Shrunk, shrink};

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use api::object::ObjectExt as _;
use client::ListParams;
use futures::future::{join, join_all};
use serde_json::Value;
use tokio::sync::oneshot;
use world::{
    Event, Periods, Wall,
    sim::{self, Config, Sim},
};

use crate::{HarnessError, cluster::WORKSTATION};
use invariants::{HEALTHY, WATCHES};
use load::Load;
use scene::{CONFIG_MAPS, NS, Scene};

/// How long the load runs on after the last fault has settled.
const AFTERWARDS: Duration = Duration::from_secs(120);
/// How long watchers may need to be told the last write when all is well.
const CATCH_UP: Duration = Duration::from_secs(180);

/// A plan as it went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What did not hold, in the order in which it was found. The run ends at the first.
    pub violations: Vec<Violation>,
    /// The figures of this run.
    pub tally: Tally,
    /// Its hosts and their addresses.
    pub hosts: Vec<(String, IpAddr)>,
    /// Everything that happened.
    pub events: Vec<Event>,
}

impl Outcome {
    /// Whether everything held.
    pub fn held(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Plays `plan` in a world of its own, on the calling thread, with recurring work stretched by `between` while nothing
/// happens.
///
/// # Errors
/// The plan cannot be played, or no cluster came up to play it on.
pub fn run(plan: &Plan, between: Periods) -> Result<Outcome, HarnessError> {
    plan.check()?;
    let config = Config { seed: plan.seed, periods: between, ..Config::default() };
    sim::run(config, async |sim| {
        let scene = Scene::set(&sim, plan, between).await?;
        let began = scene.workstation().clock().wall();
        let tally = play(&scene, plan).await?;
        Ok(conclude(&sim, &scene, tally, began))
    })
    .map_err(HarnessError::new)?
}

async fn play(scene: &Arc<Scene>, plan: &Plan) -> Result<Tally, HarnessError> {
    let load = Load::start(scene).await?;
    let mut tally = Tally { worlds: 1, ..Tally::default() };
    tokio::select! {
        biased;
        () = scene.judge.violation() => {}
        healing = course(scene, plan, &load) => {
            tally.slowest_healing_seconds = healing.unwrap_or_default().as_secs();
        }
    }
    let (holders, watchers) = (load.holders.clone(), load.watchers.clone());
    scene.tempo.end();
    tally.terms = holders.terms.load(Relaxed);
    tally.two_holders = holders.twice.load(Relaxed);
    tally.fenced = holders.refused.load(Relaxed);
    tally.accepted = scene.figures.accepted.load(Relaxed);
    tally.refused = scene.figures.refused.load(Relaxed);
    tally.forbidden = scene.figures.forbidden.load(Relaxed);
    tally.acknowledged = scene.history.acks().len() as u64;
    tally.watched = watchers.iter().map(|watcher| watcher.told()).sum();
    Ok(tally)
}

/// The faults, the healing, and the comparison in the end; how long healing took, if it healed.
async fn course(scene: &Arc<Scene>, plan: &Plan, load: &Load) -> Option<Duration> {
    let clock = scene.workstation().clock().clone();
    let began = clock.monotonic();
    let ends = Duration::from_secs(plan.ends()) + AFTERWARDS;
    let (faults, remedies): (Vec<_>, Vec<_>) = plan
        .faults
        .iter()
        .map(|planned| {
            let (remedied, remedy) = oneshot::channel();
            (act::play(scene, planned, remedied), remedy)
        })
        .unzip();
    let healing = async {
        join_all(remedies).await;
        healed(scene).await
    };
    // What is not remedied never ends.
    let at_most = if plan.is_remedied() { Duration::from_secs(400 * 86_400) } else { ends };
    let healing = clock.timeout(at_most, join(join_all(faults), healing)).await;
    clock.sleep_until(began + ends).await;
    // It has stayed well; or it heals, whatever is left, from here.
    let in_the_end = healed(scene).await?;
    if let Err(why) = compare(scene, load).await {
        scene.judge.violated(HEALTHY, why);
    }
    Some(healing.map_or(in_the_end, |(_, healing)| healing.unwrap_or_default()))
}

/// How long it takes from now until all is well; nothing, if that is too long.
async fn healed(scene: &Scene) -> Option<Duration> {
    let began = scene.workstation().clock().monotonic();
    let _slow = scene.tempo.slow().await;
    health::healed(scene, began).await.map_err(|wrong| scene.judge.violated(HEALTHY, wrong)).ok()
}

/// One more write, which all watchers are told; then everything that was acknowledged and told is compared with what is
/// there.
async fn compare(scene: &Arc<Scene>, load: &Load) -> Result<(), String> {
    let clock = scene.workstation().clock().clone();
    let sent = scene.history.sent();
    let objects = quiet(scene).await?;
    let last = objects.values().map(history::revision).max().unwrap_or(0);
    let deadline = clock.monotonic() + CATCH_UP;
    while load.watchers.iter().any(|watcher| watcher.at() < last) && clock.monotonic() < deadline {
        clock.sleep(Duration::from_secs(1)).await;
    }
    for watcher in &load.watchers {
        scene.judge.check(WATCHES, watcher.at() >= last, || {
            format!("a watcher is at {}, and three minutes ago {last} was written", watcher.at())
        });
        watcher.compare(&objects);
    }
    scene.history.compare(sent, &objects);
    Ok(())
}

/// Ends the writers and lists what they have left.
async fn quiet(scene: &Arc<Scene>) -> Result<BTreeMap<String, Value>, String> {
    scene.tempo.quiet();
    // What is on its way has arrived, or its sender has given up.
    scene.workstation().clock().sleep(Duration::from_secs(60)).await;
    let list = scene.operator.list(&CONFIG_MAPS, NS, &ListParams::default()).await;
    let list = list.map_err(|e| format!("the last list: {e}"))?;
    Ok(list.items.iter().map(|object| (object.name().to_owned(), Value::clone(object))).collect())
}

fn conclude(sim: &Sim, scene: &Scene, mut tally: Tally, began: Wall) -> Outcome {
    let now = sim.host(WORKSTATION).clock().wall();
    let lived = now.duration_since(began).as_secs();
    tally.simulated_seconds = u64::try_from(lived).unwrap_or(0);
    let events = sim.events();
    tally.read(&events, now);
    for event in &events {
        if event.kind == "fault"
            && let Some((_, text)) = event.fields.iter().find(|(key, _)| *key == "begins")
            && let Ok(fault) = serde_json::from_str::<Fault>(text)
        {
            *tally.faults.entry(fault.kind().name).or_default() += 1;
        }
    }
    let hosts = sim.hosts().iter().map(|host| (host.name().to_owned(), host.net().address())).collect();
    Outcome { violations: scene.judge.found(), tally, hosts, events }
}
