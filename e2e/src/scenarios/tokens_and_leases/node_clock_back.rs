//! node-clock-back: the clock of one node is set back, and the node is called Unknown for a moment.
//!
//! The controller counts a lease as a sign of life only when its renewTime is later than the one before. After a step
//! back it is earlier, so a node that renews every ten seconds looks silent; after the grace period it is marked
//! Unknown, with everything that follows: pods NotReady, taints (kubernetes/kubernetes#113081, no fix).
//!
//! It does not last until the node's clock has caught up, as one would think. The kubelet sees at its next look, within
//! ten seconds, that its node is not called Ready, and says that it is; and with the mark the controller has taken over
//! the lease as it is now, so that later renewals count again. A kubelet that happens to post its status within the
//! grace period (it does so every five minutes) spares its node even that. A step forward does nothing.
//!
//! There is no second at which this happens: it depends on where in their periods lease, look and status were. Looked at
//! is the last moment at which it cannot have happened yet, and the first at which it must have.

use std::time::Duration;

use api::object::ObjectExt;
use chronoplane::ClusterOptions;
use client::Resource;
use jiff::SignedDuration;
use world::{Mono, sim::Config};

use super::{MISSED, events, is_missed, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, instead},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "node-clock-back",
    sentence: "A node's clock is set back: its lease does not count, and for seconds the node is Unknown.",
    reference: "kubernetes/kubernetes#113081 (no fix)",
    symptoms: &[MISSED],
    range: (14, 36),
    tell,
    real: InReal::Not(
        "needs to elapse: a node is missed after its grace, and comes back with the status of five minutes later",
    ),
};

const NODE: &str = "node1";
/// Lease 10 s, look of the controller 5 s, status of the kubelet 10 s.
const SLACK: Duration = Duration::from_secs(5);
const STATUS: Duration = Duration::from_secs(10);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    if settings.profile.minor() < ENTRY.range.0 {
        let why = "its kubelets have no leases, and of a status counts that it is another one";
        return tell(&instead(settings, teller, 14, why)?, teller);
    }
    play(settings, teller, -1)?;
    briefly(teller, "Control run, the same looks and no step", || play(settings, teller, 0))?;
    briefly(teller, "The same with a step of an hour forward", || play(settings, teller, 1))?;
    teller.say(
        "\nIn a real cluster: let chrony or ntpd slew small errors and step only at boot, before the kubelet",
    );
    teller.say(
        "starts; a pod is evicted only after its tolerationSeconds (300), so nothing but readiness suffers.",
    );
    Ok(())
}

/// Upstream's own periods: which of them comes first is the story.
fn play(settings: &Settings, teller: &Teller, hours: i64) -> Result<(), StoryError> {
    let config = Config { seed: settings.seed, ..Config::default() };
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    Stage::play(settings, teller, config, options, async |stage| {
        just_posted(stage).await?;
        stage.cluster.step(NODE, SignedDuration::from_hours(hours));
        let began = stage.host(NODE).clock().monotonic();
        if hours != 0 {
            let (here, there) = (stage.now(), stage.host(NODE).clock().wall());
            stage.say(format!("{} UTC: the clock of {NODE} is set back to {}.", shown(here), shown(there)));
        }
        looks(stage, began, hours < 0).await
    })
}

/// So that the next status, which would spare the node, is minutes away.
async fn just_posted(stage: &Stage) -> Result<(), StoryError> {
    let heartbeat = async || {
        let node = stage.cluster.admin().get(&Resource::core("nodes"), None, NODE).await.ok()?;
        let ready = node.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Ready");
        ready.map(|c| c.str_at("/lastHeartbeatTime").to_owned())
    };
    let first = heartbeat().await;
    let posted = async || heartbeat().await.filter(|now| Some(now) != first.as_ref());
    stage.cluster.elapse_until("the kubelet posts its status", Duration::from_secs(500), posted).await?;
    Ok(())
}

async fn looks(stage: &Stage, began: Mono, fault: bool) -> Result<(), StoryError> {
    let grace = stage.settings.profile.node_grace();
    let clock = stage.host(NODE).clock().clone();
    let ready = async || stage.condition(NODE, "Ready").await;
    // The last renewal that counted was at most one lease's period before the step.
    stage.cluster.elapse(grace - STATUS - Duration::from_secs(1)).await;
    let (status, reason) = ready().await;
    stage.check(format!("{} s later", clock.monotonic().since(began).as_secs()), status == "True", reason);
    let unknown = async || Some(ready().await).filter(|(status, _)| status == "Unknown");
    let lost = stage.cluster.elapse_until("it is Unknown", STATUS + 2 * SLACK, unknown).await;
    let after = clock.monotonic().since(began);
    let seen = match &lost {
        Ok((status, reason)) => format!("{status} {reason}, although it renews its lease every ten seconds"),
        Err(_) => "Ready all the time".to_owned(),
    };
    stage.check(format!("{} s after the step", after.as_secs()), lost.is_ok() == fault, seen);
    let said = is_missed(stage, NODE).await?;
    stage.check("its conditions say", said == fault, if said { MISSED } else { "" });
    let back = async || Some(ready().await).filter(|(status, _)| status == "True");
    let healed = stage.cluster.elapse_until("it is Ready again", STATUS + SLACK, back).await;
    let took = clock.monotonic().since(began) - after;
    stage.check("Ready again", healed.is_ok(), format!("{} s later", took.as_secs()));
    stage.cluster.elapse(3 * grace).await;
    let marks = stage
        .sim()
        .events()
        .iter()
        .filter(|e| e.kind == "node" && e.fields.contains(&("state", "unknown".into())))
        .count();
    let behind = stage.now().duration_since(clock.wall()).as_mins();
    let seen = format!("once in all, and its clock is still {behind} minutes behind");
    stage.check("and stays so", marks == usize::from(fault) && ready().await.0 == "True", seen);
    let told = events(stage, NODE).await.into_iter().find(|(reason, _)| reason == "NodeNotReady");
    let told = told.map(|(reason, message)| format!("{reason} {message}")).unwrap_or_default();
    stage.check("events tell of it", told.contains("status is now: NodeNotReady") == fault, told);
    Ok(())
}
