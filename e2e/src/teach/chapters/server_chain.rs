//! server-chain: one port, four servers behind it, and who answers for what.

use api::object::ObjectExt as _;
use chronoplane::ClusterOptions;
use client::{ListParams, Resource};
use serde_json::{Value, json};
use world::Periods;

use super::{MINUTE, SECOND, on_stage};
use crate::{
    scenarios::Stage,
    story::StoryError,
    teach::{Lesson, decode, facts::Facts},
};

const API_SERVICES: Resource = Resource::new("apiregistration.k8s.io", "v1", "apiservices");
const NAMESPACES: Resource = Resource::core("namespaces");
const THINGS: &str = "/apis/example.com/v1/namespaces/default/things";

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    on_stage(lesson, Periods::upstream(), ClusterOptions::default(), async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let admin = stage.cluster.admin();
    let list = admin.list(&API_SERVICES, None, &ListParams::default()).await.map_err(StoryError::new)?;
    let rows = list.items.iter().take(8).map(|item| (item.name().to_owned(), service(item)));
    let rows: Vec<_> = rows.collect();
    let shown = decode::rows(rows.iter().map(|(name, service)| (name.as_str(), service.clone())));
    let local = list.items.iter().all(|item| item.at("/spec/service").is_none_or(Value::is_null));
    lesson.holds("all API services of a new cluster are local", local, &shown)?;
    lesson.tell("aggregator", Facts::new().word("count", list.items.len()).show("services", shown))?;

    lesson.ask("nobody", Facts::new())?;
    let (code, body) = stage.get(THINGS).await;
    lesson.holds("it is not found", code == 404, code)?;
    lesson.tell("nobody", Facts::new().show("body", &body).answer(form(&body)))?;

    lesson.ask("definition", Facts::new())?;
    super::create(admin, &definition()).await.map_err(StoryError::new)?;
    let there = async || (stage.get(THINGS).await.0 == 200).then_some(());
    stage.cluster.elapse_until("the new resource is served", MINUTE, there).await?;
    let found = async || admin.get_opt(&API_SERVICES, None, "v1.example.com").await.ok().flatten();
    let registered = stage.cluster.elapse_until("it is registered", MINUTE, found).await;
    let (answer, shown) = match &registered {
        Ok(service) => ("APIService", decode::yaml(&spec_and_condition(service))),
        Err(_) => ("nothing", String::new()),
    };
    lesson.tell("definition", Facts::new().show("service", shown).answer(answer))?;

    lesson.ask("proxy", Facts::new())?;
    super::create(admin, &broken()).await.map_err(StoryError::new)?;
    let path = "/apis/metrics.example.com/v1beta1/pods";
    let taken = async || Some(stage.get(path).await).filter(|(code, _)| *code != 404);
    let (code, body) = stage.cluster.elapse_until("the aggregator knows it", MINUTE, taken).await?;
    let name = "v1beta1.metrics.example.com";
    let judged = async || {
        let service = admin.get_opt(&API_SERVICES, None, name).await.ok().flatten()?;
        service.at("/status/conditions/0").is_some().then_some(service)
    };
    let service = stage.cluster.elapse_until("it was looked at", MINUTE, judged).await?;
    let facts =
        Facts::new().word("body", body.trim()).show("service", decode::yaml(&spec_and_condition(&service)));
    lesson.tell("proxy", facts.answer(code))?;

    lesson.ask("namespace", Facts::new())?;
    let team = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    super::create(admin, &team).await.map_err(StoryError::new)?;
    stage.cluster.elapse(5 * SECOND).await;
    admin.delete(&NAMESPACES, None, "team", &<_>::default()).await.map_err(StoryError::new)?;
    stage.cluster.elapse(MINUTE).await;
    let left = admin.get_opt(&NAMESPACES, None, "team").await.map_err(StoryError::new)?;
    let conditions = left.as_ref().and_then(|team| team.at("/status/conditions")).and_then(Value::as_array);
    let failed =
        conditions.into_iter().flatten().find(|c| c["status"] == "True").cloned().unwrap_or_default();
    let shown = decode::rows([
        ("type", failed.str_at("/type").to_owned()),
        ("reason", failed.str_at("/reason").to_owned()),
        ("message", failed.str_at("/message").to_owned()),
    ]);
    let answer = if left.is_some() { "Terminating" } else { "gone" };
    lesson.tell("namespace", Facts::new().show("condition", shown).answer(answer))?;

    admin.delete(&API_SERVICES, None, name, &<_>::default()).await.map_err(StoryError::new)?;
    let gone = async || admin.get_opt(&NAMESPACES, None, "team").await.ok()?.is_none().then_some(());
    let began = stage.now();
    stage.cluster.elapse_until("the namespace is gone", 20 * MINUTE, gone).await?;
    let took = stage.now().duration_since(began).as_secs();
    lesson.tell("cure", Facts::new().word("seconds", took))
}

fn service(item: &Value) -> String {
    match item.str_at("/spec/service/name") {
        "" => "Local".to_owned(),
        name => format!("{}/{name}", item.str_at("/spec/service/namespace")),
    }
}

fn form(body: &str) -> &'static str {
    match serde_json::from_str::<Value>(body) {
        Ok(value) if value["kind"] == "Status" => "Status",
        _ => "text",
    }
}

/// What matters of an APIService.
fn spec_and_condition(service: &Value) -> Value {
    let condition = service.at("/status/conditions/0").cloned().unwrap_or_default();
    json!({
        "metadata": {"name": service.name()},
        "spec": {
            "group": service.str_at("/spec/group"), "version": service.str_at("/spec/version"),
            "service": service.at("/spec/service").cloned().unwrap_or_default(),
        },
        "status": {"conditions": [{
            "type": condition["type"], "status": condition["status"], "reason": condition["reason"],
            "message": condition["message"],
        }]},
    })
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    })
}

/// Its service is not there.
fn broken() -> Value {
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.example.com"},
        "spec": {
            "group": "metrics.example.com", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "metrics-adapter"},
        },
    })
}
