//! two-leaders: for some seconds two schedulers act as the leader.
//!
//! The report says that a step of the clock by an hour lets the lease expire in the eyes of a candidate. It does not:
//! a candidate notes on its running clock when it saw the record change, and no step touches that (Go times have a
//! monotonic reading since 1.9; only 1.8, built with Go 1.8, could do what the report says, and this simulation does
//! not have that). What does bring two leaders is a leader that stands still: suspended with its machine, or paused.
//! Another one takes over after fifteen seconds. The old one wakes and still acts, because its work does not ask the
//! lease: its next renewal, up to two seconds later, fails, and it tries for ten more before it gives up and ends
//! (kubernetes/kubernetes#125761).
//!
//! It is harmless for a scheduler: both bind the same pod, and the server takes only the first binding. A controller
//! that acts on the world outside of the cluster has no such guard.

use std::time::Duration;

use chronoplane::cluster::CONTROL_PLANE;
use jiff::SignedDuration;
use serde_json::json;
use world::{Event, sim::Config};

use super::{NS, PODS, candidates, events, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly},
    story::{Settings, StoryError, Teller},
};
use candidates::{FIRST, SECOND, leader, said};

pub(crate) const ENTRY: Entry = Entry {
    id: "two-leaders",
    sentence: "A leader that stood still wakes and goes on acting for ten seconds beside its successor.",
    reference: "kubernetes/kubernetes#125761 (by standing still, not by a step of the clock)",
    symptoms: &["leaderelection lost"],
    range: (9, 36),
    tell,
    real: InReal::Not("needs a host that is suspended for longer than a lease"),
};

const STILL: Duration = Duration::from_secs(60);
/// One a second, until after the old leader has given up.
const PODS_MADE: usize = 15;

/// What happens to the leader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Happens {
    Nothing,
    Steps,
    Suspended,
    Paused,
}

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, Happens::Suspended)?;
    briefly(teller, "The same when the leader is paused (SIGSTOP)", || {
        play(settings, teller, Happens::Paused)
    })?;
    briefly(teller, "Clocks of leader and candidate step an hour ahead and back: one leader", || {
        play(settings, teller, Happens::Steps)
    })?;
    briefly(teller, "Control run, the same looks and nothing happens", || {
        play(settings, teller, Happens::Nothing)
    })?;
    teller.say(
        "\nIn a real cluster: a lease tells who should act, not who does. Let what must not happen twice be",
    );
    teller.say("guarded where it happens: resourceVersion, UID preconditions, the subresource binding.");
    Ok(())
}

/// Upstream's own periods: they are the story.
fn play(settings: &Settings, teller: &Teller, happens: Happens) -> Result<(), StoryError> {
    let config = Config { seed: settings.seed, ..Config::default() };
    Stage::play(settings, teller, config, <_>::default(), async |stage| {
        candidates::start(stage, &[], &[]).await?;
        let began = shown(stage.now());
        match happens {
            Happens::Nothing => stage.cluster.elapse(STILL).await,
            Happens::Steps => {
                for hours in [1, -1] {
                    for host in [FIRST, SECOND] {
                        stage.cluster.step(host, SignedDuration::from_hours(hours));
                    }
                    stage.cluster.elapse(STILL / 2).await;
                }
            }
            Happens::Suspended => stage.cluster.suspend(FIRST, STILL).await,
            Happens::Paused => stage.cluster.pause(FIRST, STILL).await,
        }
        if happens == Happens::Suspended {
            stage.say(format!("{began} UTC: {FIRST}, which leads, is suspended for a minute."));
        }
        looks(stage, matches!(happens, Happens::Suspended | Happens::Paused)).await
    })
}

async fn looks(stage: &Stage, fault: bool) -> Result<(), StoryError> {
    let woke = stage.host(FIRST).clock().wall();
    let now = leader(stage).await;
    let successor = if fault { SECOND } else { FIRST };
    stage.check("when it wakes the lease names", now.starts_with(successor), host_of(&now));
    // One a second, so that there is one within the last second of the old leader and one within the first after it.
    let mut made = Vec::new();
    for n in 0..PODS_MADE {
        let pod = json!({
            "metadata": {"name": format!("app-{n}")},
            "spec": {"containers": [{"name": "c", "image": "nginx"}], "tolerations": [{"operator": "Exists"}]},
        });
        made.push(stage.host(FIRST).clock().wall());
        stage.cluster.admin().create(&PODS, NS, &pod).await.map_err(StoryError::new)?;
        stage.cluster.elapse(Duration::from_secs(1)).await;
    }
    let codes = bindings(stage);
    let wanted: &[&str] = if fault { &["201", "409"] } else { &["201"] };
    let seen = format!("{} bindings, answered {}", codes[0].len(), codes[0].join(" and "));
    stage.check("a pod comes: who binds it?", codes[0] == wanted, seen);
    let stopped = said(stage, FIRST, "stopped leading");
    let overlap = stopped.map(|at| at.duration_since(woke).as_secs());
    let seen = overlap.map_or("still leads".to_owned(), |s| format!("stopped leading {s} s after it woke"));
    let held = if fault { overlap.is_some_and(|s| (8..=13).contains(&s)) } else { overlap.is_none() };
    stage.check(format!("{FIRST}, beside it"), held, seen);
    if let Some(stopped) = stopped {
        let last = made.iter().rposition(|at| *at < stopped).map(|n| codes[n].len());
        let first = made.iter().position(|at| *at >= stopped).map(|n| codes[n].len());
        stage.check("a pod in the second before it stops", last == Some(2), "both bind it");
        stage.check("a pod in the second after", first == Some(1), "its successor does");
        let clean =
            made.iter().zip(&codes).all(|(at, codes)| codes.len() == if *at < stopped { 2 } else { 1 });
        stage.check("and so with all of them", clean, format!("{} pods", made.len()));
    }
    let words = candidates::last_words(stage, FIRST);
    stage.check("and ended, saying", words == if fault { "leaderelection lost" } else { "" }, words);
    let told = events(stage, "app-0").await.into_iter();
    let told: Vec<String> =
        told.filter(|(reason, _)| reason == "Scheduled").map(|(_, words)| words).collect();
    stage.check("the first pod is bound once", told.len() == 1, told.join(", "));
    Ok(())
}

/// The codes of all bindings that the server was asked for, pod by pod.
fn bindings(stage: &Stage) -> Vec<Vec<String>> {
    let field = |e: &Event, key: &str| {
        e.fields.iter().find(|(k, _)| *k == key).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    let mut codes = vec![Vec::new(); PODS_MADE];
    for event in stage.sim().events().iter().filter(|e| e.host == CONTROL_PLANE && e.kind == "request") {
        let path = field(event, "path");
        let pod = path.strip_suffix("/binding").and_then(|path| path.rsplit_once("/app-"));
        let number = pod.and_then(|(_, number)| number.parse::<usize>().ok());
        if let Some(of_pod) = number.and_then(|number| codes.get_mut(number)) {
            of_pod.push(field(event, "code"));
        }
    }
    codes.iter_mut().for_each(|codes| codes.sort());
    codes
}

fn host_of(identity: &str) -> String {
    identity.split('_').next().unwrap_or_default().to_owned()
}
