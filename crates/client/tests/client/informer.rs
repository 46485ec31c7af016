//! The informer follows, resumes, falls back and keeps what it has, at client-go's times.

use std::sync::Arc;

use api::{object::ObjectExt as _, status::Status};
use client::{Change, Informer, InformerOptions, Resource};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::fake::{Put, Seen, World, config_map, expired, run};

const MAPS: &str = "/api/v1/namespaces/a/configmaps";

fn start(world: &World) -> Informer {
    Informer::start(&world.host, &world.rest, Resource::core("configmaps"), InformerOptions::default())
}

/// Name and value of each.
fn state(informer: &Informer) -> Vec<(String, String)> {
    informer.list().iter().map(|o| (o.name().to_owned(), o.str_at("/data/k").to_owned())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
}

/// `list`, `list from 5`, `watch from 5`: the requests that matter to a reader.
fn brief(seen: &[Seen]) -> Vec<String> {
    seen.iter()
        .map(|s| {
            let param = |key: &str| {
                let query = s.line.split_once('?').map_or("", |(_, q)| q);
                query
                    .split('&')
                    .find_map(|p| p.strip_prefix(key)?.strip_prefix('='))
                    .unwrap_or("latest")
                    .to_owned()
            };
            let verb = if s.line.contains("watch=true") { "watch" } else { "list" };
            format!("{verb} from {}", param("resourceVersion"))
        })
        .collect()
}

/// What the informer recorded under `what`.
fn notes(world: &World, what: &str) -> Vec<String> {
    let events = world.sim.events().into_iter().filter(|e| e.kind == "informer");
    events.flat_map(|e| e.fields.into_iter().filter(|(k, _)| *k == what).map(|(_, v)| v)).collect()
}

#[test]
fn it_lists_then_follows() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "1"));
        world.fake.write(MAPS, config_map("y", "1"));
        let informer = start(&world);
        assert!(!informer.has_synced());
        informer.synced().await;
        assert_eq!(state(&informer), pairs(&[("x", "1"), ("y", "1")]));
        // Listed objects name no kind on the wire, watched ones do; a reader need not care.
        assert!(informer.list().iter().all(|o| o.kind() == "ConfigMap" && o.api_version() == "v1"));
        world.elapse(1.0).await;
        world.fake.write(MAPS, config_map("x", "2"));
        world.fake.write(MAPS, config_map("z", "1"));
        world.fake.erase(&format!("{MAPS}/y"));
        world.elapse(0.1).await;
        assert_eq!(state(&informer), pairs(&[("x", "2"), ("z", "1")]));
        assert_eq!(informer.resource_version(), "105");
        assert_eq!(informer.get("a", "x").unwrap().str_at("/data/k"), "2");
        assert_eq!(informer.get("b", "x"), None);
        assert_eq!(informer.get_key("a/z"), informer.get("a", "z"));
        let lines = world.fake.lines();
        assert_eq!(lines[0], "GET /api/v1/configmaps?limit=500&resourceVersion=0");
        assert!(
            lines[1]
                .starts_with("GET /api/v1/configmaps?allowWatchBookmarks=true&resourceVersion=102&timeout=")
        );
        assert_eq!(lines.len(), 2);
    });
}

#[test]
fn selectors_and_namespace_are_asked_for() {
    run(|world| async move {
        let options = InformerOptions {
            namespace: Some("a".into()),
            label_selector: Some("x=y".into()),
            field_selector: Some("metadata.name=n".into()),
            ..InformerOptions::default()
        };
        Informer::start(&world.host, &world.rest, Resource::core("configmaps"), options).synced().await;
        world.elapse(0.1).await;
        let selectors = "fieldSelector=metadata.name%3Dn&labelSelector=x%3Dy";
        let lines = world.fake.lines();
        assert_eq!(lines[0], format!("GET {MAPS}?{selectors}&limit=500&resourceVersion=0"));
        assert!(
            lines[1].contains(selectors) && lines[1].starts_with(&format!("GET {MAPS}?allow")),
            "{}",
            lines[1]
        );
    });
}

#[test]
fn a_watch_that_ends_is_resumed_without_a_list_and_lasts_five_to_ten_minutes() {
    run(|world| async move {
        let informer = start(&world);
        informer.synced().await;
        world.elapse(4000.0).await;
        let seen = world.fake.seen();
        assert_eq!(brief(&seen)[..3], ["list from 0", "watch from 100", "watch from 100"]);
        let starts: Vec<f64> = seen[1..].iter().map(|s| s.at).collect();
        for pair in starts.windows(2) {
            let lasted = pair[1] - pair[0];
            assert!((300.0..600.0).contains(&lasted), "{lasted}");
            assert_eq!(lasted, lasted.round(), "whole seconds");
        }
        let mut lasted: Vec<u64> = starts.windows(2).map(|p| (p[1] - p[0]) as u64).collect();
        lasted.dedup();
        assert!(lasted.len() > 3, "not spread: {lasted:?}");
        assert_eq!(informer.last_error(), None);
    });
}

