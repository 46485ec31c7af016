//! expiry: everything in a cluster that ends by the clock, in the order in which it does.

use std::collections::BTreeMap;

use chronoplane::{
    ClusterOptions, Credential, Expiration,
    cluster::{CONTROL_PLANE, WORKSTATION},
    peek,
};
use jiff::SignedDuration;
use world::{Periods, Wall};

use super::{DAY, on_stage};
use crate::{
    scenarios::{Stage, raw},
    story::StoryError,
    teach::{Lesson, decode, facts::Facts},
};

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    on_stage(lesson, Periods::sparse(), options, async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let born = stage.now();
    lesson.ask("first", Facts::new())?;
    let all = stage.cluster.expirations().await?;
    let first = all.first().ok_or_else(|| StoryError("nothing ends".into()))?;
    lesson.tell("first", Facts::new().show("table", table(&all, born)).answer(kind(first)))?;

    lesson.ask("itself", Facts::new())?;
    stage.cluster.elapse(340 * DAY).await;
    let later = stage.cluster.expirations().await?;
    let was: BTreeMap<_, _> = all.iter().map(|e| ((&e.host, &e.name), e.not_after)).collect();
    let renewed: Vec<&Expiration> =
        later.iter().filter(|e| was.get(&(&e.host, &e.name)).is_some_and(|old| *old < e.not_after)).collect();
    let shown = decode::rows(
        renewed.iter().map(|e| (e.name.as_str(), format!("{}  → {}", e.host, day(e.not_after)))),
    );
    let answer = match renewed.iter().all(|e| e.name.ends_with("kubelet-client-current.pem")) {
        _ if renewed.is_empty() => "nothing",
        true => "kubelet-client-current.pem",
        false => "apiserver.crt",
    };
    lesson.tell("itself", Facts::new().show("renewed", shown).answer(answer))?;

    let printed = stage.cluster.kubeadm(&stage.host(CONTROL_PLANE), &["certs", "check-expiration"]).await?;
    let table =
        printed.lines().skip_while(|line| !line.starts_with("CERTIFICATE")).collect::<Vec<_>>().join("\n");
    lesson.tell("check", Facts::new().show("printed", table))?;

    lesson.ask("end", Facts::new())?;
    let serving = stage.cluster.certificate(CONTROL_PLANE, "/etc/kubernetes/pki/apiserver.crt")?;
    let admin = stage.cluster.certificate(CONTROL_PLANE, "/etc/kubernetes/admin.conf")?;
    lesson.holds(
        "the server's certificate does not end after admin.conf",
        serving.not_after() <= admin.not_after(),
        day(admin.not_after()),
    )?;
    let lasting = stage.cluster.admin().clone();
    let look = async || (raw(&lasting, "/version").await.0, fresh(stage).await);
    let (before, after) = stage.edge(CONTROL_PLANE, serving.not_after(), look).await?;
    lesson.holds(
        "a second before, all is well",
        before.0 == 200 && before.1.0 == 200,
        format!("{before:?}"),
    )?;
    lesson.holds("a second after, no new connection is made", after.1.0 != 200, format!("{after:?}"))?;
    let facts = Facts::new()
        .word("end", world::rfc3339(serving.not_after()))
        .show("error", textwrap::fill(&after.1.1, 88));
    lesson.tell("end", facts.answer(if after.1.0 == 0 { "x509" } else { "401" }))?;

    lesson.ask("renew", Facts::new())?;
    // How soon a file is read again is upstream's pace.
    stage.sim().set_periods(Periods::upstream());
    let printed = stage.cluster.kubeadm(&stage.host(CONTROL_PLANE), &["certs", "renew", "all"]).await?;
    stage.cluster.elapse(2 * super::MINUTE).await;
    let served = served(stage).await?;
    let last = printed.trim().lines().last().unwrap_or_default().to_owned();
    let facts = Facts::new()
        .word("served", day(served))
        .show("printed", textwrap::fill(&last, 88))
        .answer(if served > serving.not_after() { "new" } else { "old" });
    lesson.tell("renew", facts)?;

    let ca = stage.cluster.certificate(CONTROL_PLANE, "/etc/kubernetes/pki/ca.crt")?;
    let left = ca.not_after().duration_since(stage.now()).as_secs() / 86_400;
    lesson.tell("authority", Facts::new().word("end", day(ca.not_after())).word("days", left))
}

fn day(at: Wall) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn kind(expiration: &Expiration) -> String {
    match expiration.credential {
        Credential::Token => "bootstrap token".to_owned(),
        Credential::Loopback => "loopback".to_owned(),
        Credential::Certificate | Credential::Kubeconfig => {
            expiration.name.rsplit('/').next().unwrap_or_default().to_owned()
        }
    }
}

/// One row for each instant: what ends then, and after how long.
fn table(all: &[Expiration], born: Wall) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    for expiration in all {
        let until = expiration.not_after.duration_since(born) + SignedDuration::from_secs(60);
        let what =
            format!("{} ({})", expiration.name.trim_start_matches("/etc/kubernetes/"), expiration.host);
        let when = match until.as_hours() {
            hours if hours < 48 => format!("{hours} h"),
            hours => format!("{} d", hours / 24),
        };
        rows.push((format!("{}  {when:>6}", day(expiration.not_after)), what));
    }
    decode::rows(rows.iter().map(|(when, what)| (when.as_str(), what.clone())))
}

/// kubectl as it is started now: code and words.
async fn fresh(stage: &Stage) -> (u16, String) {
    match stage.fresh_admin() {
        Ok(rest) => raw(&rest, "/version").await,
        Err(e) => (0, e.0),
    }
}

/// Until when the certificate lives that the server shows.
async fn served(stage: &Stage) -> Result<Wall, StoryError> {
    let address = stage.host(CONTROL_PLANE).net().address().to_string();
    let from = stage.host(WORKSTATION);
    let chain = peek::served_chain(&from, stage.settings.profile, &address, 6443, "kubernetes").await;
    let leaf = chain.map_err(StoryError)?.into_iter().next();
    leaf.map(|leaf| leaf.not_after()).ok_or_else(|| StoryError("no certificate was served".into()))
}
