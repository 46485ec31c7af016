//! The figures of one engine.

use std::{
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;
use store::{ListOptions, Outcome, Range, Store, StoreError, WatchOptions};
use world::{Clock, real::Real};

use super::{Engine, Figures, Plan, place::Place};
use crate::{bench::process, cli::Refusal};

/// Writers while a store is filled, and in the last figure of writing.
const MANY: u32 = 256;
/// Changes that a watch of the past replays.
const REPLAYED: u64 = 20_000;
/// Objects of a page, as clients ask for them.
const PAGE: usize = 500;
const SYNCS: usize = 200;
const PREFIX: &str = "/registry/pods/";

/// A pod as clients write it: about a kilobyte.
fn object(number: u64) -> (Bytes, Bytes) {
    let (namespace, name) = (format!("ns-{:02}", number % 50), format!("bench-{number:08}"));
    let env: Vec<_> =
        (0..6).map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("{number}-{n}")})).collect();
    let pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": namespace, "uid": format!("00000000-0000-4000-8000-{number:012}"),
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "bench", "tier": "backend"},
            "annotations": {"example.com/checksum": format!("{number:064x}")},
        },
        "spec": {
            "containers": [{
                "name": "main", "image": "registry.example.com/team/service:1.2.3", "env": env,
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            }],
            "nodeName": format!("node-{:03}", number % 100), "serviceAccountName": "default", "restartPolicy": "Always",
        },
        "status": {"phase": "Running", "podIP": "10.244.1.7", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    (format!("{PREFIX}{namespace}/{name}").into(), pod.to_string().into())
}

