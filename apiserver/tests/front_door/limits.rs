//! Priority and fairness: the objects, whose request is whose, and who waits for whom.

use std::time::Duration;

use api::object::ObjectExt;
use client::{ListParams, Patch, Resource};
use serde_json::json;

use crate::plane::{ADMIN, BOB, with_plane};

const SCHEMAS: Resource = Resource::new("flowcontrol.apiserver.k8s.io", "v1", "flowschemas");
const LEVELS: Resource = Resource::new("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations");

#[test]
fn the_objects_are_there_and_answers_name_them() {
    with_plane(&[], |plane| async move {
        plane.sim.elapse(Duration::from_secs(1)).await;
        let list = async |resource: &Resource| {
            plane.admin.list(resource, None, &ListParams::default()).await.unwrap().items
        };
        let levels = list(&LEVELS).await;
        let names: Vec<&str> = levels.iter().map(|level| level.name()).collect();
        assert_eq!(
            names,
            [
                "catch-all",
                "exempt",
                "global-default",
                "leader-election",
                "node-high",
                "system",
                "workload-high",
                "workload-low"
            ]
        );
        let schemas = list(&SCHEMAS).await;
        assert_eq!(schemas.len(), 12);
        for schema in &schemas {
            let condition = &schema["status"]["conditions"][0];
            assert_eq!(
                (condition.str_at("/type"), condition.str_at("/status")),
                ("Dangling", "False"),
                "{schema}"
            );
        }
        let uid = |name: &str, all: &[std::sync::Arc<serde_json::Value>]| {
            all.iter().find(|object| object.name() == name).unwrap().uid().to_owned()
        };
        for (token, path, schema, level) in [
            (ADMIN, "/api/v1/pods", "exempt", "exempt"),
            (BOB, "/api/v1/pods", "global-default", "global-default"),
            (BOB, "/livez", "probes", "exempt"),
        ] {
            let answer = plane.send(token, "GET", path, &[], "").await;
            let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
            assert_eq!(header("x-kubernetes-pf-flowschema-uid"), uid(schema, &schemas), "{path}");
            assert_eq!(header("x-kubernetes-pf-prioritylevel-uid"), uid(level, &levels), "{path}");
        }
        // Who is nobody is no flow's.
        let refused = plane.send("bad", "GET", "/api/v1/pods", &[], "").await;
        assert!(!refused.headers.contains_key("x-kubernetes-pf-flowschema-uid"));
        let dump = plane.get("/debug/api_priority_and_fairness/dump_priority_levels").await.body;
        assert!(dump.starts_with("PriorityLevelName, ActiveQueues, IsIdle,"), "{dump}");
        let metrics = plane.get("/metrics").await.body;
        let seats = "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"workload-low\"} 245\n";
        assert!(metrics.contains(seats), "{metrics}");
    });
}

#[test]
fn a_changed_object_is_obeyed() {
    with_plane(&[], |plane| async move {
        // Everybody who is nobody special goes where there is no seat at all.
        let level = json!({ "metadata": { "name": "none" }, "spec": { "type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": { "type": "Reject" } } } });
        plane.admin.create(&LEVELS, None, &level).await.unwrap();
        let patch = json!({ "spec": { "priorityLevelConfiguration": { "name": "none" } } });
        plane.admin.patch(&SCHEMAS, None, "global-default", Patch::Merge(&patch), None).await.unwrap();
        plane.sim.elapse(Duration::from_secs(1)).await;
        let check = async |token: &str, path: &str, code: u16| {
            let answer = plane.send(token, "GET", path, &[], "").await;
            assert_eq!(answer.code, code, "{path}: {}", answer.body);
            answer
        };
        let refused = check(BOB, "/api/v1/pods", 429).await;
        assert_eq!(refused.body, "Too many requests, please try again later.\n");
        assert_eq!(refused.headers["retry-after"], "1");
        // Probes and administrators go on.
        check(BOB, "/livez", 200).await;
        check(ADMIN, "/api/v1/pods", 200).await;
        let metrics = plane.get("/metrics").await.body;
        let rejected = "apiserver_flowcontrol_rejected_requests_total{priority_level=\"none\",reason=\"concurrency-limit\"} 1\n";
        assert!(metrics.contains(rejected), "{metrics}");
        assert!(
            metrics
                .contains("apiserver_request_terminations_total{code=\"429\",component=\"apiserver\"} 1\n")
        );
    });
}

#[test]
fn without_it_the_two_limits_hold() {
    with_plane(&["--enable-priority-and-fairness=false"], |plane| async move {
        let answer = plane.get("/api/v1/pods").await;
        assert_eq!(answer.code, 200);
        assert!(!answer.headers.contains_key("x-kubernetes-pf-flowschema-uid"));
        assert!(plane.admin.list(&SCHEMAS, None, &ListParams::default()).await.unwrap().items.is_empty());
    });
}
