//! Kinds with more than one version, with a warning, or without a store.

use api::object::ObjectExt;
use client::{Patch, Resource};
use serde_json::{Value, json};

use crate::plane::{ADMIN, Plane, with_plane};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn scalers(version: &'static str) -> Resource {
    Resource::new("autoscaling", version, "horizontalpodautoscalers")
}

fn warnings(answer: &crate::plane::Answer) -> Vec<String> {
    let values = answer.headers.get_all("warning").iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

async fn post(plane: &Plane, path: &str, object: &Value) -> crate::plane::Answer {
    plane.send(ADMIN, "POST", path, &[("content-type", "application/json")], &object.to_string()).await
}

#[test]
fn one_autoscaler_in_two_versions() {
    with_plane(&[], |plane| async move {
        let ns = Some("default");
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}});
        let v2 = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": target, "maxReplicas": 5, "metrics": [cpu, memory],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 30}}}});
        let made = plane.admin.create(&scalers("v2"), ns, &v2).await.unwrap();

        let old = plane.admin.get(&scalers("v1"), ns, "web").await.unwrap();
        assert_eq!(old.api_version(), "autoscaling/v1");
        assert_eq!(old["spec"]["targetCPUUtilizationPercentage"], 60);
        assert_eq!(old.at("/spec/metrics"), None);
        let metrics = old.annotation("autoscaling.alpha.kubernetes.io/metrics").unwrap();
        assert_eq!(
            metrics,
            r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]"#
        );

        // A patch is applied in the version that the client speaks, and the rest survives it.
        let patch = json!({"spec": {"targetCPUUtilizationPercentage": 70}});
        plane.admin.patch(&scalers("v1"), ns, "web", Patch::Merge(&patch), None).await.unwrap();
        let patch = json!([{"op": "replace", "path": "/spec/targetCPUUtilizationPercentage", "value": 75}]);
        plane.admin.patch(&scalers("v1"), ns, "web", Patch::Json(&patch), None).await.unwrap();
        let patch = json!({"spec": {"maxReplicas": 7}});
        plane.admin.patch(&scalers("v1"), ns, "web", Patch::Strategic(&patch), None).await.unwrap();
        let now = plane.admin.get(&scalers("v2"), ns, "web").await.unwrap();
        assert_eq!(now.at("/spec/metrics/0/resource/target/averageUtilization"), Some(&json!(75)));
        assert_eq!(now["spec"]["metrics"][1], memory);
        assert_eq!(now["spec"]["maxReplicas"], 7);
        assert_eq!(now["spec"]["behavior"], made["spec"]["behavior"]);
        assert_eq!(now.uid(), made.uid());

        // One object, also for those who watch or list.
        for version in ["v1", "v2"] {
            let path = format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
            let list = plane.get(&format!("{path}?fieldSelector=metadata.name%3Dweb")).await.json();
            let items = list.list_at("/items");
            assert_eq!(items.len(), 1, "{version}");
            assert_eq!(items[0].api_version(), format!("autoscaling/{version}"));
            let events = plane.get(&format!("{path}?watch=1&resourceVersion=0&timeoutSeconds=1")).await.body;
            let first: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
            assert_eq!(first["object"]["apiVersion"], format!("autoscaling/{version}"));
        }

        // Rules and their paths are those of the stored version.
        let bad = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "bad"},
            "spec": {"scaleTargetRef": target, "maxReplicas": 5, "targetCPUUtilizationPercentage": 0}});
        let refused =
            post(&plane, "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", &bad).await;
        assert_eq!(
            (refused.code, refused.json().str_at("/message")),
            (
                422,
                "HorizontalPodAutoscaler.autoscaling \"bad\" is invalid: spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"
            )
        );
    });
}

