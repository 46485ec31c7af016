//! The table of decisions, `decisions.yaml`: what is configured, what is asked of the server, what the
//! webhooks answer; what becomes of it, in which words.

use std::{collections::BTreeMap, time::Duration};

use api::object::ObjectExt;
use client::{DeleteParams, ListParams, Resource};
use serde::Deserialize;
use serde_json::{Value, json};
use world::sim::{Config, run};

use crate::{
    hooks::{Asked, Hooks, configurations},
    plane::{ADMIN, Answer, Plane},
    trust::DAY,
};

const TABLE: &str = include_str!("decisions.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// Where upstream says so.
    #[allow(dead_code, reason = "for whoever reads the table")]
    fact: String,
    hooks: Vec<Hook>,
    /// Sent before any webhook is configured.
    #[serde(default)]
    before: Vec<Ask>,
    request: Ask,
    code: u16,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: Option<String>,
    /// By JSON pointer into the answer; `null` for what is not there.
    #[serde(default)]
    answer: BTreeMap<String, Value>,
    #[serde(default)]
    warnings: Vec<String>,
    /// Who is asked, in order.
    asked: Vec<String>,
    /// By JSON pointer into the last question.
    #[serde(default)]
    question: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    kind: String,
    name: String,
    /// Of the configuration; the webhook's otherwise. Webhooks of one configuration stand together.
    #[serde(default)]
    configuration: Option<String>,
    #[serde(default)]
    set: Value,
    #[serde(default)]
    answer: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default = "post")]
    method: String,
    #[serde(default = "maps")]
    path: String,
    #[serde(default)]
    media: Option<String>,
    #[serde(default)]
    body: Value,
}

fn post() -> String {
    "POST".to_owned()
}

fn maps() -> String {
    "/api/v1/namespaces/default/configmaps".to_owned()
}

async fn ask(plane: &Plane, ask: &Ask) -> Answer {
    let media = ask.media.as_deref().unwrap_or("application/json");
    let mut text = if ask.body.is_null() { String::new() } else { ask.body.to_string() };
    if text.is_empty() && ask.method == "POST" {
        text = json!({ "metadata": { "name": "m" } }).to_string();
    }
    plane.send(ADMIN, &ask.method, &ask.path, &[("content-type", media)], &text).await
}

async fn check(plane: &Plane, hooks: &Hooks, row: &Row) -> Vec<String> {
    let name = &row.name;
    for before in &row.before {
        let done = ask(plane, before).await;
        assert!(done.code < 300, "{name}: {} {}: {}", before.method, before.path, done.body);
    }
    plane.sim.elapse(Duration::from_millis(100)).await;
    let mut configured: Vec<(String, String, Vec<Value>)> = Vec::new();
    for hook in &row.hooks {
        let configuration = hook.configuration.clone().unwrap_or_else(|| hook.name.clone());
        hooks.answers(
            &hook.name,
            if hook.answer.is_null() { json!({ "allowed": true }) } else { hook.answer.clone() },
        );
        let webhook = hooks.webhook(&hook.name, &hook.set);
        match configured.iter_mut().find(|(kind, name, _)| *kind == hook.kind && *name == configuration) {
            Some((.., webhooks)) => webhooks.push(webhook),
            None => configured.push((hook.kind.clone(), configuration, vec![webhook])),
        }
    }
    for (kind, configuration, webhooks) in &configured {
        hooks.configure(plane, kind, configuration, webhooks.clone()).await;
    }
    hooks.asked();
    let answer = ask(plane, &row.request).await;
    let asked = hooks.asked();
    for (kind, configuration, _) in &configured {
        let (kind, params) = (configurations(kind), DeleteParams::default());
        plane.admin.delete(&kind, None, configuration, &params).await.unwrap();
    }
    plane.sim.elapse(Duration::from_millis(100)).await;

    judge(row, &answer, &asked)
}

/// What is not as the row has it.
fn judge(row: &Row, answer: &Answer, asked: &[Asked]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, found: Value, expected: Value| {
        if found != expected {
            wrong.push(format!("{}: {what}: {found}, not {expected}", row.name));
        }
    };
    let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    same("code", answer.code.into(), row.code.into());
    if row.code >= 400 || answer.code >= 400 {
        same("message", said.str_at("/message").into(), row.message.as_str().into());
    }
    if let Some(reason) = &row.reason {
        same("reason", said.str_at("/reason").into(), reason.as_str().into());
    }
    for (pointer, expected) in &row.answer {
        same(pointer, said.pointer(pointer).cloned().unwrap_or_default(), expected.clone());
    }
    let warnings: Vec<&str> = answer.headers.get_all("warning").iter().map(|w| w.to_str().unwrap()).collect();
    same("warnings", warnings.into(), row.warnings.clone().into());
    let names: Vec<&str> = asked.iter().map(|asked| asked.hook.as_str()).collect();
    same("asked", names.into(), row.asked.clone().into());
    for (pointer, expected) in &row.question {
        let review = asked.last().map(|asked| &asked.review);
        let found = review.and_then(|review| review.pointer(pointer)).cloned().unwrap_or_default();
        same(pointer, found, expected.clone());
    }
    wrong
}

/// What the rows leave behind is gone before the next.
async fn clean(plane: &Plane) {
    let core = |plural: &'static str| Resource::core(plural);
    for resource in [
        core("configmaps"),
        core("pods"),
        Resource::new("apps", "v1", "deployments"),
        Resource::new("autoscaling", "v1", "horizontalpodautoscalers"),
    ] {
        let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        plane
            .admin
            .delete_collection(&resource, Some("default"), &params, &ListParams::default())
            .await
            .unwrap();
    }
}

#[test]
fn every_row_of_the_table_holds() {
    let rows: Vec<Row> = serde_saphyr::from_str(TABLE).unwrap();
    assert!(rows.len() > 50, "{} rows", rows.len());
    run(Config::default(), move |sim| async move {
        let plane = Plane::start(&sim, &["--disable-admission-plugins=ServiceAccount"]).await;
        let hooks = Hooks::start(&sim.host("hook"), 365 * DAY).await;
        let mut wrong = Vec::new();
        for row in &rows {
            wrong.extend(check(&plane, &hooks, row).await);
            clean(&plane).await;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    })
    .unwrap();
}