#[test]
fn a_bookmark_moves_the_revision_to_resume_from() {
    run(|world| async move {
        let bookmark = json!({"type": "BOOKMARK", "object": {"kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"resourceVersion": "170"}}});
        world.fake.put("watch=true", Put::Watch(vec![bookmark]));
        let informer = start(&world);
        informer.until(|i| i.resource_version() == "170").await;
        world.elapse(0.1).await;
        // Not a list, and not from 100: a bookmark counts as something said, the watch was not in vain.
        assert_eq!(brief(&world.fake.seen()), ["list from 0", "watch from 100", "watch from 170"]);
        assert!(informer.is_empty());
    });
}

#[test]
fn an_expired_revision_is_listed_again() {
    // Said in the stream, or as the answer to the watch, in today's or yesterday's reason.
    let event = |status: Status| Put::Watch(vec![json!({"type": "ERROR", "object": status.to_value()})]);
    let gone = || Status { reason: "Gone".into(), ..expired() };
    for put in [event(expired()), event(gone())] {
        run(|world| async move {
            world.fake.put("watch=true", put);
            let informer = start(&world);
            informer.synced().await;
            world.fake.write(MAPS, config_map("late", "1"));
            world.elapse(3.0).await;
            // Back-off lies between: 0.8 s to 1.6 s.
            assert_eq!(
                brief(&world.fake.seen()),
                ["list from 0", "watch from 100", "list from 100", "watch from 101"]
            );
            let waited = world.fake.seen()[2].at;
            assert!((0.8..1.6).contains(&waited), "{waited}");
            assert_eq!(state(&informer), pairs(&[("late", "1")]));
            assert_eq!(informer.last_error(), None);
        });
    }
}

#[test]
fn a_list_of_an_expired_revision_is_repeated_for_the_latest() {
    run(|world| async move {
        let informer = start(&world);
        informer.synced().await;
        world.elapse(2.0).await;
        world.fake.put("watch=true", Put::Status(Status::internal("broken")));
        world.fake.put("resourceVersion=100", Put::Status(expired()));
        world.reset();
        world.elapse(3.0).await;
        let seen = brief(&world.fake.seen());
        // The first broken watch is refused, hence the list; the list's revision is gone: at once again.
        assert_eq!(seen[2..], ["watch from 100", "list from 100", "list from latest", "watch from 100"]);
        let at: Vec<f64> = world.fake.seen().iter().map(|s| s.at).collect();
        assert!(at[4] - at[3] < 0.01);
    });
}

#[test]
fn the_server_goes_away_and_comes_back() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "1"));
        let informer = start(&world);
        informer.synced().await;
        world.elapse(5.0).await;
        world.fake.down().await;
        world.elapse(0.1).await;
        // What is refused is watched again, from where it stood, and never listed.
        world.elapse(60.0).await;
        assert!(informer.last_error().is_some_and(|e| e.ends_with("connect: connection refused")));
        assert_eq!(state(&informer), pairs(&[("x", "1")]));
        assert!(informer.has_synced());
        world.fake.up().await;
        world.fake.write(MAPS, config_map("y", "1"));
        world.elapse(61.0).await;
        assert_eq!(state(&informer), pairs(&[("x", "1"), ("y", "1")]));
        let seen = brief(&world.fake.seen());
        assert_eq!(seen, ["list from 0", "watch from 101", "watch from 101"]);
    });
}

#[test]
fn failures_back_off_with_jitter_and_in_client_gos_words() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "1"));
        let informer = start(&world);
        informer.synced().await;
        world.elapse(2.0).await;
        let first = world.fake.take_seen();
        assert_eq!(brief(&first), ["list from 0", "watch from 101"]);
        for _ in 0..40 {
            world.fake.put("configmaps", Put::Status(Status::unclassified("no way")));
        }
        world.reset();
        world.elapse(400.0).await;
        // One watch right away, then lists at the times of the backoff.
        let seen = world.fake.take_seen();
        let brief = brief(&seen);
        assert_eq!(brief[0], "watch from 101");
        assert!(brief[1..].iter().all(|line| line == "list from 101"), "{brief:?}");
        let waits: Vec<f64> = seen.windows(2).map(|w| w[1].at - w[0].at).collect();
        for (wait, base) in waits.iter().zip([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0]) {
            assert!((base..base * 2.0).contains(wait), "{wait} is not in [{base}, {})", base * 2.0);
        }
        // Readers notice nothing.
        assert_eq!(state(&informer), pairs(&[("x", "1")]));
        assert!(informer.has_synced());
        assert_eq!(informer.last_error().unwrap(), "failed to list *v1.ConfigMap: no way");
        let errors = notes(&world, "error");
        assert_eq!(errors[0], "Failed to watch *v1.ConfigMap: no way");
        assert!(errors[1..].iter().all(|e| e == "failed to list *v1.ConfigMap: no way"));
        assert_eq!(errors.len(), seen.len());
    });
}