#[test]
fn one_event_in_two_groups() {
    with_plane(&[], |plane| async move {
        let ns = Some("default");
        let core = Resource::core("events");
        let new = Resource::new("events.k8s.io", "v1", "events");
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "Started", "message": "up",
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "source": {"component": "kubelet", "host": "n1"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:01Z", "count": 2, "type": "Normal"});
        let made = plane.admin.create(&core, ns, &event).await.unwrap();
        let seen = plane.admin.get(&new, ns, "e").await.unwrap();
        assert_eq!(
            (seen.str_at("/note"), seen.str_at("/regarding/name"), seen.i64_at("/deprecatedCount")),
            ("up", "p", Some(2))
        );
        assert_eq!(seen.uid(), made.uid());
        for (path, field, items) in [
            ("/api/v1/namespaces/default/events", "involvedObject.name%3Dp", 1),
            ("/api/v1/namespaces/default/events", "source%3Dkubelet", 1),
            ("/api/v1/namespaces/default/events", "involvedObject.name%3Dq", 0),
            ("/apis/events.k8s.io/v1/namespaces/default/events", "regarding.name%3Dp", 1),
            ("/apis/events.k8s.io/v1/namespaces/default/events", "regarding.name%3Dq", 0),
        ] {
            let list = plane.get(&format!("{path}?fieldSelector={field}")).await.json();
            assert_eq!(list.list_at("/items").len(), items, "{path} {field}");
            let watch = format!("{path}?fieldSelector={field}&watch=1&resourceVersion=0&timeoutSeconds=1");
            let events = plane.get(&watch).await.body;
            let added = events.lines().filter(|line| line.starts_with(r#"{"type":"ADDED""#)).count();
            assert_eq!(added, items, "{watch}");
        }
        let wrong = plane.get("/apis/events.k8s.io/v1/events?fieldSelector=involvedObject.name%3Dp").await;
        assert_eq!(wrong.code, 400);
        // The older group may change anything, the newer one nothing but the series.
        let patch = json!({"message": "again"});
        plane.admin.patch(&core, ns, "e", Patch::Merge(&patch), None).await.unwrap();
        let series = json!({"series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:02.000000Z"}});
        plane.admin.patch(&new, ns, "e", Patch::Merge(&series), None).await.unwrap();
        let changed = plane.admin.get(&core, ns, "e").await.unwrap();
        assert_eq!((changed.str_at("/message"), changed.i64_at("/series/count")), ("again", Some(3)));
        let patch = json!({"note": "other", "series": {"count": 1}});
        let refused = plane.admin.patch(&new, ns, "e", Patch::Merge(&patch), None).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Event.events.k8s.io \"e\" is invalid: [message: Invalid value: \"other\": field is immutable, series.count: Invalid value: \"\": should be at least 2]"
        );
    });
}

#[test]
fn components_are_asked_when_somebody_looks() {
    with_plane(&[], |plane| async move {
        let list = plane.get("/api/v1/componentstatuses").await;
        assert_eq!(warnings(&list), [r#"299 - "v1 ComponentStatus is deprecated in v1.19+""#]);
        let list = list.json();
        assert_eq!((list.kind(), &list["metadata"]), ("ComponentStatusList", &json!({})));
        let status = |name: &str| {
            let item = list.list_at("/items").iter().find(|item| item.name() == name).unwrap();
            (item.str_at("/conditions/0/status").to_owned(), item.str_at("/conditions/0/message").to_owned())
        };
        assert_eq!(status("etcd-0"), ("True".to_owned(), "ok".to_owned()));
        for (name, port) in [("controller-manager", 10257), ("scheduler", 10259)] {
            let why = format!(
                "Get \"https://127.0.0.1:{port}/healthz\": dial tcp 127.0.0.1:{port}: connect: connection refused"
            );
            assert_eq!(status(name), ("False".to_owned(), why));
        }
        let one = plane
            .send(ADMIN, "GET", "/api/v1/componentstatuses/scheduler", &[("accept", TABLE)], "")
            .await
            .json();
        assert_eq!(one.at("/rows/0/cells/1"), Some(&json!("Unhealthy")));
        let none = plane.get("/api/v1/componentstatuses/kubelet").await;
        assert_eq!(
            (none.code, none.json().str_at("/message")),
            (404, "componentstatuses \"kubelet\" not found")
        );
        let refused = post(&plane, "/api/v1/componentstatuses", &json!({})).await;
        assert_eq!(refused.code, 405);
    });
}

#[test]
fn kinds_on_their_way_out_warn() {
    with_plane(&[], |plane| async move {
        let endpoints = plane.get("/api/v1/namespaces/default/endpoints").await;
        let words = r#"299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice""#;
        assert_eq!(warnings(&endpoints), [words]);
        assert_eq!(warnings(&plane.get("/api/v1/namespaces/default/pods").await), Vec::<String>::new());
    });
    with_plane(&["--kubernetes-version=1.32"], |plane| async move {
        let endpoints = plane.get("/api/v1/namespaces/default/endpoints").await;
        assert_eq!(warnings(&endpoints), Vec::<String>::new());
    });
}

#[test]
fn flow_schemas_stand_in_the_order_in_which_they_are_asked() {
    with_plane(&[], |plane| async move {
        let path = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
        for (name, precedence) in [("a", 900), ("b", 100), ("c", 500)] {
            let schema = json!({"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence, "priorityLevelConfiguration": {"name": "low"}}});
            assert_eq!(post(&plane, path, &schema).await.code, 201);
        }
        let table = plane.send(ADMIN, "GET", path, &[("accept", TABLE)], "").await.json();
        let names: Vec<&str> = table
            .list_at("/rows")
            .iter()
            .map(|row| row.str_at("/cells/0"))
            .filter(|name| name.len() == 1)
            .collect();
        assert_eq!(names, ["b", "c", "a"]);
    });
}

/// `{"a": 1, "a": 2}` is JSON; which of the two is meant only its author knows.
#[test]
fn what_a_body_says_twice_or_nobody_knows_is_told_as_asked() {
    with_plane(&[], |plane| async move {
        let body = r#"{"metadata":{"name":"NAME","name":"NAME"},"data":{"a":"1","a":"2"},"nonsense":1}"#;
        let check = |name: &'static str, validation: &'static str| {
            let (plane, text) = (&plane, body.replace("NAME", name));
            async move {
                let path = format!("/api/v1/namespaces/default/configmaps?fieldValidation={validation}");
                plane.send(ADMIN, "POST", &path, &[("content-type", "application/json")], &text).await
            }
        };
        let ignored = check("a", "Ignore").await;
        assert_eq!((ignored.code, warnings(&ignored)), (201, vec![]));
        assert_eq!(ignored.json()["data"], json!({"a": "2"}));
        let words =
            ["duplicate field \"metadata.name\"", "duplicate field \"data.a\"", "unknown field \"nonsense\""];
        let warned = check("b", "Warn").await;
        let expected: Vec<String> =
            words.iter().map(|text| format!("299 - \"{}\"", text.replace('"', "\\\""))).collect();
        assert_eq!((warned.code, warnings(&warned)), (201, expected));
        let refused = check("c", "Strict").await;
        assert_eq!(
            (refused.code, refused.json().str_at("/message").to_owned()),
            (
                400,
                format!(
                    "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: {}",
                    words.join(", ")
                )
            )
        );
        // Reviews are decoded like everything else.
        let review = r#"{"spec":{"nonResourceAttributes":{"path":"/","verb":"get"},"colour":"red"}}"#;
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let review = plane.send(ADMIN, "POST", path, &[("content-type", "application/json")], review).await;
        assert_eq!(
            (review.code, warnings(&review)),
            (201, vec![r#"299 - "unknown field \"spec.colour\"""#.to_owned()])
        );
    });
}

#[test]
fn warnings_fit_into_headers() {
    with_plane(&[], |plane| async move {
        let check = |name: &'static str, fields: usize, length: usize| {
            let plane = &plane;
            async move {
                let mut map = json!({"metadata": {"name": name}});
                for field in 0..fields {
                    map[format!("{}{field:04}", "x".repeat(length))] = 1.into();
                }
                let answer = post(plane, "/api/v1/namespaces/default/configmaps", &map).await;
                assert_eq!(answer.code, 201);
                warnings(&answer)
            }
        };
        assert_eq!(check("few", 3, 300).await.len(), 3);
        let many = check("many", 1000, 300).await;
        assert_eq!(many.len(), 16);
        assert!(many.iter().all(|warning| warning.len() < 300), "{many:?}");
    });
}
