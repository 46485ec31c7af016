//! Custom resources: from the definition to its end.

use std::time::Duration;

use api::object::ObjectExt;
use client::{DeleteParams, ListParams, Patch, Resource};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::plane::{ADMIN, Plane, with_plane};

const TURN: Duration = Duration::from_secs(1);

fn definitions() -> Resource {
    Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

fn foos() -> Resource {
    Resource::new("example.com", "v1", "foos")
}

fn definition(plural: &str, kind: &str, short: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.example.com") },
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": { "plural": plural, "kind": kind, "shortNames": [short] },
            "versions": [
                {
                    "name": "v1",
                    "served": true,
                    "storage": true,
                    "subresources": {
                        "status": {},
                        "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" },
                    },
                    "additionalPrinterColumns": [
                        { "name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas" },
                    ],
                    "schema": { "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "replicas": { "type": "integer", "minimum": 0, "default": 1 },
                                    "color": { "type": "string", "enum": ["red", "blue"] },
                                },
                            },
                            "status": { "type": "object", "properties": { "replicas": { "type": "integer" } } },
                        },
                    } },
                },
                {
                    "name": "v1beta1",
                    "served": true,
                    "storage": false,
                    "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
                },
            ],
        },
    })
}

fn foo(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Foo", "metadata": { "name": name }, "spec": spec })
}

async fn define(plane: &Plane) {
    plane.admin.create(&definitions(), None, &definition("foos", "Foo", "fo")).await.unwrap();
    plane.sim.elapse(TURN).await;
}

/// Two instances, of which one does not go at once.
async fn held_and_free(plane: &Plane) {
    let mut held = foo("held", json!({}));
    held.add_finalizer("example.com/hold");
    for instance in [held, foo("free", json!({}))] {
        plane.admin.create(&foos(), Some("default"), &instance).await.unwrap();
    }
}

/// Begins to delete their definition.
async fn undefine(plane: &Plane) {
    plane.admin.delete(&definitions(), None, "foos.example.com", &DeleteParams::default()).await.unwrap();
    plane.sim.elapse(TURN).await;
}

/// What has a finalizer waits for it, and the definition waits for that; then both are gone.
async fn let_go(plane: &Plane) {
    let patch = json!({ "metadata": { "finalizers": null } });
    plane.admin.patch(&foos(), Some("default"), "held", Patch::Merge(&patch), None).await.unwrap();
    plane.sim.elapse(Duration::from_secs(10)).await;
    let gone = plane.admin.get(&definitions(), None, "foos.example.com").await;
    assert!(gone.unwrap_err().is_not_found());
}

fn conditions(definition: &Value) -> Vec<(String, String)> {
    let all = definition.list_at("/status/conditions").iter();
    all.map(|c| (c.str_at("/type").to_owned(), c.str_at("/reason").to_owned())).collect()
}

