//! Histories by chance: whatever several clients write at once, every watch from any revision is the one
//! history, in order and without a gap; and what is stored is read back as it was.

use std::collections::BTreeMap;

use api::object::ObjectExt;
use client::{DeleteParams, EventKind, Patch, Resource, Rest, WatchParams, WatchStream};
use futures::future::join_all;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use world::{Clock, sim};

use crate::plane::{Plane, Setup};

const MAPS: Resource = Resource::core("configmaps");
const NS: Option<&str> = Some("default");
/// What the watchers with a selector look for.
const SELECTOR: &str = "seen=yes";
/// There from the beginning.
const FIRST: &str = "aaa-first";
/// Written last; every watcher has seen everything when it sees this.
const LAST: &str = "zzz-last";

#[derive(Clone, Debug)]
enum Act {
    Create(u8, bool),
    /// Changes an object's data, and whether it is selected.
    Change(u8, bool),
    Delete(u8),
    /// Watches from one of the revisions that this client has seen, counted from the newest.
    Watch {
        back: usize,
        selected: bool,
    },
    /// Watches from the present state on.
    Follow {
        selected: bool,
    },
    Pause(u16),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..4_u8, any::<bool>()).prop_map(|(key, seen)| Act::Create(key, seen)),
        4 => (0..4_u8, any::<bool>()).prop_map(|(key, seen)| Act::Change(key, seen)),
        2 => (0..4_u8).prop_map(Act::Delete),
        2 => (0..12_usize, any::<bool>()).prop_map(|(back, selected)| Act::Watch { back, selected }),
        2 => any::<bool>().prop_map(|selected| Act::Follow { selected }),
        1 => (0..3000_u16).prop_map(Act::Pause),
    ]
}

/// What a watch showed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    kind: EventKind,
    revision: u64,
    name: String,
    data: String,
    selected: bool,
}

impl Seen {
    fn of(kind: EventKind, object: &Value) -> Self {
        Self {
            kind,
            revision: object.resource_version().parse().unwrap(),
            name: object.name().to_owned(),
            data: object.str_at("/data/k").to_owned(),
            selected: object.label("seen") == Some("yes"),
        }
    }
}

struct Open {
    /// `None`: the present state comes first, and says of which revision it is.
    from: Option<u64>,
    selected: bool,
    stream: WatchStream,
}

/// What one client did: revisions of its writes with the state they made, deletions, and its watches.
struct Told {
    writes: Vec<Seen>,
    deletions: usize,
    watches: Vec<Open>,
}

async fn watch(client: &Rest, from: u64, selected: bool) -> Open {
    let params = WatchParams {
        resource_version: Some(from.to_string()),
        label_selector: selected.then(|| SELECTOR.to_owned()),
        ..WatchParams::default()
    };
    Open { from: Some(from), selected, stream: client.watch(&MAPS, NS, &params).await.unwrap() }
}

async fn follow(client: &Rest, selected: bool) -> Open {
    let params = WatchParams {
        label_selector: selected.then(|| SELECTOR.to_owned()),
        resource_version_match: Some("NotOlderThan".to_owned()),
        send_initial_events: Some(true),
        allow_bookmarks: true,
        ..WatchParams::default()
    };
    Open { from: None, selected, stream: client.watch(&MAPS, NS, &params).await.unwrap() }
}

fn map(name: &str, data: &str, seen: bool) -> Value {
    let labels = json!({ "seen": if seen { "yes" } else { "no" } });
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": labels }, "data": { "k": data },
    })
}

async fn live(client: Rest, clock: Clock, number: usize, start: u64, acts: Vec<Act>) -> Told {
    let mut told = Told { writes: Vec::new(), deletions: 0, watches: Vec::new() };
    let mut revisions = vec![start];
    for (turn, act) in acts.into_iter().enumerate() {
        let name = |key: u8| format!("key-{key}");
        let data = format!("{number}.{turn}");
        match act {
            Act::Create(key, seen) => {
                if let Ok(made) = client.create(&MAPS, NS, &map(&name(key), &data, seen)).await {
                    told.writes.push(Seen::of(EventKind::Added, &made));
                }
            }
            Act::Change(key, seen) => {
                let patch = map(&name(key), &data, seen);
                if let Ok(made) = client.patch(&MAPS, NS, &name(key), Patch::Merge(&patch), None).await {
                    told.writes.push(Seen::of(EventKind::Modified, &made));
                }
            }
            Act::Delete(key) => {
                let gone = client.delete(&MAPS, NS, &name(key), &DeleteParams::default()).await;
                told.deletions += usize::from(gone.is_ok());
            }
            Act::Watch { back, selected } => {
                let from = revisions[revisions.len().saturating_sub(1 + back)];
                told.watches.push(watch(&client, from, selected).await);
            }
            Act::Follow { selected } => told.watches.push(follow(&client, selected).await),
            Act::Pause(millis) => {
                clock.sleep(std::time::Duration::from_millis(millis.into())).await;
            }
        }
        let newest = told.writes.last().map_or(start, |w| w.revision);
        if revisions.last() != Some(&newest) {
            revisions.push(newest);
        }
    }
    told
}

