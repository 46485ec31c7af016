//! Managed fields and server-side apply, through the front door.

use std::time::Duration;

use api::{fields::Set, object::ObjectExt};
use client::Resource;
use serde_json::{Value, json};

use crate::plane::{ADMIN, BOB, Plane, with_plane};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const FOOS: &str = "/apis/example.com/v1/namespaces/default/foos";

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
fn appliers_share_and_contend() {
    with_plane(&[], |plane| async move {
        let at = |query: &str| format!("{DEPLOYMENTS}/web?{query}");
        let (code, made) =
            plane.patch(APPLY, &at("fieldManager=one"), deployment(json!({ "replicas": 2 }))).await;
        assert_eq!((code, made["spec"]["replicas"].as_i64()), (201, Some(2)));
        assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
        // Again: nothing.
        plane.sim.elapse(Duration::from_secs(5)).await;
        let (code, again) =
            plane.patch(APPLY, &at("fieldManager=one"), deployment(json!({ "replicas": 2 }))).await;
        assert_eq!((code, &again), (200, &made));
        // Another number is a conflict, the same one is not.
        let (code, status) =
            plane.patch(APPLY, &at("fieldManager=two"), deployment(json!({ "replicas": 3 }))).await;
        assert_eq!(
            (code, status.str_at("/reason"), status.str_at("/message")),
            (409, "Conflict", r#"Apply failed with 1 conflict: conflict with "one": .spec.replicas"#)
        );
        assert_eq!(
            status["details"],
            json!({ "causes": [{ "reason": "FieldManagerConflict", "message": r#"conflict with "one""#, "field": ".spec.replicas" }] })
        );
        let only = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "replicas": 3 } });
        let forced = plane.apply(&at("fieldManager=two&force=true"), only).await;
        assert_eq!(forced["spec"]["replicas"], 3);
        assert_eq!(owners(&forced).last().map(String::as_str), Some("two Apply .spec.replicas"));
        // Who does not apply it any more gives it up; nobody else has it: the default comes back.
        let empty = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {} });
        let left = plane.apply(&at("fieldManager=two"), empty).await;
        assert_eq!((left["spec"]["replicas"].as_i64(), owners(&left).len()), (Some(1), 1));
        // A container of another manager's own.
        let sidecar = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "spec": { "template": { "spec": { "containers": [{ "name": "log", "image": "busybox" }] } } },
        });
        let two = plane.apply(&at("fieldManager=two"), sidecar).await;
        let names: Vec<&str> =
            two.list_at("/spec/template/spec/containers").iter().map(|c| c.str_at("/name")).collect();
        assert_eq!(names, ["web", "log"]);
        let one = plane.apply(&at("fieldManager=one"), deployment(json!({}))).await;
        assert_eq!(one.list_at("/spec/template/spec/containers").len(), 2);
        let patch = json!({ "spec": { "replicas": 5 } });
        let (_, scaled) = plane.patch(STRATEGIC, &at("fieldManager=hpa"), patch).await;
        assert_eq!(owners(&scaled).last().map(String::as_str), Some("hpa Update .spec.replicas"));
        plane
            .check_refused(
                APPLY,
                &at("fieldManager=one"),
                deployment(json!({ "replicas": 2 })),
                409,
                r#"Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.replicas"#,
            )
            .await;
    });
}

#[test]
fn status_and_scale_have_owners_of_their_own() {
    with_plane(&[], |plane| async move {
        plane
            .apply(&format!("{DEPLOYMENTS}/web?fieldManager=one"), deployment(json!({ "replicas": 2 })))
            .await;
        let status = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "spec": { "replicas": 7 },
            "status": { "replicas": 2, "conditions": [{ "type": "Available", "status": "True" }] },
        });
        let object =
            plane.apply(&format!("{DEPLOYMENTS}/web/status?fieldManager=ctrl&force=true"), status).await;
        assert_eq!(
            (object["spec"]["replicas"].as_i64(), object["status"]["replicas"].as_i64()),
            (Some(2), Some(2))
        );
        assert_eq!(
            owners(&object)[0],
            "ctrl/status Apply .status.replicas .status.conditions[type=\"Available\"] .status.conditions[type=\"Available\"].status .status.conditions[type=\"Available\"].type"
        );
        // Status through the main endpoint counts for nothing.
        let (_, patched) = plane
            .patch(
                MERGE,
                &format!("{DEPLOYMENTS}/web?fieldManager=x"),
                json!({ "status": { "replicas": 9 } }),
            )
            .await;
        assert_eq!(patched, object);

        let scale = format!("{DEPLOYMENTS}/web/scale");
        plane
            .check_refused(
                APPLY,
                &format!("{scale}?fieldManager=hpa"),
                json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "spec": { "replicas": 4 } }),
                409,
                r#"Apply failed with 1 conflict: conflict with "one": .spec.replicas"#,
            )
            .await;
        let (code, _) = plane
            .patch(MERGE, &format!("{scale}?fieldManager=hpa"), json!({ "spec": { "replicas": 4 } }))
            .await;
        assert_eq!(code, 200);
        let object = plane.get(&format!("{DEPLOYMENTS}/web")).await.json();
        assert_eq!(object["spec"]["replicas"], 4);
        assert_eq!(owners(&object).last().map(String::as_str), Some("hpa/scale Update .spec.replicas"));
        plane
            .check_refused(
                APPLY,
                &format!("{DEPLOYMENTS}/web?fieldManager=one"),
                deployment(json!({ "replicas": 2 })),
                409,
                r#"Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas"#,
            )
            .await;
    });
}

