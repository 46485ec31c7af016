//! Many watches of one collection, and how fast changes reach all of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Method;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Clock, Mono};

use super::{
    figure::Figure,
    load::{Load, Verb},
};
use crate::cli::Refusal;

/// Watches on one connection; servers allow at least 100 streams.
const ON_ONE_CONNECTION: u32 = 50;
/// How long the last event may take.
const PATIENCE: Duration = Duration::from_secs(120);

struct Seen {
    clock: Clock,
    expected: u64,
    events: AtomicU64,
    /// When each change was asked for.
    asked: Mutex<Vec<Mono>>,
    took: Mutex<Vec<Duration>>,
    all: Notify,
}

/// `count` watchers see `changes` changes: events a second, and from the request to the event in a watcher's
/// hands.
pub(super) async fn fan_out(
    load: impl Fn() -> Result<Load, Refusal>,
    count: u32,
    changes: u32,
) -> Result<Figure, Refusal> {
    let writer = load()?;
    writer.begin().await?;
    let clock = writer.host().clock().clone();
    let seen = Arc::new(Seen {
        clock: clock.clone(),
        expected: u64::from(count) * u64::from(changes),
        events: AtomicU64::new(0),
        asked: Mutex::default(),
        took: Mutex::default(),
        all: Notify::new(),
    });
    // Other writers' objects in the namespace (a cluster's own authority) must not be counted.
    let path = format!("{}?watch=true&labelSelector=app%3Dbench", writer.collection());
    let mut readers = Vec::new();
    let mut line = load()?;
    for number in 0..count {
        if number % ON_ONE_CONNECTION == 0 {
            line = load()?;
        }
        let (asking, path, seen) = (line.clone(), path.clone(), seen.clone());
        let (open, opened) = tokio::sync::oneshot::channel();
        readers.push(line.spawn(0, async move {
            let answer = asking.send(0, Method::GET, &path, bytes::Bytes::new()).await;
            let (told, body) = match answer {
                Ok(response) => (Ok(()), Some(response.into_body())),
                Err(e) => (Err(e), None),
            };
            let _ = open.send(told);
            if let Some(body) = body {
                read(body, seen).await;
            }
        }));
        opened.await.map_err(|_| Refusal("a watcher of the benchmark came to grief".into()))??;
    }
    let began = clock.monotonic();
    let (writing, told) = (writer.clone(), seen.clone());
    writer
        .at(0, async move {
            for number in 0..changes {
                told.asked.lock().push(told.clock.monotonic());
                writing.once(0, Verb::Create, number).await?;
            }
            Ok(())
        })
        .await?;
    let all = async {
        while seen.events.load(Ordering::SeqCst) < seen.expected {
            let told = seen.all.notified();
            if seen.events.load(Ordering::SeqCst) < seen.expected {
                told.await;
            }
        }
    };
    let arrived = clock.timeout(PATIENCE, all).await.is_ok();
    let whole = clock.monotonic().since(began);
    readers.iter().for_each(|reader| reader.abort());
    let events = seen.events.load(Ordering::SeqCst);
    if !arrived {
        return Err(Refusal(format!(
            "{events} of {} events had reached the watchers after {} s",
            seen.expected,
            PATIENCE.as_secs()
        )));
    }
    writer.end().await?;
    let took = std::mem::take(&mut *seen.took.lock());
    Ok(Figure::new(&format!("events to {count} watchers"), events as usize, whole, took))
}

/// Counts the events of one watch. The changes come in order, one line each.
async fn read(mut body: wire::Body, seen: Arc<Seen>) {
    let mut mine = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        let lines = data.iter().filter(|b| **b == b'\n').count();
        let now = seen.clock.monotonic();
        if lines > 0 {
            let asked = seen.asked.lock();
            let times = (mine..mine + lines).filter_map(|n| asked.get(n)).map(|at| now.since(*at));
            seen.took.lock().extend(times);
        }
        mine += lines;
        if seen.events.fetch_add(lines as u64, Ordering::SeqCst) + lines as u64 >= seen.expected {
            seen.all.notify_one();
        }
    }
}
