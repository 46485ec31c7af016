//! A client that moves between apiservers, each of which hears of what happens when it happens to: revisions go forward
//! only, and a list that names no revision has all that any of them has acknowledged.

use std::time::Duration;

use chronoplane::Sim;
use client::{EventKind, ListParams, Resource, Rest, WatchParams};
use serde_json::json;
use world::sim::Conditions;

use crate::stacked::Stacked;

const MAPS: Resource = Resource::core("configmaps");
const SPACE: Option<&str> = Some("kube-public");

fn number(version: &str) -> u64 {
    version.parse().expect("a revision")
}

/// How far the cache of an apiserver is: what it serves to who takes anything.
async fn cached(rest: &Rest) -> u64 {
    let any = ListParams { resource_version: Some("0".into()), ..ListParams::default() };
    number(&rest.list(&MAPS, SPACE, &any).await.expect("a list").resource_version)
}

/// Writes at one apiserver, looks at the next, turn by turn. Gives how often a cache was behind what the client had seen
/// already.
async fn moves(cluster: &Stacked, round: &str) -> usize {
    let servers: Vec<Rest> = (0..3).map(|n| cluster.at(n)).collect();
    let (mut seen, mut behind) = (0, 0);
    let from = servers[0].list(&MAPS, SPACE, &ListParams::default()).await.expect("a list").resource_version;
    let mut names = Vec::new();
    for turn in 0..30 {
        let (writes, looks) = (&servers[turn % 3], &servers[(turn + 1) % 3]);
        let name = format!("{round}-{turn:02}");
        let made = writes.create(&MAPS, SPACE, &json!({"metadata": {"name": name}})).await.expect("made");
        let made = number(made["metadata"]["resourceVersion"].as_str().expect("a revision"));
        assert!(made > seen, "{name} is newer than all that was seen before");
        seen = made;
        names.push(name.clone());
        behind += usize::from(cached(looks).await < seen);

        let now = looks.list(&MAPS, SPACE, &ListParams::default()).await.expect("a list");
        assert!(number(&now.resource_version) >= seen, "{name}: a list never goes back");
        let there: Vec<&str> = now.items.iter().filter_map(|map| map["metadata"]["name"].as_str()).collect();
        assert!(names.iter().all(|name| there.contains(&name.as_str())), "{names:?} of {there:?}");
        seen = number(&now.resource_version);

        // Who says what it has seen gets nothing older, from the cache or not.
        let third = &servers[(turn + 2) % 3];
        let known = ListParams { resource_version: Some(seen.to_string()), ..ListParams::default() };
        let fresh = third.list(&MAPS, SPACE, &known).await.expect("a list");
        assert!(number(&fresh.resource_version) >= seen, "{name}: not older than {seen}");
        seen = number(&fresh.resource_version);
    }
    // A watch that begins at one apiserver and goes on at the others, a few events at each.
    let (mut at, mut told) = (from, Vec::new());
    for turn in 0.. {
        let params = WatchParams { resource_version: Some(at.clone()), ..WatchParams::default() };
        let mut watch = servers[turn % 3].watch(&MAPS, SPACE, &params).await.expect("a watch");
        for _ in 0..7 {
            let event = watch.next().await.expect("the watch goes on").expect("no error");
            let version =
                event.object["metadata"]["resourceVersion"].as_str().expect("a revision").to_owned();
            assert!(number(&version) > number(&at), "forward only");
            at = version;
            if event.kind == EventKind::Added {
                told.push(event.object["metadata"]["name"].as_str().expect("a name").to_owned());
            }
            if told.len() == names.len() {
                assert_eq!(told, names, "each once, in the order of their making");
                return behind;
            }
        }
    }
    behind
}

#[chronoplane::test]
async fn who_moves_between_apiservers_sees_time_go_forward(sim: Sim) {
    let cluster = Stacked::three(&sim).await;
    assert_eq!(moves(&cluster, "even").await, 0, "the control: all hear of everything at once");
    // Each apiserver and the member of etcd on its host hear each other late, and not equally late.
    for (host, latency) in [("cp1", 5), ("cp2", 40), ("cp3", 150)] {
        let late = Conditions {
            latency: Duration::from_millis(latency),
            jitter: Duration::from_millis(2 * latency),
            ..Conditions::default()
        };
        sim.set_conditions(host, host, late);
    }
    let behind = moves(&cluster, "uneven").await;
    assert!(behind > 5, "the caches were late indeed: {behind}");
}
