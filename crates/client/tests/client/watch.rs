//! What a watch's reader gets of what was sent: cut anywhere, torn, too long, of unknown kind.

use client::{ClientError, EventKind, Resource, WatchEvent, WatchParams, WatchStream};
use proptest::prelude::*;
use serde_json::json;

use crate::fake::{Put, World, config_map, run};

fn line(kind: &str, name: &str) -> String {
    json!({"type": kind, "object": config_map(name, "1")}).to_string()
}

async fn open(world: &World, text: String) -> WatchStream {
    world.fake.put("watch=true", Put::Raw(200, &[], text));
    world.rest.watch(&Resource::core("configmaps"), None, &WatchParams::default()).await.unwrap()
}

async fn drain(mut stream: WatchStream) -> (Vec<WatchEvent>, Option<ClientError>) {
    let mut events = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing comes after an error");
                return (events, Some(error));
            }
        }
    }
    (events, None)
}

/// What `text` is read as: kinds of events, and the error at the end if there is one.
#[track_caller]
fn check(text: String, kinds: &[EventKind], error: Option<&str>) {
    let kinds = kinds.to_vec();
    let error = error.map(str::to_owned);
    run(|world| async move {
        let (events, failed) = drain(open(&world, text).await).await;
        assert_eq!(events.iter().map(|e| e.kind).collect::<Vec<_>>(), kinds);
        let failed = failed.map(|e| e.to_string());
        match (&failed, &error) {
            (None, None) => {}
            (Some(words), Some(part)) if words.contains(part) => {}
            _ => panic!("{failed:?} is not {error:?}"),
        }
    });
}

#[test]
fn what_is_sent_and_what_is_read() {
    use EventKind::*;
    let (added, modified) = (line("ADDED", "a"), line("MODIFIED", "a"));
    check(String::new(), &[], None);
    check(format!("{added}\n{modified}\n"), &[Added, Modified], None);
    check(format!("{}\n{}\n", line("DELETED", "a"), line("BOOKMARK", "")), &[Deleted, Bookmark], None);
    // Empty lines keep connections awake.
    check(format!("\n\r\n{added}\n \n"), &[Added], None);
    // The last line may lack its end; a torn one is nobody's event.
    check(format!("{added}\n{modified}"), &[Added, Modified], None);
    check(format!("{added}\n{}", &modified[..20]), &[Added], None);
    let gone = api::status::Status::too_old(5, 9);
    let error = json!({"type": "ERROR", "object": gone.to_value()});
    check(format!("{added}\n{error}\n{modified}\n"), &[Added], Some(&gone.message));
    let unreadable = "an error on the server (\"unable to decode an event from the watch stream: ";
    check(format!("{added}\nnonsense\n{modified}\n"), &[Added], Some(unreadable));
    check(format!("{}\n", line("RENAMED", "a")), &[], Some("got invalid watch event type: RENAMED"));
    check("{\"type\":\"ADDED\",\"object\":7}\n".into(), &[], Some("the event has no object"));
    check("{\"type\":\"ERROR\"}\n".into(), &[], Some("an ERROR event without a Status"));
    check("x".repeat((16 << 20) + 1), &[], Some("object to decode was longer than maximum allowed size"));
}

#[test]
fn a_refused_watch_is_an_error_and_a_broken_one_an_end() {
    run(|world| async move {
        let maps = Resource::core("configmaps");
        let params = WatchParams { resource_version: Some("1".into()), ..WatchParams::default() };
        world.fake.put("watch=true", Put::Status(api::status::Status::unauthorized()));
        assert!(world.rest.watch(&maps, None, &params).await.unwrap_err().is_unauthorized());
        let mut stream = world.rest.watch(&maps, None, &params).await.unwrap();
        world.fake.write("/api/v1/namespaces/a/configmaps", config_map("x", "1"));
        assert_eq!(stream.next().await.unwrap().unwrap().kind, EventKind::Added);
        world.reset();
        assert!(stream.next().await.is_none(), "a reset connection is an end, as for client-go");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the network cuts a stream, the same events come out.
    #[test]
    fn cuts_do_not_matter(cuts in prop::collection::vec(1_usize..200, 0..20), n in 1_usize..10) {
        let text: String = (0..n).map(|i| line("ADDED", &format!("n{i}")) + "\n").collect();
        let read = run(|world| async move {
            world.fake.put("watch=true", Put::Cut(text.into_bytes(), cuts));
            let (maps, params) = (Resource::core("configmaps"), WatchParams::default());
            drain(world.rest.watch(&maps, None, &params).await.unwrap()).await
        });
        let names: Vec<String> = read.0.iter().map(|e| e.object["metadata"]["name"].as_str().unwrap().into()).collect();
        prop_assert_eq!(names, (0..n).map(|i| format!("n{i}")).collect::<Vec<_>>());
        prop_assert!(read.1.is_none());
    }
}
