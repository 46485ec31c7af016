//! What is entered as whose: by every write, in each version of a kind, as a custom kind's schema has it.

use std::time::Duration;

use api::object::ObjectExt;
use client::Resource;
use serde_json::{Value, json};

use super::{APPLY, DEPLOYMENTS, MAPS, MERGE, STRATEGIC, deployment, map, owners};
use crate::plane::with_plane;

const FOOS: &str = "/apis/example.com/v1/namespaces/default/foos";

#[test]
fn every_write_is_entered() {
    with_plane(&[], |plane| async move {
        let agent = "curl/8.1 (linux)";
        let made = plane.post(MAPS, agent, map("a", json!({ "k": "1" }))).await;
        assert_eq!(owners(&made), ["curl Update .data .data.k"]);
        let entry = &made["metadata"]["managedFields"][0];
        assert_eq!(
            (entry.str_at("/apiVersion"), entry.str_at("/fieldsType"), entry.str_at("/time")),
            ("v1", "FieldsV1", made.str_at("/metadata/creationTimestamp"))
        );
        // The name may be given.
        let (_, patched) = plane
            .patch(MERGE, &format!("{MAPS}/a?fieldManager=me"), json!({ "data": { "k": "2", "l": "3" } }))
            .await;
        assert_eq!(owners(&patched), ["curl Update .data", "me Update .data.k .data.l"]);
        // Nothing changed: nothing is written, not even a time.
        plane.sim.elapse(Duration::from_secs(5)).await;
        let same = plane.put(&format!("{MAPS}/a"), agent, &patched).await;
        assert_eq!(same, patched);
        // What somebody removes is nobody's.
        let (_, less) = plane.patch(MERGE, &format!("{MAPS}/a"), json!({ "data": { "l": null } })).await;
        assert_eq!(owners(&less), ["curl Update .data", "me Update .data.k"]);
        // A client that knows nothing of managed fields leaves them as they are.
        let mut bare = less.clone();
        bare.remove_at("/metadata/managedFields");
        bare.set_at("/data/m", "1");
        let kept = plane.put(&format!("{MAPS}/a"), agent, &bare).await;
        assert_eq!(owners(&kept), ["me Update .data.k", "curl Update .data .data.m"]);
    });
}

#[test]
fn a_created_deployment_has_upstreams_entry() {
    with_plane(&[], |plane| async move {
        let object = plane.post(DEPLOYMENTS, "kubectl/v1.36.0", deployment(json!({}))).await;
        let fields = &object["metadata"]["managedFields"][0]["fieldsV1"];
        assert_eq!(
            *fields,
            json!({ "f:spec": {
                "f:progressDeadlineSeconds": {},
                "f:replicas": {},
                "f:revisionHistoryLimit": {},
                "f:selector": {},
                "f:strategy": {
                    "f:rollingUpdate": { ".": {}, "f:maxSurge": {}, "f:maxUnavailable": {} },
                    "f:type": {},
                },
                "f:template": {
                    "f:metadata": { "f:labels": { ".": {}, "f:app": {} } },
                    "f:spec": {
                        "f:containers": {
                            "k:{\"name\":\"web\"}": {
                                ".": {},
                                "f:image": {},
                                "f:imagePullPolicy": {},
                                "f:name": {},
                                "f:ports": {
                                    ".": {},
                                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                                        ".": {}, "f:containerPort": {}, "f:protocol": {},
                                    },
                                },
                                "f:resources": {},
                                "f:terminationMessagePath": {},
                                "f:terminationMessagePolicy": {},
                            },
                        },
                        "f:dnsPolicy": {},
                        "f:restartPolicy": {},
                        "f:schedulerName": {},
                        "f:securityContext": {},
                        "f:terminationGracePeriodSeconds": {},
                    },
                },
            } })
        );
    });
}

