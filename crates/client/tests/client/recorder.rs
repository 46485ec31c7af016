//! Events as the server gets them.

use api::{object::ObjectExt as _, status::Status};
use client::recorder::Recorder;
use serde_json::{Value, json};

use crate::fake::{Put, World, run};

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a", "uid": "u", "resourceVersion": "7"}})
}

fn posts(world: &World) -> Vec<Value> {
    let seen = world.fake.seen().into_iter().filter(|s| s.line.starts_with("POST"));
    seen.map(|s| s.body).collect()
}

#[test]
fn an_event_says_who_what_and_when() {
    run(|world| async move {
        let recorder = Recorder::on_node(&world.host, &world.rest, "kubelet", "node-1");
        recorder.normal(&pod(), "Started", "Started container c");
        world.elapse(1.0).await;
        let event = posts(&world).remove(0);
        assert_eq!(
            event["involvedObject"],
            json!({"kind": "Pod", "namespace": "a", "name": "p", "uid": "u", "apiVersion": "v1", "resourceVersion": "7"})
        );
        assert_eq!(event["source"], json!({"component": "kubelet", "host": "node-1"}));
        let texts =
            ["/type", "/reason", "/message", "/reportingComponent", "/reportingInstance", "/firstTimestamp"]
                .map(|field| event.str_at(field).to_owned());
        let expected =
            ["Normal", "Started", "Started container c", "kubelet", "node-1", "2026-01-01T00:00:00Z"];
        assert_eq!(texts, expected);
        let suffix = event.name().strip_prefix("p.").unwrap();
        assert!(suffix.len() == 16 && suffix.bytes().all(|b| b.is_ascii_hexdigit()), "{suffix}");
        assert_eq!(event.namespace(), "a");
    });
}

#[test]
fn what_repeats_is_counted_on_the_server() {
    run(|world| async move {
        let recorder = Recorder::new(&world.host, &world.rest, "ctl");
        for _ in 0..3 {
            recorder.warning(&pod(), "Failed", "again");
            world.elapse(10.0).await;
        }
        let name = posts(&world)[0].name().to_owned();
        let stored = world.fake.object(&format!("/api/v1/namespaces/a/events/{name}")).unwrap();
        assert_eq!(stored["count"], 3);
        assert_eq!(stored["firstTimestamp"], "2026-01-01T00:00:00Z");
        assert_eq!(stored["lastTimestamp"], "2026-01-01T00:00:20Z");
        assert_eq!(posts(&world).len(), 1);
        // Events live for an hour on a server; the count goes on in a new one.
        world.fake.erase(&format!("/api/v1/namespaces/a/events/{name}"));
        recorder.warning(&pod(), "Failed", "again");
        world.elapse(1.0).await;
        let again = posts(&world).pop().unwrap();
        assert_eq!((again.name(), again.i64_at("/count")), (name.as_str(), Some(4)));
    });
}

#[test]
fn cluster_scoped_objects_have_their_events_in_default() {
    run(|world| async move {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "n"}});
        Recorder::new(&world.host, &world.rest, "ctl").normal(&node, "RegisteredNode", "hello");
        world.elapse(1.0).await;
        assert!(world.fake.lines()[0].starts_with("POST /api/v1/namespaces/default/events"));
    });
}

#[test]
fn a_server_that_is_away_is_tried_again_and_a_refusal_is_not() {
    run(|world| async move {
        let recorder = Recorder::new(&world.host, &world.rest, "ctl");
        world.fake.down().await;
        recorder.normal(&pod(), "One", "1");
        world.elapse(25.0).await;
        world.fake.up().await;
        world.elapse(10.0).await;
        assert_eq!(posts(&world).len(), 1);
        world.fake.put("POST", Put::Status(Status::forbidden("events", "", "no")));
        recorder.normal(&pod(), "Two", "2");
        recorder.normal(&pod(), "Three", "3");
        world.elapse(30.0).await;
        let reasons: Vec<String> = posts(&world).iter().map(|e| e.str_at("/reason").to_owned()).collect();
        assert_eq!(reasons, ["One", "Two", "Three"]);
    });
}
