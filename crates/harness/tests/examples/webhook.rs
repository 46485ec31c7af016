//! An admission webhook as the API server meets it: over TLS, with a certificate that ends one day.

use std::time::Duration;

use chronoplane::{ControlPlane, Manifests, Sim, Webhook, k8s_openapi::api::core::v1::ConfigMap};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the webhook decides: passwords do not belong into config maps.
fn judge(review: &Value) -> Value {
    let data = review.pointer("/request/object/data").and_then(Value::as_object);
    let secret = data.and_then(|data| data.keys().find(|key| key.contains("password")));
    let mut response = json!({"uid": review["request"]["uid"], "allowed": secret.is_none()});
    if let Some(key) = secret {
        response["status"] = json!({"message": format!("{key} belongs into a Secret")});
    }
    json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})
}

fn configuration(webhook: &Webhook) -> Manifests {
    Manifests::object(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "no-passwords"},
        "webhooks": [{
            "name": "no-passwords.example.com",
            "clientConfig": webhook.client_config("/judge"),
            "rules": [{
                "operations": ["CREATE", "UPDATE"],
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["configmaps"],
            }],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    }))
    .unwrap()
}

fn map(name: &str, key: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {key: "x"}})).unwrap()
}

#[chronoplane::test]
async fn passwords_are_refused_until_the_webhooks_certificate_ends(sim: Sim, plane: ControlPlane) {
    let answer = |review: Value| async move { judge(&review) };
    let webhook = Webhook::serve_for(&sim.host("hook"), DAY, answer).await.unwrap();
    plane.apply(&configuration(&webhook)).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client().unwrap());
    let create = async |name: &str, key: &str| {
        maps.create(&PostParams::default(), &map(name, key)).await.map_err(|e| e.to_string())
    };

    // The API server asks the webhook from the moment on that it has heard of it.
    let heard = async {
        let mut n = 0;
        while create(&format!("try-{n}"), "password").await.is_ok() {
            n += 1;
            plane.elapse(Duration::from_millis(100)).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("the webhook is asked within 30 s");
    let refused = create("a", "db-password").await.unwrap_err();
    assert!(
        refused.contains(
            r#"webhook "no-passwords.example.com" denied the request: db-password belongs into a Secret"#
        ),
        "{refused}"
    );
    create("b", "colour").await.unwrap();

    plane.elapse(DAY - HOUR).await.unwrap();
    create("c", "colour").await.expect("in the last hour all is well");
    // The connection of that request has been idle for too long, and another one is made.
    plane.elapse(HOUR + Duration::from_secs(2)).await.unwrap();
    let failed = create("d", "colour").await.expect_err("nothing can be written any more");
    assert!(
        failed.contains("failed calling webhook") && failed.contains("certificate has expired"),
        "{failed}"
    );
}
