//! Pods, services, scale, tokens: what has rules of its own.

use std::time::Duration;

use api::object::ObjectExt;
use client::{DeleteParams, Resource};
use serde_json::{Value, json};
use world::sim::Config;

use crate::plane::{ADMIN, Plane, with_plane};

const DEFAULT: Option<&str> = Some("default");

async fn account(plane: &Plane) {
    let account = json!({ "metadata": { "name": "default" } });
    plane.admin.create(&Resource::core("serviceaccounts"), DEFAULT, &account).await.unwrap();
}

async fn pod(plane: &Plane, name: &str) -> Value {
    let pod =
        json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    plane.admin.create(&Resource::core("pods"), DEFAULT, &pod).await.unwrap()
}

#[test]
fn a_bound_pod_ends_gracefully_an_unbound_one_at_once() {
    with_plane(&[], |plane| async move {
        account(&plane).await;
        let pods = Resource::core("pods");
        let made = pod(&plane, "a").await;
        assert_eq!(made.str_at("/status/phase"), "Pending");
        assert_eq!(made.str_at("/spec/schedulerName"), "default-scheduler");
        let binding = json!({ "target": { "kind": "Node", "name": "n1" } });
        plane.admin.create_sub(&pods, DEFAULT, "a", "binding", &binding).await.unwrap();
        let bound = plane.admin.get(&pods, DEFAULT, "a").await.unwrap();
        assert_eq!(bound.str_at("/spec/nodeName"), "n1");
        let again = plane.admin.create_sub(&pods, DEFAULT, "a", "binding", &binding).await.unwrap_err();
        assert!(again.to_string().contains("pod a is already assigned to node \"n1\""), "{again}");

        plane.admin.delete(&pods, DEFAULT, "a", &DeleteParams::default()).await.unwrap();
        let ending = plane.admin.get(&pods, DEFAULT, "a").await.unwrap();
        assert_eq!(ending.deletion_grace_period_seconds(), Some(30));
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        plane.admin.delete(&pods, DEFAULT, "a", &now).await.unwrap();
        assert!(plane.admin.get(&pods, DEFAULT, "a").await.unwrap_err().is_not_found());

        pod(&plane, "b").await;
        plane.admin.delete(&pods, DEFAULT, "b", &DeleteParams::default()).await.unwrap();
        assert!(plane.admin.get(&pods, DEFAULT, "b").await.unwrap_err().is_not_found());
    });
}

#[test]
fn a_port_of_another_range_takes_no_port_of_this_one_along() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("cp"));
        let service = |name: &str, port: u16| {
            let ports = json!([{ "port": 80, "nodePort": port }]);
            json!({ "metadata": { "name": name }, "spec": { "type": "NodePort", "ports": ports } })
        };
        let services = Resource::core("services");
        let flags = ["--service-node-port-range=20000-20010"];
        let before = Plane::start_on(&sim, &flags, Some(store.clone())).await;
        before.admin.create(&services, DEFAULT, &service("old", 20_005)).await.unwrap();
        before.server.shutdown().await;

        let plane = Plane::start_on(&sim, &[], Some(store)).await;
        plane.admin.create(&services, DEFAULT, &service("first", 30_000)).await.unwrap();
        plane.admin.delete(&services, DEFAULT, "old", &DeleteParams::default()).await.unwrap();
        plane.sim.elapse(Duration::from_secs(1)).await;
        let second = plane.admin.create(&services, DEFAULT, &service("second", 30_000)).await.unwrap_err();
        assert!(second.to_string().contains("provided port is already allocated"), "{second}");
    })
    .unwrap();
}

#[test]
fn services_get_an_address_and_give_it_back() {
    with_plane(&[], |plane| async move {
        let (services, addresses) =
            (Resource::core("services"), Resource::new("networking.k8s.io", "v1", "ipaddresses"));
        let service =
            json!({ "metadata": { "name": "s" }, "spec": { "type": "NodePort", "ports": [{ "port": 80 }] } });
        let made = plane.admin.create(&services, DEFAULT, &service).await.unwrap();
        let ip = made.str_at("/spec/clusterIP").to_owned();
        let port = made.i64_at("/spec/ports/0/nodePort").unwrap();
        assert!((30_000..=32_767).contains(&port), "{made}");
        let address = plane.admin.get(&addresses, None, &ip).await.unwrap();
        assert_eq!(address.str_at("/spec/parentRef/name"), "s");
        // The address stays when an update does not speak of it.
        let mut next = made.clone();
        next.remove_at("/spec/clusterIP");
        next.remove_at("/spec/clusterIPs");
        next.set_at("/spec/ports/0/targetPort", 8080);
        let kept = plane.admin.update(&services, DEFAULT, "s", &next).await.unwrap();
        assert_eq!(
            (kept.str_at("/spec/clusterIP"), kept.i64_at("/spec/ports/0/nodePort")),
            (ip.as_str(), Some(port))
        );
        let taken =
            json!({ "metadata": { "name": "t" }, "spec": { "clusterIP": ip, "ports": [{ "port": 80 }] } });
        let refused = plane.admin.create(&services, DEFAULT, &taken).await.unwrap_err();
        let words = format!(
            "Service \"t\" is invalid: spec.clusterIPs: Invalid value: [\"{ip}\"]: failed to allocate IP {ip}: provided IP is already allocated"
        );
        assert_eq!(refused.to_string(), words);
        plane.admin.delete(&services, DEFAULT, "s", &DeleteParams::default()).await.unwrap();
        plane.sim.elapse(Duration::from_secs(1)).await;
        assert!(plane.admin.get(&addresses, None, &ip).await.unwrap_err().is_not_found());
    });
}

