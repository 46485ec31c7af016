//! Watches: what a client sees, in order, and nothing else.

use std::time::Duration;

use api::object::ObjectExt;
use client::{DeleteParams, Patch, Resource, WatchParams};
use serde_json::{Value, json};

use crate::plane::{Plane, with_plane};

const MAPS: Resource = Resource::core("configmaps");
const NS: Option<&str> = Some("kube-public");

async fn make(plane: &Plane, name: &str, label: &str) -> Value {
    let object = json!({ "metadata": { "name": name, "labels": { "l": label } } });
    plane.admin.create(&MAPS, NS, &object).await.unwrap()
}

async fn collect(plane: &Plane, params: WatchParams, wanted: usize) -> Vec<(String, String)> {
    let mut stream = plane.admin.watch(&MAPS, NS, &params).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < wanted {
        let clock = plane.server.context().host.clock().clone();
        match clock.timeout(Duration::from_secs(120), stream.next()).await {
            Ok(Some(Ok(event))) => {
                seen.push((format!("{:?}", event.kind), event.object.name().to_owned()));
            }
            other => {
                seen.push((format!("{}", other.is_ok()), String::new()));
                break;
            }
        }
    }
    seen
}

#[test]
fn selectors_turn_changes_into_comings_and_goings() {
    with_plane(&[], |plane| async move {
        let first = make(&plane, "a", "yes").await;
        make(&plane, "b", "no").await;
        let relabel = |name: &'static str, label: &'static str| {
            let admin = plane.admin.clone();
            async move {
                let patch = json!({ "metadata": { "labels": { "l": label } } });
                admin.patch(&MAPS, NS, name, Patch::Merge(&patch), None).await.unwrap();
            }
        };
        relabel("b", "yes").await;
        relabel("a", "no").await;
        let patch = json!({ "data": { "x": "y" } });
        plane.admin.patch(&MAPS, NS, "b", Patch::Merge(&patch), None).await.unwrap();
        plane.admin.delete(&MAPS, NS, "b", &DeleteParams::default()).await.unwrap();
        let params = WatchParams {
            label_selector: Some("l=yes".to_owned()),
            resource_version: Some(first.resource_version().to_owned()),
            ..WatchParams::default()
        };
        let seen = collect(&plane, params, 4).await;
        let expected = [("Added", "b"), ("Deleted", "a"), ("Modified", "b"), ("Deleted", "b")];
        let expected: Vec<_> = expected.iter().map(|(k, n)| (k.to_string(), n.to_string())).collect();
        assert_eq!(seen, expected);
    });
}

#[test]
fn the_state_comes_first_and_ends_with_a_bookmark() {
    with_plane(&[], |plane| async move {
        make(&plane, "a", "1").await;
        make(&plane, "b", "1").await;
        let params = WatchParams {
            send_initial_events: Some(true),
            resource_version_match: Some("NotOlderThan".to_owned()),
            allow_bookmarks: true,
            label_selector: Some("l=1".to_owned()),
            ..WatchParams::default()
        };
        let seen = collect(&plane, params, 4).await;
        let kinds: Vec<&str> = seen.iter().map(|(kind, _)| kind.as_str()).collect();
        // The last one is the periodic bookmark, a minute later.
        assert_eq!(kinds, ["Added", "Added", "Bookmark", "Bookmark"]);
    });
}

#[test]
fn too_old_a_version_is_told_in_the_stream() {
    with_plane(&[], |plane| async move {
        for n in 0..120 {
            make(&plane, &format!("m{n}"), "1").await;
        }
        // The history keeps what is fresh; two minutes later it need not.
        plane.sim.elapse(Duration::from_secs(120)).await;
        for n in 0..400 {
            make(&plane, &format!("n{n}"), "1").await;
        }
        let answer = plane
            .get("/api/v1/namespaces/kube-public/configmaps?watch=1&resourceVersion=2&timeoutSeconds=1")
            .await;
        let event: Value = serde_json::from_str(answer.body.lines().next().unwrap()).unwrap();
        assert_eq!(
            (answer.code, event["type"].as_str(), event["object"]["code"].as_i64()),
            (200, Some("ERROR"), Some(410))
        );
    });
}
