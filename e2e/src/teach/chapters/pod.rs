//! pod: from `kubectl create deployment` to a container that runs, and out again.

use std::collections::BTreeSet;

use api::object::ObjectExt as _;
use chronoplane::ClusterOptions;
use client::{ListParams, Resource};
use serde_json::json;
use world::{Event, Periods};

use super::{MINUTE, SECOND, on_stage};
use crate::{
    scenarios::Stage,
    story::StoryError,
    teach::{
        Lesson,
        decode::{self, field},
        facts::Facts,
    },
};

const PODS: Resource = Resource::core("pods");
const SPACE: Option<&str> = Some("default");
const NODE: &str = "node1";

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    on_stage(lesson, Periods::upstream(), options, async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let admin = stage.cluster.admin();
    let account = async || {
        (stage.get("/api/v1/namespaces/default/serviceaccounts/default").await.0 == 200).then_some(())
    };
    stage.cluster.elapse_until("the default service account is there", 5 * MINUTE, account).await?;
    stage.news();
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]},
            },
        },
    });
    super::create(admin, &deployment).await.map_err(StoryError::new)?;
    let running = async || {
        let list = admin.list(&PODS, SPACE, &ListParams::default()).await.ok()?;
        list.items.into_iter().find(|pod| pod.str_at("/status/phase") == "Running")
    };
    let pod = stage.cluster.elapse_until("the pod runs", MINUTE, running).await?;
    let events = stage.news();
    let writes: Vec<&Event> = writes(&events);

    lesson.ask("creator", Facts::new())?;
    let created = writes.iter().find(|e| field(e, "verb") == "create" && ends(e, "/pods"));
    let creator = created.map(|e| field(e, "user")).unwrap_or_default();
    let upto = writes.iter().position(|e| Some(e) == created).map_or(0, |n| n + 1);
    let making = writes[..upto].iter().copied().filter(|e| field(e, "verb") == "create");
    lesson.tell("creator", Facts::new().show("requests", decode::requests(making)).answer(creator))?;

    lesson.ask("scheduler", Facts::new())?;
    let bound = writes.iter().find(|e| ends(e, "/binding") || ends(e, "/bindings"));
    let bound = bound.ok_or_else(|| StoryError("nobody has bound the pod".into()))?;
    let how = if field(bound, "verb") == "create" { "binding" } else { "update" };
    let facts = Facts::new()
        .show("requests", decode::requests([*bound]))
        .word("node", pod.str_at("/spec/nodeName"))
        .answer(how);
    lesson.tell("scheduler", facts)?;

    lesson.ask("kubelet", Facts::new())?;
    let all = stage.sim().events();
    let user = format!("system:node:{NODE}");
    let own =
        |e: &&Event| e.kind == "request" && field(e, "user") == user && field(e, "path") == "/api/v1/pods";
    let asked: Vec<&Event> = all.iter().filter(own).collect();
    let last = asked.last().map(|e| field(e, "verb")).unwrap_or_default();
    let reports = writes
        .iter()
        .copied()
        .filter(|e| field(e, "user").starts_with("system:node:") && field(e, "path").contains("/status"));
    let facts = Facts::new()
        .show("watch", decode::requests(asked.iter().copied()))
        .show("reports", decode::requests(reports))
        .show(
            "status",
            decode::yaml(&json!({
                "phase": pod.str_at("/status/phase"), "podIP": pod.str_at("/status/podIP"),
                "startTime": pod.str_at("/status/startTime"),
            })),
        )
        .answer(last);
    lesson.tell("kubelet", facts)?;

    let users: BTreeSet<&str> = writes.iter().map(|e| field(e, "user")).collect();
    let short = |user: &&str| user.rsplit(':').next().unwrap_or_default().to_owned();
    let names = users.iter().map(short).collect::<Vec<_>>().join("`, `");
    lesson.tell("together", Facts::new().word("count", users.len()).word("names", names))?;

    lesson.ask("delete", Facts::new())?;
    let name = pod.name().to_owned();
    admin.delete(&PODS, SPACE, &name, &<_>::default()).await.map_err(StoryError::new)?;
    let left = admin.get_opt(&PODS, SPACE, &name).await.map_err(StoryError::new)?;
    let answer = match &left {
        Some(pod) if pod.is_terminating() => "Terminating",
        Some(_) => "Running",
        None => "gone",
    };
    let gone = async || admin.get_opt(&PODS, SPACE, &name).await.ok()?.is_none().then_some(());
    stage.cluster.elapse_until("the pod is gone", 2 * MINUTE, gone).await?;
    stage.cluster.elapse(SECOND).await;
    let events = stage.news();
    let about = events
        .iter()
        .filter(|e| e.kind == "request" && field(e, "verb") == "delete" && field(e, "path").contains(&name));
    let about: Vec<_> = about.collect();
    let facts = Facts::new().show("requests", decode::requests(about.iter().copied())).answer(answer);
    lesson.tell("delete", facts)
}

fn ends(event: &Event, with: &str) -> bool {
    field(event, "path").ends_with(with)
}

/// What was written on the way: the objects themselves, not the words about them.
fn writes(events: &[Event]) -> Vec<&Event> {
    let changes = ["create", "update", "patch", "delete"];
    let kinds = ["/deployments", "/replicasets", "/pods"];
    let is = |e: &&Event| {
        let path = field(e, "path");
        e.kind == "request"
            && changes.contains(&field(e, "verb"))
            && path.contains("/namespaces/default/")
            && kinds.iter().any(|kind| path.contains(kind))
            && field(e, "code").starts_with('2')
    };
    events.iter().filter(is).collect()
}
