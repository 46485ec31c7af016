//! access: who are you, may you, and shall it be so: three questions, in this order.

use api::object::ObjectExt as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chronoplane::{ClusterOptions, cluster::WORKSTATION};
use client::{Resource, Rest};
use pki::kubeconfig::{Kubeconfig, User};
use serde_json::{Value, json};
use world::Periods;

use super::{MINUTE, SECOND, on_stage};
use crate::{
    scenarios::{Stage, verdict},
    story::StoryError,
    teach::{Lesson, decode, facts::Facts},
};

const SPACE: Option<&str> = Some("shop");
const PODS: Resource = Resource::core("pods");

pub(super) fn play(lesson: &Lesson) -> Result<(), StoryError> {
    on_stage(lesson, Periods::upstream(), ClusterOptions::default(), async |stage| act(lesson, stage).await)
}

async fn act(lesson: &Lesson, stage: &Stage) -> Result<(), StoryError> {
    let admin = stage.cluster.admin();
    prepare(stage).await?;

    lesson.ask("nobody", Facts::new())?;
    let nobody = caller(stage, None)?;
    let (code, words) = list(&nobody).await;
    lesson.tell("nobody", Facts::new().show("words", words).answer(code))?;

    lesson.ask("wrong", Facts::new())?;
    let (code, words) = list(&caller(stage, Some("not-a-token"))?).await;
    lesson.tell("wrong", Facts::new().show("words", words).answer(code))?;

    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600},
    });
    let made = admin.create_sub(&Resource::core("serviceaccounts"), SPACE, "till", "token", &request).await;
    let token = made.map_err(StoryError::new)?.str_at("/status/token").to_owned();
    let claims = claims(&token)?;
    let shown = decode::rows([
        ("iss", claims.str_at("/iss").to_owned()),
        ("sub", claims.str_at("/sub").to_owned()),
        ("aud", claims.at("/aud").map(Value::to_string).unwrap_or_default()),
        (
            "exp − iat",
            decode::span(
                claims.i64_at("/exp").unwrap_or_default() - claims.i64_at("/iat").unwrap_or_default(),
            ),
        ),
        (
            "kubernetes.io",
            claims
                .at("/kubernetes.io/serviceaccount/name")
                .map(|name| format!("serviceaccount {name}"))
                .unwrap_or_default(),
        ),
    ]);
    let till = caller(stage, Some(&token))?;
    lesson.ask("known", Facts::new())?;
    let (code, words) = list(&till).await;
    lesson.tell("known", Facts::new().show("claims", shown).show("words", words).answer(code))?;

    lesson.ask("granted", Facts::new())?;
    for object in grant() {
        super::create(admin, &object).await.map_err(StoryError::new)?;
    }
    // The server hears of roles by watching them.
    stage.cluster.elapse(SECOND).await;
    let (code, _) = list(&till).await;
    let role = decode::yaml(&grant()[0]["rules"]);
    lesson.tell("granted", Facts::new().show("role", role).answer(code))?;

    lesson.ask("changed", Facts::new())?;
    let sent = pod("first");
    let made = super::create(&till, &sent).await.map_err(StoryError::new)?;
    let mut added = Vec::new();
    differences("", &sent["spec"], &made["spec"], &mut added);
    let answer = if added.is_empty() { "as sent" } else { "changed" };
    let rows = added.iter().filter(|(path, _)| {
        ["serviceAccountName", "automount", "tolerations", "volumeMounts", "preemptionPolicy", "priority"]
            .iter()
            .any(|word| path.contains(word))
    });
    let rows = decode::rows(rows.map(|(path, value)| (path.as_str(), value.clone())));
    let facts = Facts::new().show("added", rows).answer(answer);
    lesson.tell("changed", facts)?;

    lesson.ask("refused", Facts::new())?;
    let (code, words) = verdict(&super::create(&till, &pod("second")).await);
    lesson.holds("the second pod is refused", code == 403, &words)?;
    let who = if words.contains("exceeded quota") { "admission" } else { "authorization" };
    lesson.tell("refused", Facts::new().show("words", textwrap::fill(&words, 88)).answer(who))?;

    lesson.ask("order", Facts::new())?;
    let thief = caller(stage, Some(&token))?;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}});
    let (code, words) = verdict(&super::create(&thief, &secret).await);
    lesson.holds("no secret is made", code == 403, &words)?;
    let who = if words.contains("exceeded quota") { "admission" } else { "authorization" };
    lesson.tell("order", Facts::new().show("words", textwrap::fill(&words, 88)).answer(who))
}

/// A namespace with a service account and room for one pod and for no Secret.
async fn prepare(stage: &Stage) -> Result<(), StoryError> {
    let admin = stage.cluster.admin();
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "till", "namespace": "shop"}}),
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": "shop"},
            "spec": {"hard": {"pods": "1", "secrets": "0"}},
        }),
    ];
    for object in objects {
        super::create(admin, &object).await.map_err(StoryError::new)?;
    }
    let ready = async || {
        let account =
            admin.get_opt(&Resource::core("serviceaccounts"), SPACE, "default").await.ok().flatten();
        let quota = admin.get(&Resource::core("resourcequotas"), SPACE, "small").await.ok()?;
        account.filter(|_| quota.at("/status/hard/pods").is_some()).map(drop)
    };
    Ok(stage.cluster.elapse_until("the namespace is ready", MINUTE, ready).await?)
}

/// A client on the workstation that trusts the cluster, with that bearer token or nothing.
fn caller(stage: &Stage, token: Option<&str>) -> Result<Rest, StoryError> {
    let mut config: Kubeconfig = stage.cluster.kubeconfig().clone();
    for named in &mut config.users {
        named.user = token.map(User::with_token).unwrap_or_default();
    }
    let host = stage.host(WORKSTATION);
    Rest::from_kubeconfig(&host, &config, stage.settings.profile.go(), "curl").map_err(StoryError::new)
}

/// `GET /api/v1/namespaces/shop/pods`: the code, and the words if it is refused.
async fn list(rest: &Rest) -> (u16, String) {
    match rest.list(&PODS, SPACE, &<_>::default()).await {
        Ok(_) => (200, String::new()),
        Err(e) => {
            let words = e.status().map(|status| status.message.clone()).unwrap_or_default();
            (e.status().map_or(0, |status| status.code), textwrap::fill(&words, 88))
        }
    }
}

/// The middle of a JWT.
fn claims(token: &str) -> Result<Value, StoryError> {
    let middle = token.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(middle).map_err(StoryError::new)?;
    serde_json::from_slice(&bytes).map_err(StoryError::new)
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    })
}

fn grant() -> [Value; 2] {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "seller", "namespace": "shop"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "create"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "seller", "namespace": "shop"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "seller"},
        "subjects": [{"kind": "ServiceAccount", "name": "till", "namespace": "shop"}],
    });
    [role, binding]
}

/// What `after` has that `before` has not, by path.
fn differences(path: &str, before: &Value, after: &Value, found: &mut Vec<(String, String)>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in after {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match before.get(key) {
                    Some(old) => differences(&path, old, value, found),
                    None => found.push((path, brief(value))),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (n, (old, new)) in before.iter().zip(after).enumerate() {
                differences(&format!("{path}[{n}]"), old, new, found);
            }
        }
        (before, after) if before != after => found.push((path.to_owned(), brief(after))),
        _ => {}
    }
}

/// A value in one line; of lists, what their members are about.
fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let about = |item: &Value| {
                let word = ["key", "mountPath", "name"].iter().find_map(|key| item[key].as_str());
                word.map_or_else(|| item.to_string(), str::to_owned)
            };
            items.iter().map(about).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
