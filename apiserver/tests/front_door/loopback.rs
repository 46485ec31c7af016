//! What users feel when the server's own certificate has ended: the table of
//! `facts/loopback-observed.md`, taken from a real kube-apiserver.

use std::time::Duration;

use api::object::ObjectExt;
use client::{DeleteParams, ListParams, Resource};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::plane::{Plane, with_plane, with_sparse_plane};

const X509: &str =
    "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time ";
const X509_OLD: &str = "x509: certificate has expired or is not yet valid: current time ";

/// The wall clock jumps past the certificate's end, then the one connection is reset.
async fn expire(plane: &Plane) {
    plane.sim.step("cp", SignedDuration::from_hours(24 * 365 * 4));
    plane.sim.elapse(Duration::from_secs(16)).await;
    // Until the connection breaks: nothing.
    assert_eq!(plane.get("/readyz").await.body, "ok");
    plane
        .admin
        .create(&Resource::core("namespaces"), None, &json!({ "metadata": { "name": "before" } }))
        .await
        .unwrap();
    plane.admin.create(&Resource::core("pods"), Some("default"), &pod("before")).await.unwrap();
    assert_eq!(plane.sim.reset_connections("cp", "cp", 6443), 1, "there is one connection, and no other");
    plane.sim.elapse(Duration::from_secs(60)).await;
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{ "name": "c", "image": "i" }],
        },
    })
}

async fn prepare(plane: &Plane) {
    // Pods want the default account, which a controller makes.
    let accounts = Resource::core("serviceaccounts");
    plane
        .admin
        .create(&accounts, Some("default"), &json!({ "metadata": { "name": "default" } }))
        .await
        .unwrap();
    plane.sim.elapse(Duration::from_secs(5)).await;
}

#[test]
fn the_observed_table() {
    with_plane(&[], |plane| async move {
        prepare(&plane).await;
        expire(&plane).await;
        for root in ["livez", "readyz", "healthz"] {
            let health = plane.get(&format!("/{root}")).await;
            assert_eq!((health.code, health.body.as_str()), (200, "ok"), "{root}");
        }
        let core = Resource::core;
        let default = Some("default");
        plane
            .admin
            .create(&core("namespaces"), None, &json!({ "metadata": { "name": "t1" } }))
            .await
            .unwrap();
        let young = plane
            .admin
            .create(&core("configmaps"), Some("t1"), &json!({ "metadata": { "name": "a" } }))
            .await
            .unwrap_err();
        let words =
            format!("Internal error occurred: Get \"https://127.0.0.1:6443/api/v1/namespaces/t1\": {X509}");
        assert!(young.to_string().starts_with(&words), "{young}");
        assert_eq!(young.status().map(|s| s.code), Some(500));
        plane
            .admin
            .create(&core("configmaps"), default, &json!({ "metadata": { "name": "a" } }))
            .await
            .unwrap();
        assert_eq!(
            plane.admin.list(&core("configmaps"), default, &ListParams::default()).await.unwrap().items.len(),
            1
        );
        plane.admin.get(&core("configmaps"), default, "a").await.unwrap();
        plane.admin.delete(&core("namespaces"), None, "t1", &DeleteParams::default()).await.unwrap();

        let rbac = |plural: &'static str| Resource::new("rbac.authorization.k8s.io", "v1", plural);
        let role = json!({ "metadata": { "name": "reader" }, "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] });
        plane.admin.create(&rbac("clusterroles"), None, &role).await.unwrap();
        let binding = json!({
            "metadata": { "name": "bob" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob" }],
        });
        plane.admin.create(&rbac("clusterrolebindings"), None, &binding).await.unwrap();
        plane.sim.elapse(Duration::from_secs(60)).await;
        let may = json!({ "spec": { "resourceAttributes": { "verb": "get", "resource": "pods", "namespace": "default" } } });
        let reviews = Resource::new("authorization.k8s.io", "v1", "selfsubjectaccessreviews");
        let answer = plane.bob.create(&reviews, None, &may).await.unwrap();
        assert!(!answer.bool_at("/status/allowed"), "a binding that no informer saw has no effect: {answer}");

        plane
            .admin
            .create(&core("serviceaccounts"), default, &json!({ "metadata": { "name": "sa" } }))
            .await
            .unwrap();
        plane
            .admin
            .create(
                &core("resourcequotas"),
                default,
                &json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "5" } } }),
            )
            .await
            .unwrap();

        let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }] } });
        let refused = plane.admin.create(&core("services"), default, &service).await.unwrap_err();
        let words = format!(
            "Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"\"]: failed to allocate IP: Post \"https://127.0.0.1:6443/apis/networking.k8s.io/v1/ipaddresses\": {X509}"
        );
        assert!(refused.to_string().starts_with(&words), "{refused}");
        assert_eq!(refused.status().map(|s| s.code), Some(422));

        let refused = plane.admin.create(&core("pods"), default, &pod("p")).await.unwrap_err();
        let words = format!(
            "pods \"p\" is forbidden: Get \"https://127.0.0.1:6443/api/v1/namespaces/default/limitranges\": {X509}"
        );
        assert!(refused.to_string().starts_with(&words), "{refused}");
        assert_eq!(refused.status().map(|s| s.code), Some(403));
        assert_eq!(plane.get("/apis").await.code, 200);
    });
}

#[test]
fn before_1_33_services_still_get_addresses_and_before_1_27_the_words_are_shorter() {
    with_plane(&["--kubernetes-version=1.26"], |plane| async move {
        prepare(&plane).await;
        expire(&plane).await;
        let default = Some("default");
        let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }] } });
        let made = plane.admin.create(&Resource::core("services"), default, &service).await.unwrap();
        assert!(made.str_at("/spec/clusterIP").starts_with("10."), "{made}");
        let refused = plane.admin.create(&Resource::core("pods"), default, &pod("p")).await.unwrap_err();
        let words = format!(
            "pods \"p\" is forbidden: Get \"https://127.0.0.1:6443/api/v1/namespaces/default/limitranges\": {X509_OLD}"
        );
        assert!(refused.to_string().starts_with(&words), "{refused}");
    });
}

#[test]
fn from_1_36_running_time_turns_livez_red_an_hour_after_the_end() {
    with_sparse_plane(&[], |plane| async move {
        let code = |root: &'static str| {
            let plane = &plane;
            async move { plane.get(&format!("/{root}")).await.code }
        };
        // A step of the wall clock alone never does.
        plane.sim.step("cp", SignedDuration::from_hours(24 * 365 * 4));
        plane.sim.elapse(Duration::from_secs(60)).await;
        assert_eq!(code("livez").await, 200);
        // Running time does, from the start on, by the age that the certificate was given: the
        // certificate itself began an hour before the start and is dead an hour earlier.
        let age = Duration::from_secs(1096 * 24 * 3600);
        let ran = plane.server.context().host.clock().monotonic().since(plane.server.context().started);
        plane.sim.elapse(age - ran - Duration::from_secs(60)).await;
        assert_eq!(code("livez").await, 200);
        plane.sim.elapse(Duration::from_secs(120)).await;
        assert_eq!((code("livez").await, code("healthz").await, code("readyz").await), (500, 500, 200));
        let live = plane.get("/livez").await.body;
        assert!(live.contains("[-]loopback-serving-certificate failed: reason withheld\n"), "{live}");
        assert!(live.ends_with("livez check failed\n"), "{live}");
        let one = plane.get("/livez/loopback-serving-certificate").await;
        assert_eq!(
            (one.code, one.body.as_str()),
            (500, "internal server error: loopback serving certificate is expired\n")
        );
    });
}