pub(super) async fn all(plan: &Plan, engine: Engine, world: &Real, root: &Path) -> Result<Figures, Refusal> {
    let mut full = Place::new(engine, "full", world, root)?;
    let clock = full.host().clock().clone();
    let sync_ms = sync_cost(root, &clock)?;
    let mut store = full.open().await?;
    let empty = process::resident(full.pid());
    let objects = u64::from(plan.objects);
    fill(&full, &store, objects).await?;
    let (key, value) = object(objects / 2);
    let revision = store.revision().await?;
    store.compact(revision).await?;
    let filled = process::resident(full.pid());
    let (list_ms, page_ms) = lists(&store, &clock, objects).await?;
    let replayed = replay(&full, &store, &clock, objects).await?;
    let revision = store.revision().await?;
    store.compact(revision).await?;
    drop(store);
    full.kill().await?;
    let began = clock.monotonic();
    store = full.open().await?;
    let restart_ms = ms(clock.monotonic().since(began));
    let disk = full.disk();
    let (there, _) = store.get(&key, None).await?;
    if there.is_none_or(|kv| kv.value.len() != value.len()) {
        return Err(Refusal(format!("{engine:?} has lost an object in the restart")));
    }
    drop(store);
    full.kill().await?;

    let mut creates = Vec::new();
    for writers in [1, 32, MANY] {
        let mut place = Place::new(engine, &format!("create-{writers}"), world, root)?;
        let store = place.open().await?;
        let (rate, p99) = create(&place, &store, writers, Duration::from_secs(plan.seconds.into())).await?;
        creates.push((writers, rate, p99));
        drop(store);
        place.kill().await?;
    }
    let each = |bytes: u64| bytes as f64 / objects as f64;
    Ok(Figures {
        engine,
        sync_ms,
        creates,
        objects: plan.objects,
        object_bytes: (key.len() + value.len()) as u64,
        list_ms,
        page_ms,
        replayed,
        restart_ms,
        disk: disk.map(each),
        memory: filled.zip(empty).map(|(filled, empty)| each(filled.saturating_sub(empty))),
    })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn sync_cost(root: &Path, clock: &Clock) -> Result<f64, Refusal> {
    let mut file = std::fs::File::create(root.join("sync"))?;
    let mut took = Vec::new();
    for _ in 0..SYNCS {
        let began = clock.monotonic();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        took.push(clock.monotonic().since(began));
    }
    took.sort();
    Ok(took.get(SYNCS / 2).map_or(0.0, |median| ms(*median)))
}

/// Writes so many times with many writers; `write` is given the number of each.
async fn many<F>(
    place: &Place,
    times: u64,
    write: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Result<(), Refusal>
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let writers = (0..MANY).map(|_| {
        let (write, next) = (write.clone(), next.clone());
        place.host().spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= times {
                    return Ok(());
                }
                write(number).await?;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.join().await.unwrap_or(Err(StoreError::Closed))?;
    }
    Ok(())
}

async fn fill(place: &Place, store: &Arc<dyn Store>, objects: u64) -> Result<(), Refusal> {
    let store = store.clone();
    let create = move |number| {
        let store = store.clone();
        async move {
            let (key, value) = object(number);
            store.put_if(key, value, 0, 0).await.map(drop)
        }
    };
    many(place, objects, create).await
}

/// Creates a second, and the 99th percentile of one in ms.
async fn create(
    place: &Place,
    store: &Arc<dyn Store>,
    writers: u32,
    span: Duration,
) -> Result<(f64, f64), Refusal> {
    let next = Arc::new(AtomicU64::new(0));
    let clock = place.host().clock();
    let began = clock.monotonic();
    let tasks = (0..writers).map(|_| {
        let (store, next, clock) = (store.clone(), next.clone(), clock.clone());
        place.host().spawn(async move {
            let mut took = Vec::new();
            while clock.monotonic().since(began) < span {
                let (key, value) = object(next.fetch_add(1, Ordering::Relaxed));
                let asked = clock.monotonic();
                match store.put_if(key, value, 0, 0).await? {
                    Outcome::Committed(_) => took.push(clock.monotonic().since(asked)),
                    Outcome::Conflict(_) => return Err(StoreError::Closed),
                }
            }
            Ok(took)
        })
    });
    let mut took = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        took.extend(task.join().await.unwrap_or(Err(StoreError::Closed))?);
    }
    let rate = took.len() as f64 / clock.monotonic().since(began).as_secs_f64();
    took.sort();
    let p99 = took.get(took.len() * 99 / 100).map_or(0.0, |p99| ms(*p99));
    Ok((rate, p99))
}

/// Milliseconds for all objects page by page, and for one page.
async fn lists(store: &Arc<dyn Store>, clock: &Clock, objects: u64) -> Result<(f64, f64), Refusal> {
    let began = clock.monotonic();
    let (mut found, mut pages) = (0, 0_u32);
    let (mut range, mut at) = (Range::prefix(PREFIX), None);
    loop {
        let options = ListOptions { at, limit: PAGE, ..ListOptions::default() };
        let page = store.list(range.clone(), options).await?;
        found += page.kvs.len() as u64;
        pages += 1;
        let Some(last) = page.kvs.last().filter(|_| page.more) else { break };
        at.get_or_insert(page.revision);
        range = range.starting_at([last.key.as_ref(), b"\0"].concat());
    }
    if found != objects {
        return Err(Refusal(format!("a list of {objects} objects has {found}")));
    }
    let whole = ms(clock.monotonic().since(began));
    Ok((whole, whole / f64::from(pages)))
}

/// Events a second of a watch that begins before they happened.
async fn replay(place: &Place, store: &Arc<dyn Store>, clock: &Clock, objects: u64) -> Result<f64, Refusal> {
    let before = store.revision().await?;
    let change = {
        let store = store.clone();
        move |number| {
            let store = store.clone();
            async move {
                let (key, value) = object(number % objects);
                store.put(key, value).await.map(drop)
            }
        }
    };
    many(place, REPLAYED, change).await?;
    let began = clock.monotonic();
    let options = WatchOptions { buffer: 10 * REPLAYED as usize, ..WatchOptions::default() };
    let mut watch = store.watch(Range::prefix(PREFIX), before + 1, options).await?;
    let mut told = 0;
    while told < REPLAYED {
        match watch.next().await {
            Some(batch) => told += batch?.events.len() as u64,
            None => return Err(Refusal("a watch of the past ended".into())),
        }
    }
    Ok(REPLAYED as f64 / clock.monotonic().since(began).as_secs_f64())
}
