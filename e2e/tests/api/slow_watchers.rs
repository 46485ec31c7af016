//! A client that does not read its watch: the server keeps a bounded number of events for it, then closes the
//! stream without a word. The client goes on from its last revision; nobody else notices.

use api::object::ObjectExt;
use client::{EventKind, Patch, Resource, Rest, WatchParams, WatchStream};
use serde_json::json;
use world::sim;

use crate::plane::{Plane, Setup};

const MAPS: Resource = Resource::core("configmaps");
const NS: Option<&str> = Some("default");
/// Several times what the server keeps for one watcher.
const CHANGES: usize = 3000;
/// What may be under way besides: HTTP/2's windows at both ends, and what the kernel's sockets would hold.
const UNDER_WAY: usize = 500;
/// The server's own bound (`WATCHER_BUFFER`).
const KEPT: usize = 1000;

async fn watch_from(client: &Rest, revision: &str) -> WatchStream {
    let params = WatchParams { resource_version: Some(revision.to_owned()), ..WatchParams::default() };
    client.watch(&MAPS, NS, &params).await.unwrap()
}

/// Reads until the stream ends or the object says `last`; the turns that were seen, and the last revision.
async fn read(stream: &mut WatchStream, last: usize) -> (Vec<usize>, Option<String>) {
    let (mut turns, mut revision) = (Vec::new(), None);
    while let Some(event) = stream.next().await {
        let event = event.expect("a watcher that is closed is told nothing");
        assert_eq!(event.kind, EventKind::Modified);
        turns.push(event.object.str_at("/data/turn").parse().unwrap());
        revision = Some(event.object.resource_version().to_owned());
        if turns.last() == Some(&last) {
            break;
        }
    }
    (turns, revision)
}

#[test]
fn who_does_not_read_is_closed_and_goes_on_where_it_was() {
    sim::run(sim::Config::default(), |sim| async move {
        let plane = Plane::simulated(&sim, Setup::default()).await;
        let (writer, slow, quick) = (plane.admin(), plane.admin(), plane.admin());
        // Large enough that few of them fill HTTP/2's windows.
        let padding = "x".repeat(4096);
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "busy" },
            "data": { "turn": "0", "padding": padding },
        });
        let made = writer.create(&MAPS, NS, &map).await.unwrap();
        let mut unread = watch_from(&slow, made.resource_version()).await;
        let mut followed = watch_from(&quick, made.resource_version()).await;
        let reading = plane.client.spawn(async move { read(&mut followed, CHANGES).await });
        for turn in 1..=CHANGES {
            let patch = json!({ "data": { "turn": turn.to_string() } });
            writer.patch(&MAPS, NS, "busy", Patch::Merge(&patch), None).await.unwrap();
        }
        let everything: Vec<usize> = (1..=CHANGES).collect();
        let (turns, _) = reading.join().await.expect("it reads to the end");
        assert!(turns == everything, "the other watcher saw {} of {CHANGES} changes", turns.len());

        let (mut turns, revision) = read(&mut unread, CHANGES).await;
        assert!(turns.len() <= KEPT + UNDER_WAY, "{} events were kept for who does not read", turns.len());
        assert!(!turns.is_empty(), "what was kept is still delivered");
        let mut resumed = watch_from(&slow, &revision.unwrap()).await;
        turns.extend(read(&mut resumed, CHANGES).await.0);
        assert!(turns == everything, "with a gap or twice: {} of {CHANGES}", turns.len());
    })
    .unwrap();
}

#[test]
fn who_reads_is_not_closed() {
    sim::run(sim::Config::default(), |sim| async move {
        let plane = Plane::simulated(&sim, Setup::default()).await;
        let (writer, reader) = (plane.admin(), plane.admin());
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "busy" }, "data": { "turn": "0" },
        });
        let made = writer.create(&MAPS, NS, &map).await.unwrap();
        let mut stream = watch_from(&reader, made.resource_version()).await;
        // The same number of changes, read in time: nothing but being slow closes a watch.
        for turn in 1..=CHANGES {
            let patch = json!({ "data": { "turn": turn.to_string() } });
            writer.patch(&MAPS, NS, "busy", Patch::Merge(&patch), None).await.unwrap();
            let (turns, _) = read(&mut stream, turn).await;
            assert_eq!(turns, [turn]);
        }
    })
    .unwrap();
}