/// The state that a watch begins with, if it does, and its revision.
async fn read_state(open: &mut Open) -> Option<(u64, Vec<Seen>)> {
    if open.from.is_some() {
        return None;
    }
    let mut state = Vec::new();
    loop {
        let event = open.stream.next().await.expect("the state has an end").unwrap();
        if event.kind == EventKind::Bookmark {
            assert_eq!(event.object.annotation("k8s.io/initial-events-end"), Some("true"));
            return Some((event.object.resource_version().parse().unwrap(), state));
        }
        state.push(Seen::of(event.kind, &event.object));
    }
}

async fn read(open: &mut Open) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        let event = open.stream.next().await.expect("a watch lasts half an hour").unwrap();
        if event.kind == EventKind::Bookmark {
            continue;
        }
        let seen = Seen::of(event.kind, &event.object);
        if seen.name == LAST {
            return all;
        }
        all.push(seen);
    }
}

/// The one history must be one: each object is added when it is absent, and changed or deleted when present.
fn model(history: &[Seen]) -> Result<(), TestCaseError> {
    let mut there: BTreeMap<&str, &Seen> = BTreeMap::new();
    for (n, event) in history.iter().enumerate() {
        prop_assert!(n == 0 || history[n - 1].revision < event.revision, "not in order: {event:?}");
        let before = match event.kind {
            EventKind::Deleted => there.remove(event.name.as_str()),
            _ => there.insert(&event.name, event),
        };
        prop_assert_eq!(before.is_none(), event.kind == EventKind::Added, "{:?}", event);
        if let (EventKind::Deleted, Some(before)) = (event.kind, before) {
            prop_assert_eq!(&before.data, &event.data, "a deletion shows the last state");
        }
    }
    Ok(())
}

/// What a watch from `from` must show of the history.
fn view(history: &[Seen], from: u64, selected: bool) -> Vec<Seen> {
    let mut last: BTreeMap<&str, &Seen> = BTreeMap::new();
    let mut shown = Vec::new();
    for event in history {
        let before = last.insert(&event.name, event).filter(|b| b.kind != EventKind::Deleted);
        if event.revision <= from {
            continue;
        }
        if !selected {
            shown.push(event.clone());
            continue;
        }
        let (was, is) =
            (before.is_some_and(|b| b.selected), event.selected && event.kind != EventKind::Deleted);
        let kind = match (was, is) {
            (false, false) => continue,
            (false, true) => EventKind::Added,
            (true, true) => EventKind::Modified,
            (true, false) => EventKind::Deleted,
        };
        // Who leaves the view is shown as it was in it.
        let state = if is { event } else { before.unwrap_or(event) };
        shown.push(Seen { kind, revision: event.revision, ..state.clone() });
    }
    shown
}

/// The objects as of a revision, apart from the one that is there from the beginning.
fn state(history: &[Seen], at: u64, selected: bool) -> Vec<Seen> {
    let mut there: BTreeMap<&str, &Seen> = BTreeMap::new();
    for event in history.iter().filter(|event| event.revision <= at) {
        there.insert(&event.name, event);
    }
    let shown = there.into_values().filter(|e| e.kind != EventKind::Deleted && (e.selected || !selected));
    shown.map(|event| Seen { kind: EventKind::Added, ..event.clone() }).collect()
}

