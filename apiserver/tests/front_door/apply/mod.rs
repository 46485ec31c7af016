//! Managed fields and server-side apply, through the front door.

mod appliers;
mod entries;
mod refusals;

use std::time::Duration;

use api::{fields::Set, object::ObjectExt};
use serde_json::{Value, json};

use crate::plane::{ADMIN, Plane};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// Who owns what: `manager/subresource Operation path path…`, in order.
fn owners(object: &Value) -> Vec<String> {
    let line = |entry: &Value| {
        let set = Set::decode(&entry["fieldsV1"]).unwrap().to_string();
        let fields = set.split('\n').collect::<Vec<_>>().join(" ");
        let mut manager = entry.str_at("/manager").to_owned();
        if !entry.str_at("/subresource").is_empty() {
            manager = format!("{manager}/{}", entry.str_at("/subresource"));
        }
        format!("{manager} {} {fields}", entry.str_at("/operation"))
    };
    object.list_at("/metadata/managedFields").iter().map(line).collect()
}

impl Plane {
    async fn patch(&self, media: &str, path: &str, body: Value) -> (u16, Value) {
        let answer = self.send(ADMIN, "PATCH", path, &[("content-type", media)], &body.to_string()).await;
        (answer.code, answer.json())
    }

    /// An apply that is accepted.
    async fn apply(&self, path: &str, body: Value) -> Value {
        let (code, object) = self.patch(APPLY, path, body).await;
        assert!(matches!(code, 200 | 201), "{code} {object}");
        object
    }

    async fn post(&self, path: &str, agent: &str, body: Value) -> Value {
        let headers = [("content-type", "application/json"), ("user-agent", agent)];
        let answer = self.send(ADMIN, "POST", path, &headers, &body.to_string()).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        answer.json()
    }

    async fn put(&self, path: &str, agent: &str, body: &Value) -> Value {
        let headers = [("content-type", "application/json"), ("user-agent", agent)];
        let answer = self.send(ADMIN, "PUT", path, &headers, &body.to_string()).await;
        assert_eq!(answer.code, 200, "{}", answer.body);
        answer.json()
    }

    async fn check_refused(&self, media: &str, path: &str, body: Value, code: u16, message: &str) {
        let (got, status) = self.patch(media, path, body).await;
        assert_eq!((got, status.str_at("/message")), (code, message));
        assert_eq!(status.str_at("/kind"), "Status");
    }

    async fn wait_for(&self, path: &str) {
        for _ in 0..100 {
            if self.get(path).await.code == 200 {
                return;
            }
            self.sim.elapse(Duration::from_millis(100)).await;
        }
        panic!("{path} never came");
    }
}

fn map(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

fn deployment(spec: Value) -> Value {
    let mut whole = json!({
        "selector": { "matchLabels": { "app": "web" } },
        "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": "nginx", "ports": [{ "containerPort": 80 }] }] },
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": whole })
}