#[test]
fn a_definition_is_established_and_served() {
    with_plane(&[], |plane| async move {
        assert_eq!(plane.get("/apis/example.com/v1/foos").await.code, 404);
        define(&plane).await;
        let seen = plane.admin.get(&definitions(), None, "foos.example.com").await.unwrap();
        let reasons = [("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted")];
        assert_eq!(conditions(&seen), reasons.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(seen.at("/status/storedVersions"), Some(&json!(["v1"])));
        let list = plane.get("/apis/example.com/v1").await.json();
        let names: Vec<&Value> = list["resources"].as_array().unwrap().iter().map(|r| &r["name"]).collect();
        assert_eq!(names, ["foos", "foos/status", "foos/scale"]);
        let group = plane.get("/apis/example.com").await.json();
        assert_eq!(group["preferredVersion"]["version"], "v1");
        let services = Resource::new("apiregistration.k8s.io", "v1", "apiservices");
        let service = plane.admin.get(&services, None, "v1.example.com").await.unwrap();
        assert_eq!(service.label("kube-aggregator.kubernetes.io/automanaged"), Some("true"));
        let document = plane.get("/openapi/v3/apis/example.com/v1").await.json();
        assert!(document["components"]["schemas"]["com.example.v1.Foo"]["properties"]["spec"].is_object());
    });
}

#[test]
fn instances_are_defaulted_pruned_and_validated() {
    with_plane(&[], |plane| async move {
        define(&plane).await;
        let (resource, ns) = (foos(), Some("default"));
        let made = plane.admin.create(&resource, ns, &foo("a", json!({ "odd": 1 }))).await.unwrap();
        assert_eq!(made["spec"], json!({ "replicas": 1 }));
        assert_eq!(made.generation(), 1);
        let check = |spec: Value, words: &'static str| {
            let (admin, resource) = (plane.admin.clone(), resource.clone());
            async move {
                let refused = admin.create(&resource, ns, &foo("b", spec)).await.unwrap_err();
                assert_eq!(refused.to_string(), words);
            }
        };
        check(
            json!({ "replicas": "x" }),
            "Foo.example.com \"b\" is invalid: spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
        )
        .await;
        check(
            json!({ "color": "green" }),
            "Foo.example.com \"b\" is invalid: spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        )
        .await;
        let path = "/apis/example.com/v1/namespaces/default/foos?fieldValidation=Strict";
        let body = foo("b", json!({ "odd": 1 })).to_string();
        let strict = plane.send(ADMIN, "POST", path, &[("content-type", "application/json")], &body).await;
        assert_eq!(
            (strict.code, strict.json().str_at("/message")),
            (
                400,
                "Foo in version \"v1\" cannot be handled as a Foo: strict decoding error: unknown field \"spec.odd\""
            )
        );
    });
}

#[test]
fn subresources_tables_and_versions() {
    with_plane(&[], |plane| async move {
        define(&plane).await;
        let (resource, ns) = (foos(), Some("default"));
        plane.admin.create(&resource, ns, &foo("a", json!({ "replicas": 2 }))).await.unwrap();
        // Status is written at its own endpoint only.
        let status = json!({ "status": { "replicas": 2 } });
        let main = plane.admin.patch(&resource, ns, "a", Patch::Merge(&status), None).await.unwrap();
        assert_eq!(main.get("status"), None);
        let sub = plane.admin.patch(&resource, ns, "a", Patch::Merge(&status), Some("status")).await.unwrap();
        assert_eq!((sub.at("/status/replicas"), sub.generation()), (Some(&json!(2)), 1));
        let scale = json!({ "spec": { "replicas": 5 } });
        plane.admin.patch(&resource, ns, "a", Patch::Merge(&scale), Some("scale")).await.unwrap();
        let scaled = plane.admin.get(&resource, ns, "a").await.unwrap();
        assert_eq!((scaled.at("/spec/replicas"), scaled.generation()), (Some(&json!(5)), 2));
        let strategic = plane
            .send(
                ADMIN,
                "PATCH",
                "/apis/example.com/v1/namespaces/default/foos/a",
                &[("content-type", "application/strategic-merge-patch+json")],
                "{}",
            )
            .await;
        assert_eq!(strategic.code, 415);
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let shown =
            plane.send(ADMIN, "GET", "/apis/example.com/v1/foos", &[("accept", table)], "").await.json();
        let heads: Vec<&Value> =
            shown["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(heads, ["Name", "Replicas"]);
        assert_eq!(shown["rows"][0]["cells"], json!(["a", 5]));
        // The same object in its other version.
        let beta = Resource::new("example.com", "v1beta1", "foos");
        let other = plane.admin.get(&beta, ns, "a").await.unwrap();
        assert_eq!((other.api_version(), other.uid()), ("example.com/v1beta1", scaled.uid()));
    });
}

#[test]
fn a_name_that_is_taken_is_not_served() {
    with_plane(&[], |plane| async move {
        define(&plane).await;
        plane.admin.create(&definitions(), None, &definition("bars", "Foo", "ba")).await.unwrap();
        plane.sim.elapse(TURN).await;
        let second = plane.admin.get(&definitions(), None, "bars.example.com").await.unwrap();
        let reasons = [("NamesAccepted", "ListKindConflict"), ("Established", "NotAccepted")];
        assert_eq!(conditions(&second), reasons.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(plane.get("/apis/example.com/v1/bars").await.code, 404);
        // Free again, it goes to who waited for it.
        plane.admin.delete(&definitions(), None, "foos.example.com", &DeleteParams::default()).await.unwrap();
        plane.sim.elapse(TURN).await;
        assert_eq!(plane.get("/apis/example.com/v1/bars").await.code, 200);
    });
}

#[test]
fn a_definition_takes_its_instances_along() {
    with_plane(&[], |plane| async move {
        define(&plane).await;
        held_and_free(&plane).await;
        let (resource, ns) = (foos(), Some("default"));
        undefine(&plane).await;
        let ending = plane.admin.get(&definitions(), None, "foos.example.com").await.unwrap();
        assert!(
            ending.is_terminating() && ending.has_finalizer("customresourcecleanup.apiextensions.k8s.io")
        );
        let left = plane.admin.list(&resource, ns, &ListParams::default()).await.unwrap();
        assert_eq!(left.items.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>(), ["held"]);
        let late = plane.admin.create(&resource, ns, &foo("late", json!({}))).await.unwrap_err();
        assert_eq!(late.status().map(|s| s.code), Some(405));
        let_go(&plane).await;
        assert_eq!(plane.get("/apis/example.com/v1/foos").await.code, 404);
    });
}

#[test]
fn a_definition_that_is_served_no_more_takes_its_instances_along() {
    with_plane(&[], |plane| async move {
        define(&plane).await;
        held_and_free(&plane).await;
        let serve = async |served: bool| {
            let mut there = plane.admin.get(&definitions(), None, "foos.example.com").await.unwrap();
            there.set_at("/spec/versions/0/served", served);
            there.set_at("/spec/versions/1/served", served);
            plane.admin.update(&definitions(), None, "foos.example.com", &there).await.unwrap();
            plane.sim.elapse(TURN).await;
        };
        serve(false).await;
        undefine(&plane).await;
        let store = plane.server.context().store.clone();
        let kept = async || {
            let range = store::Range::prefix("/registry/example.com/foos/");
            let kept = store.list(range, store::ListOptions::default()).await.unwrap().kvs;
            kept.iter().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()).collect::<Vec<_>>()
        };
        let left = kept().await;
        assert!(left.len() == 1 && left[0].contains("deletionTimestamp"), "{left:?}");
        serve(true).await;
        let_go(&plane).await;
        assert_eq!(kept().await, Vec::<String>::new());
    });
}

#[test]
fn without_the_loopback_connection_a_definition_is_never_served() {
    with_plane(&[], |plane| async move {
        plane.sim.step("cp", SignedDuration::from_hours(24 * 365 * 5));
        plane.sim.reset_connections("cp", "cp", 6443);
        plane.sim.elapse(TURN).await;
        plane.admin.create(&definitions(), None, &definition("foos", "Foo", "fo")).await.unwrap();
        plane.sim.elapse(Duration::from_secs(120)).await;
        let seen = plane.admin.get(&definitions(), None, "foos.example.com").await.unwrap();
        assert_eq!(conditions(&seen), []);
        let answer = plane.get("/apis/example.com/v1/foos").await;
        assert_eq!((answer.code, answer.body.as_str()), (404, "404 page not found\n"));
        // Discovery works all the same.
        assert_eq!(plane.get("/apis").await.code, 200);
    });
}
