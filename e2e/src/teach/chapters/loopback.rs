//! loopback: the API server is its own client, and has a certificate for nobody else.

use std::time::Duration;

use chronoplane::{
    ClusterOptions,
    cluster::{CONTROL_PLANE, WORKSTATION},
    expirations::LOOPBACK,
    peek,
};
use pki::Certificate;
use serde_json::json;
use world::{Host, Periods};

use super::{DAY, SECOND, on_stage, release};
use crate::{
    scenarios::{Stage, verdict},
    story::StoryError,
    teach::{
        Lesson,
        decode::{self, field},
        facts::Facts,
    },
};

/// Before 1.33 the certificate lives for a year: the chapter is told there.
const MINOR: u16 = 32;
const PORT: u16 = 6443;
const RBAC: &str = "/apis/rbac.authorization.k8s.io/";
/// Until its informers have noticed that their connection broke, and forgotten what they had just asked.
const NOTICE: Duration = Duration::from_secs(40);

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    // Only this one certificate shall end.
    let leaf_validity = Some(4 * 366 * DAY);
    let options = ClusterOptions { profile: release(MINOR)?, leaf_validity, ..ClusterOptions::default() };
    on_stage(lesson, Periods::times(604_800), options, async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    // No pod is admitted without it.
    let account = async || {
        (stage.get("/api/v1/namespaces/default/serviceaccounts/default").await.0 == 200).then_some(())
    };
    stage.cluster.elapse_until("the default service account is there", 300 * SECOND, account).await?;

    let events = stage.sim().events();
    let requests = || events.iter().filter(|e| e.kind == "request");
    lesson.ask("client", Facts::new())?;
    // The first attempts meet a server that is not ready to answer.
    let grants = |e: &&world::Event| {
        field(e, "verb") == "create"
            && field(e, "path").starts_with(RBAC)
            && field(e, "code").starts_with('2')
    };
    let makes_roles = |e: &&world::Event| grants(e) && field(e, "path").ends_with("/clusterroles");
    let author = requests().find(makes_roles).map(|e| field(e, "user").to_owned()).unwrap_or_default();
    let own: Vec<_> = requests().filter(|e| field(e, "user") == "system:apiserver").collect();
    let facts = Facts::new()
        .word("count", own.len())
        .show("requests", decode::requests(own.into_iter().filter(grants)));
    lesson.tell("client", facts.answer(author))?;

    lesson.ask("name", Facts::new())?;
    let usual = chain(stage, "kubernetes").await?;
    let loopback = chain(stage, LOOPBACK).await?;
    let leaf = loopback.first().ok_or_else(|| StoryError("no certificate was served".into()))?.clone();
    let shown = leaf.subject_cn().split('@').next().unwrap_or_default().to_owned();
    let facts = Facts::new()
        .show("usual", usual.first().map(decode::certificate).unwrap_or_default())
        .show("loopback", decode::certificate(&leaf));
    lesson.tell("name", facts.answer(shown))?;

    lesson.ask("place", Facts::new())?;
    lesson.tell("place", Facts::new().answer(place(&stage.host(CONTROL_PLANE), &leaf)))?;

    lesson.ask("end", Facts::new())?;
    stage.cluster.at(leaf.not_after() + jiff::SignedDuration::from_secs(16)).await?;
    let (code, _) = create_pod(stage, "first").await;
    let facts =
        Facts::new().word("end", world::rfc3339(leaf.not_after())).word("now", world::rfc3339(stage.now()));
    lesson.tell("end", facts.answer(code))?;

    lesson.ask("health", Facts::new())?;
    let resets = stage.sim().reset_connections(CONTROL_PLANE, CONTROL_PLANE, PORT);
    stage.cluster.elapse(NOTICE).await;
    let (health, _) = stage.get("/livez").await;
    let (refused, why) = create_pod(stage, "second").await;
    lesson.holds("no pod can be created", refused == 403, format!("{refused} {why}"))?;
    let facts = Facts::new().word("resets", resets).show("error", wrapped(&why));
    lesson.tell("health", facts.answer(health))?;

    lesson.ask("cure", Facts::new())?;
    stage.cluster.restart_apiserver().await?;
    let renewed = chain(stage, LOOPBACK).await?;
    let renewed = renewed.first().ok_or_else(|| StoryError("no certificate was served".into()))?.clone();
    lesson.holds("the new certificate is another", renewed.der() != leaf.der(), "the same")?;
    let (works, why) = create_pod(stage, "third").await;
    lesson.holds("pods can be created again", works == 200, why)?;
    lesson.tell("cure", Facts::new().show("loopback", decode::certificate(&renewed)))
}

async fn chain(stage: &Stage, name: &str) -> Result<Vec<Certificate>, StoryError> {
    let address = stage.host(CONTROL_PLANE).net().address().to_string();
    let from = stage.host(WORKSTATION);
    peek::served_chain(&from, stage.settings.profile, &address, PORT, name).await.map_err(StoryError)
}

/// The file that holds the certificate, or `memory`.
fn place(host: &Host, wanted: &Certificate) -> String {
    let paths = ["/etc/kubernetes", "/var/lib/kubelet"].into_iter().flat_map(|dir| decode::paths(host, dir));
    let holds = |path: &String| {
        let all = host.disk().read(path).ok().and_then(|text| Certificate::parse_pem(&text).ok());
        all.is_some_and(|all| all.iter().any(|c| c.der() == wanted.der()))
    };
    paths.into_iter().find(holds).unwrap_or_else(|| "memory".to_owned())
}

/// The code of the answer (200: it is there) and its words.
async fn create_pod(stage: &Stage, name: &str) -> (u16, String) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    });
    verdict(&super::create(stage.cluster.admin(), &pod).await)
}

/// An error as a terminal would wrap it.
fn wrapped(words: &str) -> String {
    textwrap::fill(words, textwrap::Options::new(88).break_words(false))
}
