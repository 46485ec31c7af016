//! list-watch: how every component knows what there is, without asking twice.

use api::object::ObjectExt as _;
use chronoplane::{ClusterOptions, cluster::WORKSTATION};
use client::{Informer, InformerOptions, ListParams, Patch, Resource, WatchEvent, WatchParams, WatchStream};
use serde_json::{Value, json};
use world::Periods;

use super::{MINUTE, SECOND, on_stage};
use crate::{
    scenarios::{Stage, verdict},
    story::StoryError,
    teach::{
        Lesson,
        decode::{self, field},
        facts::Facts,
    },
};

const MAPS: Resource = Resource::core("configmaps");
const SPACE: Option<&str> = Some("shop");

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    on_stage(lesson, Periods::upstream(), ClusterOptions::default(), async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let admin = stage.cluster.admin();
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    super::create(admin, &space).await.map_err(StoryError::new)?;
    let settled = async || admin.get_opt(&MAPS, SPACE, "kube-root-ca.crt").await.ok().flatten();
    stage.cluster.elapse_until("the namespace has its ConfigMap", MINUTE, settled).await?;
    for (name, colour) in [("apple", "red"), ("pear", "green")] {
        create(stage, name, colour).await?;
    }
    let list = admin.list(&MAPS, SPACE, &only("kind=fruit")).await.map_err(StoryError::new)?;
    let revision = list.resource_version.clone();
    let rows =
        list.items.iter().map(|item| (item.name(), format!("resourceVersion {}", item.resource_version())));
    let rows: Vec<_> = rows.collect();
    lesson.tell("list", Facts::new().word("revision", &revision).show("items", decode::rows(rows)))?;

    lesson.ask("watch", Facts::new().word("revision", &revision))?;
    let mut watch = open(stage, &revision, "kind=fruit").await?;
    create(stage, "plum", "blue").await?;
    paint(stage, "apple", "yellow").await?;
    admin.delete(&MAPS, SPACE, "pear", &<_>::default()).await.map_err(StoryError::new)?;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(next(&mut watch).await?);
    }
    let name = events[0].object.name().to_owned();
    lesson.tell("watch", Facts::new().show("events", shown(&events)).answer(name))?;

    lesson.ask("selector", Facts::new())?;
    let now = admin.list(&MAPS, SPACE, &ListParams::default()).await.map_err(StoryError::new)?;
    let mut yellow = open(stage, &now.resource_version, "colour=yellow").await?;
    paint(stage, "apple", "brown").await?;
    let event = next(&mut yellow).await?;
    let kind = format!("{:?}", event.kind).to_uppercase();
    lesson.tell("selector", Facts::new().show("events", shown(&[event])).answer(kind))?;

    stage.news();
    let host = stage.host(WORKSTATION);
    let informer = Informer::start(&host, admin, MAPS, InformerOptions::default());
    informer.synced().await;
    // Its watch is answered when it begins; recorded is what was answered.
    stage.cluster.elapse(SECOND).await;
    let events = stage.news();
    let own =
        events.iter().filter(|e| e.kind == "request" && field(e, "path").starts_with("/api/v1/configmaps"));
    let requests = decode::requests(own.filter(|e| field(e, "user") == "kubernetes-admin"));
    lesson.holds("an informer watches", requests.contains("watch"), &requests)?;
    lesson.tell("informer", Facts::new().word("count", informer.len()).show("requests", requests))?;
    informer.stop();

    lesson.ask("gone", Facts::new().word("revision", &revision))?;
    drop((watch, yellow));
    for writes in [150, 300] {
        stage.cluster.elapse(2 * MINUTE).await;
        for n in 0..writes {
            paint(stage, "apple", &format!("shade-{n}")).await?;
        }
    }
    let (code, words) = old(stage, &revision).await;
    lesson.tell("gone", Facts::new().word("revision", &revision).show("error", words).answer(code))
}

fn only(labels: &str) -> ListParams {
    ListParams { label_selector: Some(labels.to_owned()), ..ListParams::default() }
}

async fn create(stage: &Stage, name: &str, colour: &str) -> Result<(), StoryError> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kind": "fruit", "colour": colour}},
    });
    super::create(stage.cluster.admin(), &map).await.map(drop).map_err(StoryError::new)
}

async fn paint(stage: &Stage, name: &str, colour: &str) -> Result<(), StoryError> {
    let patch = json!({"metadata": {"labels": {"colour": colour}}});
    let done = stage.cluster.admin().patch(&MAPS, SPACE, name, Patch::Merge(&patch), None).await;
    done.map(drop).map_err(StoryError::new)
}

async fn open(stage: &Stage, revision: &str, labels: &str) -> Result<WatchStream, StoryError> {
    let params = WatchParams {
        resource_version: Some(revision.to_owned()),
        label_selector: Some(labels.to_owned()),
        ..WatchParams::default()
    };
    stage.cluster.admin().watch(&MAPS, SPACE, &params).await.map_err(StoryError::new)
}

async fn next(watch: &mut WatchStream) -> Result<WatchEvent, StoryError> {
    let event = watch.next().await.ok_or_else(|| StoryError("the watch ended".into()))?;
    event.map_err(StoryError::new)
}

fn shown(events: &[WatchEvent]) -> String {
    let line = |event: &WatchEvent| {
        let object: &Value = &event.object;
        let kind = format!("{:?}", event.kind).to_uppercase();
        let colour = object.label("colour").unwrap_or_default();
        format!(
            "{kind:<8}  {:<5}  colour={colour:<6}  resourceVersion {}\n",
            object.name(),
            object.resource_version()
        )
    };
    events.iter().map(line).collect()
}

/// What a watch from a revision of long ago comes to: its code and words.
async fn old(stage: &Stage, revision: &str) -> (u16, String) {
    let mut watch = match open(stage, revision, "kind=fruit").await {
        Ok(watch) => watch,
        Err(why) => return (0, why.0),
    };
    match watch.next().await {
        Some(Err(e)) => verdict(&Err(e)),
        Some(Ok(_)) => (200, String::new()),
        None => (0, String::new()),
    }
}