#[test]
fn scale_shows_and_sets_replicas() {
    with_plane(&[], |plane| async move {
        let deployments = Resource::new("apps", "v1", "deployments");
        let deployment = json!({
            "metadata": { "name": "d" },
            "spec": {
                "selector": { "matchLabels": { "app": "d" } },
                "template": {
                    "metadata": { "labels": { "app": "d" } },
                    "spec": { "containers": [{ "name": "c", "image": "i" }] },
                },
            },
        });
        let made = plane.admin.create(&deployments, DEFAULT, &deployment).await.unwrap();
        assert_eq!((made.generation(), made.i64_at("/spec/replicas")), (1, Some(1)));
        let path = "/apis/apps/v1/namespaces/default/deployments/d/scale";
        let patch = [("content-type", "application/merge-patch+json")];
        let scaled = plane.send(ADMIN, "PATCH", path, &patch, r#"{"spec":{"replicas":3}}"#).await.json();
        assert_eq!(
            (scaled.kind(), scaled.i64_at("/spec/replicas"), scaled.str_at("/status/selector")),
            ("Scale", Some(3), "app=d")
        );
        let after = plane.admin.get(&deployments, DEFAULT, "d").await.unwrap();
        assert_eq!((after.generation(), after.i64_at("/spec/replicas")), (2, Some(3)));
        let status = json!({ "metadata": { "name": "d" }, "status": { "replicas": 3 } });
        let reported = plane.admin.update_sub(&deployments, DEFAULT, "d", "status", &status).await.unwrap();
        assert_eq!(
            (reported.generation(), reported.i64_at("/status/replicas"), reported.i64_at("/spec/replicas")),
            (2, Some(3), Some(3))
        );
    });
}

#[test]
fn a_namespace_ends_through_finalize() {
    with_plane(&[], |plane| async move {
        let namespaces = Resource::core("namespaces");
        let made =
            plane.admin.create(&namespaces, None, &json!({ "metadata": { "name": "n" } })).await.unwrap();
        assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
        plane.admin.delete(&namespaces, None, "n", &DeleteParams::default()).await.unwrap();
        let mut ending = plane.admin.get(&namespaces, None, "n").await.unwrap();
        assert_eq!(ending.str_at("/status/phase"), "Terminating");
        plane.sim.elapse(Duration::from_secs(1)).await;
        let late = plane
            .admin
            .create(&Resource::core("configmaps"), Some("n"), &json!({ "metadata": { "name": "a" } }))
            .await
            .unwrap_err();
        assert_eq!(
            late.to_string(),
            "configmaps \"a\" is forbidden: unable to create new content in namespace n because it is being terminated"
        );
        ending.remove_at("/spec/finalizers");
        plane.admin.update_sub(&namespaces, None, "n", "finalize", &ending).await.unwrap();
        assert!(plane.admin.get(&namespaces, None, "n").await.unwrap_err().is_not_found());
        let kept =
            plane.admin.delete(&namespaces, None, "kube-system", &DeleteParams::default()).await.unwrap_err();
        assert_eq!(
            kept.to_string(),
            "namespaces \"kube-system\" is forbidden: this namespace may not be deleted"
        );
    });
}

#[test]
fn events_end_by_themselves() {
    with_plane(&["--event-ttl=1h"], |plane| async move {
        let events = Resource::core("events");
        let event = json!({ "metadata": { "name": "e" }, "involvedObject": { "kind": "Pod", "namespace": "default", "name": "p" } });
        plane.admin.create(&events, DEFAULT, &event).await.unwrap();
        plane.sim.elapse(Duration::from_secs(3500)).await;
        plane.admin.get(&events, DEFAULT, "e").await.unwrap();
        plane.sim.elapse(Duration::from_secs(300)).await;
        assert!(plane.admin.get(&events, DEFAULT, "e").await.unwrap_err().is_not_found());
    });
}
