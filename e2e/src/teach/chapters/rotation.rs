//! rotation: a kubelet replaces its certificate before it ends, and what happens when it cannot.

use api::object::ObjectExt as _;
use chronoplane::{ClusterOptions, Who, cluster::CONTROL_PLANE};
use client::Resource;
use jiff::SignedDuration;
use pki::Certificate;
use world::{Event, Periods, Wall, rfc3339};

use super::{DAY, MINUTE, on_stage};
use crate::{
    scenarios::Stage,
    story::StoryError,
    teach::{
        Lesson,
        decode::{self, field},
        facts::Facts,
    },
};

const NODE: &str = "node1";
const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    // What kubeadm made shall not end in this chapter.
    let options =
        ClusterOptions { nodes: 1, leaf_validity: Some(4 * 366 * DAY), ..ClusterOptions::default() };
    on_stage(lesson, Periods::sparse(), options, async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let first = current(stage)?;
    lesson.ask("deadline", Facts::new())?;
    let set = async || deadline(stage);
    let planned = stage.cluster.elapse_until("the kubelet has set its timer", DAY, set).await?;
    let share = share(&first, planned);
    let facts = Facts::new()
        .show("certificate", decode::certificate(&first))
        .word("planned", rfc3339(planned))
        .word("share", format!("{:.0} %", share * 100.0));
    lesson.tell("deadline", facts.answer(band(share)))?;

    lesson.ask("request", Facts::new())?;
    stage.news();
    let disk = stage.host(NODE).disk().clone();
    let before = disk.read_link(CURRENT).ok();
    let rotated = async || (disk.read_link(CURRENT).ok() != before).then_some(());
    stage.cluster.elapse_until("the kubelet has rotated", 366 * DAY, rotated).await?;
    let now = stage.now();
    stage.cluster.elapse(MINUTE / 2).await;
    let events = stage.news();
    let created = events.iter().find(|e| e.host == NODE && e.kind == "csr" && field(e, "state") == "created");
    let name = created.map(|e| field(e, "name").to_owned()).unwrap_or_default();
    let csr = stage.cluster.admin().get(&CSRS, None, &name).await.map_err(StoryError::new)?;
    let user = csr.str_at("/spec/username").to_owned();
    let review = events
        .iter()
        .find(|e| field(e, "path").contains("subjectaccessreviews") && e.at >= created.map_or(now, |c| c.at));
    lesson.holds("the approver has asked", review.is_some(), "no review")?;
    let decoded = decode::signing_request(&csr).map_err(StoryError::new)?;
    let message = csr.str_at("/status/conditions/0/message").to_owned();
    let facts =
        Facts::new().word("now", rfc3339(now)).word("message", message).show("csr", decoded).answer(user);
    lesson.tell("request", facts)?;

    lesson.ask("connections", Facts::new())?;
    let second = current(stage)?;
    let shaken = |e: &&Event| {
        e.kind == "handshake"
            && e.host == CONTROL_PLANE
            && field(e, "peer_cn") == format!("system:node:{NODE}")
    };
    let after: Vec<&Event> = events.iter().filter(shaken).filter(|e| e.at >= now).collect();
    let new = after.iter().any(|e| field(e, "serial") == second.serial_hex());
    let rows = [&first, &second].map(|c| {
        (
            c.serial_hex()[..8.min(c.serial_hex().len())].to_owned(),
            format!("{} to {}", rfc3339(c.not_before()), rfc3339(c.not_after())),
        )
    });
    let facts = Facts::new()
        .show("files", decode::files(&stage.host(NODE), "/var/lib/kubelet/pki"))
        .show("certificates", decode::rows(rows.iter().map(|(serial, life)| (serial.as_str(), life.clone()))))
        .answer(if new { "closes" } else { "keeps" });
    lesson.tell("connections", facts)?;

    lesson.ask("jump", Facts::new())?;
    let end = second.not_after();
    let mark = stage.sim().events().len();
    stage.cluster.step(Who::Members, (end + SignedDuration::from_hours(24)).duration_since(stage.now()));
    stage.sim().set_periods(Periods::upstream());
    stage.cluster.elapse(6 * MINUTE).await;
    let (status, reason) = stage.condition(NODE, "Ready").await;
    let events = stage.sim().events();
    let own = || events[mark..].iter().filter(|e| e.host == NODE && e.actor == "kubelet");
    let exits: Vec<&str> = own()
        .filter(|e| e.kind == "service")
        .map(|e| field(e, "exit"))
        .filter(|why| !why.is_empty())
        .collect();
    lesson.holds("nothing was asked for", own().all(|e| e.kind != "csr"), "a request for a certificate")?;
    let [first, .., last] = exits[..] else {
        return Err(StoryError(format!("the kubelet has ended {} times", exits.len())));
    };
    let facts = Facts::new().word("reason", reason).show("exit", textwrap::fill(first, 88));
    lesson.tell("jump", facts.answer(status))?;

    lesson.holds("a restart does not help", last.contains("bootstrap-kubelet.conf"), last)?;
    lesson.tell("restart", Facts::new().word("count", exits.len() - 1).show("exit", textwrap::fill(last, 88)))
}

fn current(stage: &Stage) -> Result<Certificate, StoryError> {
    Ok(stage.cluster.certificate(NODE, CURRENT)?)
}

/// When the kubelet's timer ends, by the wall clock that it was set by.
fn deadline(stage: &Stage) -> Option<Wall> {
    let events = stage.sim().events();
    let timer = events.iter().rfind(|e| e.host == NODE && e.actor == "kubelet" && e.kind == "timer")?;
    let seconds: i64 = field(timer, "rotation_in").trim_end_matches('s').parse().ok()?;
    Some(timer.at + SignedDuration::from_secs(seconds))
}

/// How much of its life a certificate has behind it at `at`.
fn share(certificate: &Certificate, at: Wall) -> f64 {
    let (from, to) = (certificate.not_before(), certificate.not_after());
    at.duration_since(from).as_secs_f64() / to.duration_since(from).as_secs_f64()
}

fn band(share: f64) -> &'static str {
    match share {
        s if s < 0.7 => "0–70 %",
        s if s < 0.9 => "70–90 %",
        _ => "90–100 %",
    }
}