#[test]
fn custom_resources_are_owned_by_their_schema() {
    with_plane(&[], |plane| async move {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": "foos.example.com" },
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": { "plural": "foos", "kind": "Foo" },
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                        "spec": { "type": "object", "properties": {
                            "ports": {
                                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                                "items": { "type": "object", "required": ["port"], "properties": {
                                    "port": { "type": "integer" }, "name": { "type": "string" } } },
                            },
                            "args": { "type": "array", "items": { "type": "string" } },
                            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                        } },
                        "status": { "type": "object", "properties": { "ready": { "type": "boolean" } } },
                    } } },
                }],
            },
        });
        let crds = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        plane.admin.create(&crds, None, &definition).await.unwrap();
        plane.wait_for(FOOS).await;
        let foo = |spec: Value| json!({ "apiVersion": "example.com/v1", "kind": "Foo", "metadata": { "name": "a" }, "spec": spec });
        let at = |manager: &str| format!("{FOOS}/a?fieldManager={manager}");
        plane.apply(&at("one"), foo(json!({ "ports": [{ "port": 80 }], "free": { "a": { "b": 1 } } }))).await;
        let both = plane
            .apply(&at("two"), foo(json!({ "ports": [{ "port": 81, "name": "x" }], "free": { "c": 1 } })))
            .await;
        assert_eq!(
            both["spec"],
            json!({ "ports": [{ "port": 80 }, { "port": 81, "name": "x" }], "free": { "a": { "b": 1 }, "c": 1 } })
        );
        plane
            .check_refused(
                APPLY,
                &at("two"),
                foo(json!({ "free": { "a": { "b": 2 } } })),
                409,
                r#"Apply failed with 1 conflict: conflict with "one": .spec.free.a.b"#,
            )
            .await;
        plane
            .check_refused(
                APPLY,
                &at("two"),
                foo(json!({ "prts": [] })),
                500,
                "failed to create typed patch object (/a; example.com/v1, Kind=Foo): .spec.prts: field not declared in schema",
            )
            .await;
        let left = plane.apply(&at("one"), foo(json!({}))).await;
        assert_eq!(left["spec"], json!({ "ports": [{ "port": 81, "name": "x" }], "free": { "c": 1 } }));
        let status = json!({ "status": { "ready": true }, "metadata": { "labels": { "a": "b" } } });
        let (_, object) = plane.patch(MERGE, &format!("{FOOS}/a/status?fieldManager=ctrl"), status).await;
        assert_eq!(
            owners(&object).last().map(String::as_str),
            Some("ctrl/status Update .status .status.ready")
        );
        plane
            .check_refused(
                STRATEGIC,
                &at("x"),
                json!({}),
                415,
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )
            .await;
    });
}

#[test]
fn versions_of_one_kind_have_entries_of_their_own() {
    with_plane(&[], |plane| async move {
        let hpa = |version: &str| {
            format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers/h")
        };
        let v1 = json!({
            "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "h" },
            "spec": { "maxReplicas": 3, "targetCPUUtilizationPercentage": 50,
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } },
        });
        plane.apply(&format!("{}?fieldManager=old", hpa("v1")), v1).await;
        let v2 = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "h" },
            "spec": { "maxReplicas": 5 },
        });
        plane
            .check_refused(
                APPLY,
                &format!("{}?fieldManager=new", hpa("v2")),
                v2.clone(),
                409,
                r#"Apply failed with 1 conflict: conflict with "old": .spec.maxReplicas"#,
            )
            .await;
        let forced = plane.apply(&format!("{}?fieldManager=new&force=true", hpa("v2")), v2).await;
        let versions: Vec<&str> =
            forced.list_at("/metadata/managedFields").iter().map(|e| e.str_at("/apiVersion")).collect();
        assert_eq!(
            (versions, owners(&forced)[0].as_str()),
            (vec!["autoscaling/v2", "autoscaling/v1"], "new Apply .spec.maxReplicas")
        );
    });
}

#[test]
fn what_the_server_does_in_passing_is_not_tracked() {
    with_plane(&[], |plane| async move {
        let pods = "/api/v1/namespaces/default/pods";
        let account =
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
        plane.post("/api/v1/namespaces/default/serviceaccounts", "x/1", account).await;
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
            "spec": { "containers": [{ "name": "c", "image": "i" }] } });
        let made = plane.post(pods, "x/1", pod).await;
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "p" },
            "target": { "kind": "Node", "name": "n" } });
        plane.post(&format!("{pods}/p/binding"), "scheduler/1", binding).await;
        let bound = plane.get(&format!("{pods}/p")).await.json();
        assert_eq!((bound.str_at("/spec/nodeName"), owners(&bound)), ("n", owners(&made)));
        // What admission put in is nobody's either.
        assert!(!owners(&made)[0].contains("serviceAccount"), "{:?}", owners(&made));
    });
}
