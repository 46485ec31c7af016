//! all-notready-at-once: every node is NotReady at the same moment, for about ten seconds.
//!
//! The report says that this comes of a jump of a day ahead, and shows the controller's log: `node … hasn't been updated
//! for 1m26.89s`, last heartbeat on the 5th, transition on the 4th. That is a clock that went back, and a time that the
//! controller measured by its running clock. So it is in the source since Go has monotonic readings in its times (1.9):
//! the controller compares its own two times, and no step ahead can make a node look silent.
//!
//! Two other things do. All clocks step back together: no lease is renewed later than before (see node-clock-back), for
//! every node at once. Or the control plane itself stood still (SIGSTOP, `docker pause`, a hypervisor's snapshot): its
//! running clock went on, nobody could renew, and its first look after waking comes before the first renewal. Not
//! reproducible by a step ahead from the source of 1.9 and later (kubernetes/kubernetes#108844).
//!
//! No look a second before and a second after: which silence is too long depends on when heartbeats (every ten seconds)
//! met the controller's looks (every five) before, and after a short stand also on the renewals that wait in the sockets
//! at waking: they are read in the same instant. What is certain is told: after ten minutes every node is marked, and who
//! stands still for a second less than the grace without a heartbeat and a look has none marked.

use std::time::Duration;

use chronoplane::{
    ClusterOptions, Who,
    cluster::{CONTROL_PLANE, is_ready},
};
use client::{ListParams, Resource};
use jiff::SignedDuration;
use world::{Event, Periods};

use super::{MISSED, is_missed, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config, instead},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "all-notready-at-once",
    sentence: "All nodes are NotReady at once for about ten seconds: the clocks went back, or the control plane slept.",
    reference: "kubernetes/kubernetes#108844 (its cause is not the one reported)",
    symptoms: &[MISSED],
    range: (14, 36),
    tell,
    real: InReal::Not(
        "needs to elapse: nodes are missed after their grace, and a control plane stands still for ten minutes",
    ),
};

const NODES: [&str; 3] = [CONTROL_PLANE, "node1", "node2"];
const DAY: SignedDuration = SignedDuration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);
/// How old the last sign of a node can be that is alive: a heartbeat's period with its jitter, and a look's.
const SIGNS: Duration = Duration::from_millis(10_400 + 5_000);

/// What happens to time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Happens {
    Nothing,
    Ahead,
    Back,
    /// The control plane stands still for ten minutes.
    Asleep,
    /// For so much less that every node's last sign is younger than the grace when it wakes.
    Nodding,
}

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    if settings.profile.minor() < ENTRY.range.0 {
        let why = "its kubelets have no leases, and of a status counts that it is another one";
        return tell(&instead(settings, teller, 14, why)?, teller);
    }
    play(settings, teller, Happens::Back)?;
    play(settings, teller, Happens::Asleep)?;
    play(settings, teller, Happens::Ahead)?;
    briefly(teller, "Asleep for less than the grace without two heartbeats", || {
        play(settings, teller, Happens::Nodding)
    })?;
    briefly(teller, "Control run, the same looks and nothing happens", || {
        play(settings, teller, Happens::Nothing)
    })?;
    teller.say("\nIn a real cluster: nothing is evicted (all nodes down is taken for a fault of the control plane), but");
    teller.say("services lose their endpoints for these seconds. Slew clocks; do not pause control planes.");
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, happens: Happens) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 2, ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        // Two days in peace, or a day back would be before the certificates begin.
        stage.cluster.elapse(Duration::from_secs(2 * 86_400)).await;
        // Which of upstream's own periods comes first is the story. All nodes have just posted their status then.
        stage.sim().set_periods(Periods::upstream());
        stage.cluster.elapse(Duration::from_secs(60)).await;
        stage.news();
        let (at, grace) = (shown(stage.now()), stage.settings.profile.node_grace());
        match happens {
            Happens::Nothing => {}
            Happens::Ahead => stage.cluster.step(Who::Members, DAY),
            Happens::Back => stage.cluster.step(Who::Members, -DAY),
            Happens::Asleep => stage.cluster.pause(CONTROL_PLANE, Duration::from_secs(600)).await,
            Happens::Nodding => stage.cluster.pause(CONTROL_PLANE, grace - SIGNS - SECOND).await,
        }
        stage.say(match happens {
            Happens::Nothing | Happens::Nodding => String::new(),
            Happens::Ahead => format!("{at} UTC: all clocks step a day ahead."),
            Happens::Back => format!("{at} UTC: all clocks step a day back."),
            Happens::Asleep => {
                format!("{at} UTC: the control plane stands still for ten minutes, and wakes.")
            }
        });
        looks(stage, happens).await
    })
}

async fn looks(stage: &Stage, happens: Happens) -> Result<(), StoryError> {
    let fault = matches!(happens, Happens::Back | Happens::Asleep);
    let grace = stage.settings.profile.node_grace();
    let down = async || {
        let nodes = stage.cluster.admin().list(&Resource::core("nodes"), None, &ListParams::default()).await;
        NODES.len() - nodes.map_or(0, |nodes| nodes.items.iter().filter(|node| is_ready(node)).count())
    };
    let all_down = async || Some(down().await).filter(|down| *down == NODES.len());
    let seen = stage.cluster.elapse_until("all are down", grace + Duration::from_secs(20), all_down).await;
    let (_, reason) = stage.condition("node1", "Ready").await;
    stage.check(
        "all three nodes",
        seen.is_ok() == fault,
        if fault { format!("NotReady: {reason}") } else { "Ready".into() },
    );
    let said = is_missed(stage, "node1").await?;
    stage.check("their conditions say", said == fault, if said { MISSED } else { "" });
    let up = async || Some(down().await).filter(|down| *down == 0);
    let began = stage.host("workstation").clock().monotonic();
    let healed = stage.cluster.elapse_until("all are Ready", Duration::from_secs(15), up).await;
    let took = stage.host("workstation").clock().monotonic().since(began);
    stage.check("all are Ready again", healed.is_ok(), format!("{} s later", took.as_secs()));
    let marks = marks(&stage.news());
    let first = marks.first().map(|e| e.at);
    let together = marks.iter().all(|e| Some(e.at.as_second()) == first.map(|at| at.as_second()));
    let wanted = if fault { NODES.len() } else { 0 };
    let seen = format!("{} nodes within one second", marks.len());
    stage.check("marked Unknown by the controller", marks.len() == wanted && together, seen);
    stage.cluster.elapse(grace + SIGNS).await;
    let again = self::marks(&stage.news()).len();
    stage.check("and not again", again == 0 && down().await == 0, "");
    Ok(())
}

fn marks(events: &[Event]) -> Vec<Event> {
    let unknown = |e: &&Event| e.kind == "node" && e.fields.contains(&("state", "unknown".to_owned()));
    events.iter().filter(unknown).cloned().collect()
}
