//! API services: the server's own, and those of others.

use std::time::Duration;

use api::{kinds, object::ObjectExt};
use client::{ListParams, Resource};
use serde_json::{Value, json};

use crate::plane::with_plane;

fn services() -> Resource {
    Resource::new("apiregistration.k8s.io", "v1", "apiservices")
}

fn reason(service: &Value) -> String {
    let available = service.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Available");
    available.map(|c| c.str_at("/reason").to_owned()).unwrap_or_default()
}

#[test]
fn every_built_in_group_is_registered_when_the_server_is_ready() {
    with_plane(&[], |plane| async move {
        let list = plane.admin.list(&services(), None, &ListParams::default()).await.unwrap();
        let mut expected: Vec<String> = kinds::group_versions()
            .iter()
            .filter(|gv| gv.has_api_service)
            .map(|gv| gv.api_service_name())
            .collect();
        expected.sort();
        assert_eq!(list.items.iter().map(|s| s.name().to_owned()).collect::<Vec<_>>(), expected);
        assert!(list.items.iter().all(|s| reason(s) == "Local"));
        let health = plane.get("/readyz/autoregister-completion").await;
        assert_eq!(health.code, 200);
    });
}

#[test]
fn another_server_s_group_is_shown_but_not_reached() {
    with_plane(&[], |plane| async move {
        let service = json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": { "name": "v1beta1.metrics.k8s.io" },
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": true,
                "service": { "namespace": "kube-system", "name": "metrics-server" },
            },
        });
        plane.admin.create(&services(), None, &service).await.unwrap();
        plane.sim.elapse(Duration::from_secs(1)).await;
        let seen = plane.admin.get(&services(), None, "v1beta1.metrics.k8s.io").await.unwrap();
        assert_eq!(reason(&seen), "ServiceNotFound");
        for path in ["/apis/metrics.k8s.io/v1beta1", "/apis/metrics.k8s.io/v1beta1/nodes"] {
            let answer = plane.get(path).await;
            assert_eq!((answer.code, answer.body.as_str()), (503, "service unavailable\n"), "{path}");
        }
        let groups = plane.get("/apis").await.json();
        let last = groups["groups"].as_array().unwrap().last().unwrap();
        assert_eq!(last["name"], "metrics.k8s.io");
    });
}