#[test]
fn a_transport_error_names_the_url() {
    run(|world| async move {
        world.fake.down().await;
        let informer = start(&world);
        world.elapse(0.5).await;
        let url = "http://server:6443/api/v1/configmaps?limit=500&resourceVersion=0";
        let words = format!(
            "failed to list *v1.ConfigMap: Get \"{url}\": dial tcp server:6443: connect: connection refused"
        );
        assert_eq!(informer.last_error().unwrap(), words);
        assert!(!informer.has_synced());
        world.fake.up().await;
        informer.synced().await;
        assert_eq!(informer.last_error(), None);
    });
}

#[test]
fn after_two_quiet_minutes_the_backoff_starts_over() {
    run(|world| async move {
        let informer = start(&world);
        informer.synced().await;
        let fail = |n| {
            for _ in 0..n {
                world.fake.put("configmaps", Put::Status(Status::unclassified("no")));
            }
        };
        world.elapse(2.0).await;
        fail(6);
        world.reset();
        world.elapse(200.0).await;
        world.fake.take_seen();
        fail(2);
        world.reset();
        world.elapse(20.0).await;
        let seen = world.fake.take_seen();
        let wait = seen[1].at - seen[0].at;
        assert!((0.8..1.6).contains(&wait), "{wait}");
    });
}

#[test]
fn a_watch_in_vain_is_a_failure() {
    run(|world| async move {
        world.fake.put("watch=true", Put::Watch(Vec::new()));
        let informer = start(&world);
        informer.synced().await;
        world.elapse(2.0).await;
        assert_eq!(
            brief(&world.fake.seen()),
            ["list from 0", "watch from 100", "list from 100", "watch from 100"]
        );
        let words = "watch of *v1.ConfigMap ended with: very short watch: init: Unexpected watch close - watch lasted \
                     less than a second and no items received";
        assert_eq!(notes(&world, "error"), [words]);
    });
}

#[test]
fn a_busy_server_is_watched_again_later() {
    run(|world| async move {
        world.fake.put("watch=true", Put::Status(Status::too_many_requests("busy", 0)));
        let informer = start(&world);
        informer.synced().await;
        world.elapse(2.0).await;
        let seen = world.fake.seen();
        assert_eq!(brief(&seen), ["list from 0", "watch from 100", "watch from 100"]);
        assert!((0.8..1.6).contains(&seen[2].at));
    });
}

#[test]
fn pages_are_put_together() {
    run(|world| async move {
        for n in 0..1200 {
            world.fake.write(MAPS, config_map(&format!("m{n:04}"), "1"));
        }
        world.fake.put("limit=500&resourceVersion=0", Put::Status(expired()));
        let informer = start(&world);
        informer.synced().await;
        assert_eq!(informer.len(), 1200);
        let lines = world.fake.lines();
        assert_eq!(lines[1], "GET /api/v1/configmaps?limit=500");
        assert_eq!(lines[2], "GET /api/v1/configmaps?continue=500&limit=500");
        assert_eq!(lines[3], "GET /api/v1/configmaps?continue=1000&limit=500");
    });
}