#[test]
fn what_no_apply_may_say() {
    with_plane(&[], |plane| async move {
        let at = |query: &str| format!("{MAPS}/a{query}");
        plane
            .check_refused(
                APPLY,
                &at(""),
                map("a", json!({})),
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            )
            .await;
        plane
            .check_refused(
                MERGE,
                &at("?force=true"),
                json!({}),
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
            )
            .await;
        let me = "?fieldManager=me";
        let mut given = map("a", json!({}));
        given["metadata"]["managedFields"] = json!([]);
        plane.check_refused(APPLY, &at(me), given, 400, "metadata.managedFields must be nil").await;
        plane
            .check_refused(
                APPLY,
                &at(me),
                deployment(json!({})),
                400,
                "invalid object type: apps/v1, Kind=Deployment",
            )
            .await;
        plane
            .check_refused(
                APPLY,
                &at(me),
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "dta": {} }),
                500,
                "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dta: field not declared in schema",
            )
            .await;
        let mut named = map("b", json!({}));
        plane
            .check_refused(
                APPLY,
                &at(me),
                named.clone(),
                400,
                "the name of the object (b) does not match the name on the URL (a)",
            )
            .await;
        named = map("a", json!({}));
        named["metadata"]["uid"] = "u".into();
        plane
            .check_refused(
                APPLY,
                &at(me),
                named,
                409,
                "Operation cannot be fulfilled on configmaps \"a\": uid mismatch: the provided object specified uid u, and no existing object was found",
            )
            .await;
        for media in ["application/apply-patch+cbor", "application/json", ""] {
            plane
                .check_refused(
                    media,
                    &at(me),
                    json!({}),
                    415,
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
                )
                .await;
        }
        let operations = Value::Array(vec![json!({ "op": "add", "path": "/data/a", "value": "1" }); 10_001]);
        plane.post(MAPS, "x/1", map("a", json!({ "a": "1" }))).await;
        plane
            .check_refused(
                JSON_PATCH,
                &at(""),
                operations,
                413,
                "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
            )
            .await;
        // A create by apply is a create.
        let answer = plane
            .send(BOB, "PATCH", &at(me), &[("content-type", APPLY)], &map("a", json!({})).to_string())
            .await;
        assert_eq!(answer.code, 403);
    });
}

#[test]
fn kubectl_goes_over_to_the_server() {
    with_plane(&[], |plane| async move {
        let annotation = "kubectl.kubernetes.io/last-applied-configuration";
        let mut object = map("a", json!({ "k": "1", "l": "1" }));
        object.set_annotation(annotation, &map("a", json!({ "k": "1", "l": "1" })).to_string());
        let made =
            plane.post(&format!("{MAPS}?fieldManager=kubectl-client-side-apply"), "kubectl/v1", object).await;
        // Newer clients hand their fields over first, by a JSON patch.
        let mut list = made.list_at("/metadata/managedFields").to_vec();
        list[0]["manager"] = "kubectl".into();
        list[0]["operation"] = "Apply".into();
        list[0].remove_at("/fieldsV1/f:metadata");
        let patch = json!([
            { "op": "replace", "path": "/metadata/managedFields", "value": list },
            { "op": "replace", "path": "/metadata/resourceVersion", "value": made.resource_version() },
        ]);
        let (code, moved) = plane.patch(JSON_PATCH, &format!("{MAPS}/a?fieldManager=kubectl"), patch).await;
        assert_eq!(code, 200, "{moved}");
        assert!(owners(&moved)[0].starts_with("kubectl Apply .data"), "{:?}", owners(&moved));
        let applied =
            plane.apply(&format!("{MAPS}/a?fieldManager=kubectl"), map("a", json!({ "k": "2" }))).await;
        assert_eq!(applied["data"], json!({ "k": "2" }));
        let kept: Value = serde_json::from_str(applied.annotation(annotation).unwrap()).unwrap();
        assert_eq!(kept, map("a", json!({ "k": "2" })));
        // Older ones rely on the server, which knows from the annotation what they applied.
        let mut object = map("b", json!({ "k": "1" }));
        object.set_annotation(annotation, &map("b", json!({ "k": "1" })).to_string());
        plane.post(&format!("{MAPS}?fieldManager=kubectl-client-side-apply"), "kubectl/v1", object).await;
        let applied =
            plane.apply(&format!("{MAPS}/b?fieldManager=kubectl"), map("b", json!({ "k": "2" }))).await;
        assert_eq!(applied["data"], json!({ "k": "2" }));
    });
}

#[test]
fn a_dry_run_leaves_no_trace() {
    with_plane(&[], |plane| async move {
        let path = format!("{MAPS}/a?fieldManager=me");
        let (code, made) =
            plane.patch(APPLY, &format!("{path}&dryRun=All"), map("a", json!({ "k": "1" }))).await;
        assert_eq!((code, owners(&made)), (201, vec!["me Apply .data.k".to_owned()]));
        assert_eq!(plane.get(&format!("{MAPS}/a")).await.code, 404);
        let made = plane.apply(&path, map("a", json!({ "k": "1" }))).await;
        let (_, dry) = plane.patch(APPLY, &format!("{path}&dryRun=All"), map("a", json!({ "k": "2" }))).await;
        assert_eq!(dry["data"]["k"], "2");
        assert_eq!(plane.get(&format!("{MAPS}/a")).await.json(), made);
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