async fn check(plane: Plane, clients: Vec<Vec<Act>>) -> Result<(), TestCaseError> {
    let admin = plane.admin();
    let first = admin.create(&MAPS, NS, &map(FIRST, "", false)).await.unwrap();
    let start: u64 = first.resource_version().parse().unwrap();
    let mut whole = watch(&admin, start, false).await;
    let lives = clients
        .into_iter()
        .enumerate()
        .map(|(n, acts)| live(plane.admin(), plane.client.clock().clone(), n, start, acts));
    let told = join_all(lives).await;
    admin.create(&MAPS, NS, &map(LAST, "", true)).await.unwrap();
    let history = read(&mut whole).await;
    model(&history)?;
    let deleted = history.iter().filter(|e| e.kind == EventKind::Deleted).count();
    prop_assert_eq!(deleted, told.iter().map(|t| t.deletions).sum::<usize>());
    let mut writes: Vec<Seen> = told.iter().flat_map(|t| t.writes.clone()).collect();
    writes.sort_by_key(|w| w.revision);
    // A patch that changes nothing is answered with what is there.
    writes.dedup_by_key(|w| w.revision);
    let written: Vec<Seen> = history.iter().filter(|e| e.kind != EventKind::Deleted).cloned().collect();
    let revisions = |all: &[Seen]| all.iter().map(|w| (w.revision, w.data.clone())).collect::<Vec<_>>();
    prop_assert_eq!(revisions(&written), revisions(&writes), "what was answered is what happened");
    for mut open in told.into_iter().flat_map(|t| t.watches) {
        let from = match read_state(&mut open).await {
            None => open.from.unwrap_or_default(),
            Some((at, mut shown)) => {
                shown.retain(|seen| seen.name != FIRST);
                prop_assert_eq!(shown, state(&history, at, open.selected), "the state at {}", at);
                at
            }
        };
        let seen = read(&mut open).await;
        prop_assert_eq!(
            seen,
            view(&history, from, open.selected),
            "from {}, selected: {}",
            from,
            open.selected
        );
    }
    Ok(())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15..1e15_f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z0-9_./ -]{1,12}", inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "things.example.com" },
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": { "plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                } },
            }],
        },
    })
}

/// What was written is what every reader gets: of the store, of the cache, of a page at a revision, of a watch.
async fn read_back(
    plane: Plane,
    values: Vec<(Value, BTreeMap<String, String>)>,
) -> Result<(), TestCaseError> {
    let (admin, things) = (plane.admin(), Resource::new("example.com", "v1", "things"));
    let definitions = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    admin.create(&definitions, None, &definition()).await.unwrap();
    let clock = plane.client.clock().clone();
    while admin.list(&things, NS, &client::ListParams::default()).await.is_err() {
        clock.sleep(std::time::Duration::from_millis(100)).await;
    }
    for (n, (value, data)) in values.into_iter().enumerate() {
        let name = format!("v{n}");
        let thing = json!({
            "apiVersion": "example.com/v1", "kind": "Thing", "metadata": { "name": name }, "spec": value,
        });
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "annotations": data },
            "data": { "k": data.values().next().cloned().unwrap_or_default() },
        });
        for (resource, object, kept) in
            [(&things, thing, ["/spec"].as_slice()), (&MAPS, map, &["/data", "/metadata/annotations"])]
        {
            let made = admin.create(resource, NS, &object).await.unwrap();
            let stored = admin.get(resource, NS, &name).await.unwrap();
            let exactly = format!(
                "{}?resourceVersion={}&resourceVersionMatch=Exact&fieldSelector=metadata.name%3D{name}",
                resource.path(NS, None, None),
                made.resource_version()
            );
            let (_, page) = admin.raw(http::Method::GET, &exactly, None).await.unwrap();
            let page: Value = serde_json::from_slice(&page).unwrap();
            let params = WatchParams {
                field_selector: Some(format!("metadata.name={name}")),
                ..WatchParams::default()
            };
            let event = admin.watch(resource, NS, &params).await.unwrap().next().await.unwrap().unwrap();
            let empty = json!({});
            for path in kept {
                let given = object.pointer(path).unwrap();
                let same = |read: &Value| read.pointer(path).unwrap_or(&empty) == given;
                prop_assert!(same(&made), "answered: {} {}", given, made);
                prop_assert!(same(&stored), "stored: {} {}", given, stored);
                prop_assert!(same(&page["items"][0]), "at a revision: {} {}", given, page);
                prop_assert!(same(&event.object), "watched: {} {}", given, event.object);
            }
        }
    }
    Ok(())
}

fn in_a_world<F, Fut>(seed: u64, test: F) -> Result<(), TestCaseError>
where
    F: FnOnce(Plane) -> Fut + 'static,
    Fut: Future<Output = Result<(), TestCaseError>> + 'static,
{
    let config = sim::Config { seed, ..sim::Config::default() };
    sim::run(config, |sim| async move { test(Plane::simulated(&sim, Setup::default()).await).await }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_watch_shows_the_one_history(seed in any::<u64>(), clients in vec(vec(act(), 1..25), 1..4)) {
        in_a_world(seed, |plane| check(plane, clients))?;
    }

    #[test]
    fn what_is_stored_is_read_back(
        values in vec(
            (json_value(), proptest::collection::btree_map("[a-z]{1,8}", any::<String>(), 0..4)), 1..8,
        ),
    ) {
        in_a_world(1, |plane| read_back(plane, values))?;
    }
}
