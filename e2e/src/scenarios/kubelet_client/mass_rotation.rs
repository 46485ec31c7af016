//! mass-rotation: nodes that joined together do not renew together.
//!
//! kubernetes/kubernetes#42498: thousands of nodes made at once have certificates that end at once; if all asked at
//! once for the next ones, the signer and the apiserver would see them all in one minute, every time. Each kubelet
//! draws its deadline evenly between seven and nine tenths of the life, so the requests of N nodes with certificates
//! of L days spread over a fifth of L: 6,000 nodes with thirty days make 42 an hour.
//!
//! Sixteen nodes stand for the 6,000 here; the rate is scaled up. The control is the join itself, where nothing is
//! spread. The instants that matter are the fleet's: seven tenths of the life that began first, a second before which
//! nobody has asked, and nine tenths of that which began last, a second after which everybody has. Between them each
//! node's own deadline is drawn by chance, and has no edge that could be known before.

use chronoplane::ClusterOptions;
use world::Wall;

use super::{DAY, HOUR, SECOND, at_share, clock, current, end, ready};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "mass-rotation",
    sentence: "Nodes that joined together renew their certificates spread over a fifth of the life: 6,000 nodes are tens of requests an hour.",
    reference: "kubernetes/kubernetes#42498",
    symptoms: &[],
    range: (8, 36),
    tell,
    real: InReal::Not("needs to elapse: sixteen timers fire over a fifth of the certificates' life"),
};

const NODES: usize = 16;
const FLEET: f64 = 6_000.0;
const LIFE: u32 = 30;

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let options =
        ClusterOptions { nodes: NODES, signing_duration: Some(LIFE * DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        let joined = requested(stage, 0);
        let first = joined.iter().min().copied().unwrap_or_default();
        let took = joined.iter().max().map(|last| last.duration_since(first).as_secs_f64() / 3600.0);
        stage.say(format!(
            "{}: {NODES} nodes have joined, with certificates of {LIFE} days.",
            clock(stage.now())
        ));
        stage.check(
            "control: their first requests",
            joined.len() >= NODES && took.is_some_and(|hours| hours < 1.0),
            format!("all {} within an hour", joined.len()),
        );
        let mark = stage.sim().events().len();
        let (opens, closes) = window(stage)?;
        stage.cluster.at(opens - SECOND).await?;
        let early = requested(stage, mark).len();
        stage.check("a second before seven tenths", early == 0, "no request");
        stage.cluster.at(closes + SECOND).await?;
        let mut renewed = requested(stage, mark);
        renewed.sort_unstable();
        let workers = renewed.len() == NODES + 1 || renewed.len() == NODES;
        stage.check("a second after nine tenths", workers, format!("{} requests", renewed.len()));
        let inside = renewed.iter().all(|at| (opens..=closes).contains(at));
        stage.check("each between the two", inside, "");
        let span = renewed
            .first()
            .zip(renewed.last())
            .map_or(0.0, |(a, b)| b.duration_since(*a).as_secs_f64() / 3600.0);
        stage.check("spread over", span > 48.0, format!("{span:.0} hours"));
        let busiest = busiest(&renewed);
        stage.check("the busiest hour", busiest <= NODES / 4, format!("{busiest} of {NODES}"));
        let window = f64::from(LIFE) * 24.0 * 0.2;
        let rate = renewed.len() as f64 / span.max(1.0) * FLEET / NODES as f64;
        stage.check(
            format!("scaled to {FLEET} nodes"),
            (FLEET / window * 0.5..FLEET / window * 3.0).contains(&rate),
            format!("{rate:.0} an hour ({:.0} over the whole fifth)", FLEET / window),
        );
        let mut well = 0;
        for n in 1..=NODES {
            well += usize::from(ready(stage, &format!("node{n}")).await == "True");
        }
        stage.check("Ready", well == NODES, format!("{well} of {NODES}"));
        Ok(())
    })?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: nothing to do. Reckon with nodes / (life / 5) requests an hour for signer and approver, and",
            "with all of them at once only when all join, or all start after their end.",
        ],
    );
    Ok(())
}

/// Seven tenths of the life of the worker's certificate that began first, and nine tenths of that which began last.
fn window(stage: &Stage) -> Result<(Wall, Wall), StoryError> {
    let (mut opens, mut closes) = (Vec::new(), Vec::new());
    for n in 1..=NODES {
        let certificate = current(stage, &format!("node{n}"))?;
        opens.push(at_share(&certificate, 0.7));
        closes.push(at_share(&certificate, 0.9));
    }
    let none = || StoryError("no worker has a certificate".into());
    Ok((opens.into_iter().min().ok_or_else(none)?, closes.into_iter().max().ok_or_else(none)?))
}

/// When kubelets handed in requests, of all that was recorded from `mark` on.
fn requested(stage: &Stage, mark: usize) -> Vec<Wall> {
    let events = stage.sim().events();
    let created = events[mark..].iter().filter(|e| {
        e.actor == "kubelet"
            && e.kind == "csr"
            && e.fields.iter().any(|(key, v)| *key == "state" && v == "created")
    });
    created.map(|e| e.at).collect()
}

fn busiest(sorted: &[Wall]) -> usize {
    let within = |from: &Wall| sorted.iter().filter(|at| *at >= from && **at < *from + HOUR).count();
    sorted.iter().map(within).max().unwrap_or_default()
}