#[test]
fn handlers_hear_everything_once_and_in_order() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "1"));
        world.fake.write(MAPS, config_map("y", "1"));
        let informer = start(&world);
        let heard = || -> (Arc<Mutex<Vec<String>>>, _) {
            let log = Arc::new(Mutex::new(Vec::new()));
            let (to, informer) = (log.clone(), informer.clone());
            let handler = move |change: &Change| {
                // A handler sees its change in the store: at this place nothing newer has come.
                let there = informer.get_key(&change.key()).is_some();
                to.lock().push(match change {
                    Change::Added(o) => format!("+{}{} {there}", o.name(), o.str_at("/data/k")),
                    Change::Updated { old, new } => {
                        format!("{}{}>{} {there}", new.name(), old.str_at("/data/k"), new.str_at("/data/k"))
                    }
                    Change::Deleted(o) => format!("-{}{} {there}", o.name(), o.str_at("/data/k")),
                });
            };
            (log, handler)
        };
        let (early, handler) = heard();
        informer.on(handler);
        informer.synced().await;
        world.elapse(2.0).await;
        world.fake.write(MAPS, config_map("x", "2"));
        world.elapse(1.0).await;
        let (late, handler) = heard();
        informer.on(handler);
        assert_eq!(*late.lock(), ["+x2 true", "+y1 true"], "told at once of what is there");
        world.fake.erase(&format!("{MAPS}/y"));
        world.elapse(1.0).await;
        assert_eq!(*early.lock(), ["+x1 true", "+y1 true", "x1>2 true", "-y1 false"]);
        assert_eq!(late.lock()[2..], ["-y1 false"]);

        // What happened in the dark comes out of the list; what did not change is no news.
        early.lock().clear();
        world.fake.write(MAPS, config_map("w", "1"));
        world.elapse(1.0).await;
        world.fake.put("watch=true", Put::Status(Status::internal("x")));
        world.fake.down().await;
        world.fake.write(MAPS, config_map("v", "1"));
        world.fake.erase(&format!("{MAPS}/x"));
        world.fake.up().await;
        world.elapse(60.0).await;
        assert_eq!(*early.lock(), ["+w1 true", "+v1 true", "-x2 false"]);
    });
}

#[test]
fn a_resync_tells_again() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "1"));
        let options =
            InformerOptions { resync: Some(std::time::Duration::from_secs(30)), ..Default::default() };
        let informer = Informer::start(&world.host, &world.rest, Resource::core("configmaps"), options);
        let count = Arc::new(Mutex::new(0));
        let to = count.clone();
        informer.on(move |change| {
            if let Change::Updated { old, new } = change {
                assert!(Arc::ptr_eq(old, new));
                *to.lock() += 1;
            }
        });
        world.elapse(100.0).await;
        assert_eq!(*count.lock(), 3);
    });
}

#[test]
fn a_stopped_informer_keeps_its_last_state() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "1"));
        let informer = start(&world);
        informer.synced().await;
        let process = world.host.process("component");
        let other =
            Informer::start(process.host(), &world.rest, Resource::core("configmaps"), Default::default());
        other.synced().await;
        world.elapse(1.0).await;
        informer.stop();
        process.kill().await;
        world.elapse(1.0).await;
        world.fake.write(MAPS, config_map("y", "1"));
        world.elapse(3600.0).await;
        for informer in [&informer, &other] {
            assert_eq!(state(informer), pairs(&[("x", "1")]));
            assert!(informer.has_synced());
        }
        assert_eq!(world.fake.lines().len(), 4, "nobody asks any more");
    });
}

#[test]
fn indices_follow() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "red"));
        let informer = start(&world);
        informer.synced().await;
        let by_value = informer.index(|o| vec![o.str_at("/data/k").to_owned()]);
        let names =
            |key: &str| -> Vec<String> { by_value.get(key).iter().map(|o| o.name().to_owned()).collect() };
        assert_eq!(names("red"), ["x"]);
        world.fake.write(MAPS, config_map("y", "red"));
        world.fake.write("/api/v1/namespaces/b/configmaps", config_map("a", "red"));
        world.elapse(0.1).await;
        assert_eq!(names("red"), ["x", "y", "a"]);
        world.fake.write(MAPS, config_map("x", "blue"));
        world.fake.erase(&format!("{MAPS}/y"));
        world.elapse(0.1).await;
        assert_eq!((names("red"), names("blue")), (vec!["a".to_owned()], vec!["x".to_owned()]));
        let of_b: Vec<String> = informer.by_namespace("b").iter().map(|o| o.name().to_owned()).collect();
        assert_eq!(of_b, ["a"]);
        assert!(informer.by_namespace("c").is_empty());
    });
}

#[test]
fn a_fixed_informer_needs_no_server() {
    let object = |ns: &str, name: &str| -> Value { json!({"metadata": {"namespace": ns, "name": name}}) };
    let informer =
        Informer::fixed(vec![object("b", "x"), object("a", "x"), json!({"metadata": {"name": "c"}})]);
    assert!(informer.has_synced());
    let keys: Vec<String> = informer.list().iter().map(|o| client::key_of(o)).collect();
    assert_eq!(keys, ["c", "a/x", "b/x"]);
    assert!(informer.get(None, "c").is_some());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let to = heard.clone();
    informer.on(move |change| to.lock().push(change.key()));
    informer.put(object("a", "y"));
    informer.remove("a", "x");
    informer.remove("a", "x");
    assert_eq!(*heard.lock(), ["c", "a/x", "b/x", "a/y", "a/x"]);
    assert_eq!(informer.len(), 3);
}
