//! What a watch sees: replay, live events, marks of progress, compaction, a reader that is too slow.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use store::{
    Batch, EventKind, ListOptions, Medium, Op, Range, Store, StoreError, Txn, Watch, WatchOptions, memory,
    memory_on,
};
use world::{Host, sim};

fn simulated<T>(story: impl AsyncFnOnce(sim::Sim, Host) -> T) -> T {
    sim::run(sim::Config::default(), |sim| async move {
        let host = sim.host("cp1");
        story(sim, host).await
    })
    .unwrap()
}

/// `a=1 a=2 b=1 {c=1,a=3} -b` at revisions 2 to 6.
async fn history(store: &Arc<dyn Store>) {
    for (key, value) in [("a", "1"), ("a", "2"), ("b", "1")] {
        store.put(key.into(), value.into()).await.unwrap();
    }
    store.txn(Txn::unconditional(vec![Op::put("c", "1"), Op::put("a", "3")])).await.unwrap();
    assert_eq!(store.delete(Range::key("b")).await.unwrap(), (6, 1));
}

fn render(batch: &Batch) -> String {
    if batch.progress {
        return format!("{}:mark", batch.revision);
    }
    let events = batch.events.iter().map(|e| {
        let key = String::from_utf8_lossy(&e.kv.key);
        match e.kind {
            EventKind::Put => format!("{key}={}", String::from_utf8_lossy(&e.kv.value)),
            EventKind::Delete => format!("-{key}"),
        }
    });
    format!("{}:{}", batch.revision, events.collect::<Vec<_>>().join(","))
}

/// All that is there to be read, up to a mark.
async fn up_to_mark(watch: &mut Watch) -> Vec<String> {
    watch.request_progress();
    let mut seen = Vec::new();
    loop {
        match watch.next().await {
            Some(Ok(batch)) if batch.progress => return seen,
            Some(Ok(batch)) => seen.push(render(&batch)),
            Some(Err(e)) => {
                seen.push(e.to_string());
                assert!(watch.next().await.is_none(), "an error is the last item");
                return seen;
            }
            None => return seen,
        }
    }
}

#[test]
fn a_watch_replays_history_from_its_revision() {
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    // (range, from, compacted at, what comes)
    let rows: [(Range, i64, i64, &[&str]); 9] = [
        (Range::all(), 1, 0, &["2:a=1", "3:a=2", "4:b=1", "5:c=1,a=3", "6:-b"]),
        (Range::all(), 2, 0, &["2:a=1", "3:a=2", "4:b=1", "5:c=1,a=3", "6:-b"]),
        (Range::key("a"), 3, 0, &["3:a=2", "5:a=3"]),
        (Range::between("b", "d"), 4, 0, &["4:b=1", "5:c=1", "6:-b"]),
        (Range::all(), 6, 0, &["6:-b"]),
        (Range::all(), 0, 0, &[]),
        // The compacted revision itself is still there, a deletion too.
        (Range::all(), 5, 5, &["5:c=1,a=3", "6:-b"]),
        (Range::all(), 6, 6, &["6:-b"]),
        (Range::all(), 4, 5, &[compacted]),
    ];
    for (range, from, compact, expected) in rows {
        simulated(async |_, host| {
            let store = memory(&host);
            history(&store).await;
            if compact > 0 {
                store.compact(compact).await.unwrap();
            }
            let mut watch = store.watch(range.clone(), from, WatchOptions::default()).await.unwrap();
            assert_eq!(
                up_to_mark(&mut watch).await,
                expected,
                "{range:?} from {from}, compacted at {compact}"
            );
        });
    }
}

#[test]
fn replay_passes_into_live_without_gap_or_repetition() {
    simulated(async |_, host| {
        let store = memory(&host);
        // Longer than one look at the log.
        for n in 0..2000 {
            store.put("k".into(), n.to_string().into()).await.unwrap();
        }
        let mut watch = store.watch(Range::key("k"), 2, WatchOptions::default()).await.unwrap();
        let writer = host.spawn({
            let store = store.clone();
            async move {
                for n in 2000..4000 {
                    store.put("k".into(), n.to_string().into()).await.unwrap();
                }
            }
        });
        for n in 0..4000 {
            let batch = watch.next().await.unwrap().unwrap();
            assert_eq!((batch.revision, &batch.events[0].kv.value), (n + 2, &Bytes::from(n.to_string())));
            assert_eq!(batch.events[0].prev.is_some(), n > 0, "the previous value comes along");
        }
        writer.join().await;
    });
}

#[test]
fn a_watch_from_the_future_waits_for_it() {
    simulated(async |_, host| {
        let store = memory(&host);
        let mut watch = store.watch(Range::all(), 4, WatchOptions::default()).await.unwrap();
        history(&store).await;
        assert_eq!(up_to_mark(&mut watch).await, ["4:b=1", "5:c=1,a=3", "6:-b"]);
    });
}

#[test]
fn marks_come_by_themselves_when_nothing_else_does() {
    simulated(async |_, host| {
        let store = memory(&host);
        let options =
            WatchOptions { progress_every: Some(Duration::from_secs(5)), ..WatchOptions::default() };
        let mut watch = store.watch(Range::key("quiet"), 0, options).await.unwrap();
        store.put("other".into(), "1".into()).await.unwrap();
        let before = host.clock().monotonic();
        let mark = watch.next().await.unwrap().unwrap();
        assert_eq!(mark, Batch::progress(2), "other keys' revisions count");
        assert_eq!(host.clock().monotonic().since(before), Duration::from_secs(5));
    });
}

#[test]
fn a_slow_watcher_holds_up_nobody_and_learns_where_it_was() {
    simulated(async |_, host| {
        let store = memory(&host);
        let options = WatchOptions { buffer: 10, ..WatchOptions::default() };
        let mut slow = store.watch(Range::all(), 0, options).await.unwrap();
        let mut quick = store.watch(Range::all(), 0, WatchOptions::default()).await.unwrap();
        store.put("k".into(), "first".into()).await.unwrap();
        assert_eq!(slow.next().await.unwrap().unwrap().revision, 2);
        for n in 0..11 {
            store.put("k".into(), n.to_string().into()).await.unwrap();
        }
        // Behind what it has missed there is no progress.
        slow.request_progress();
        assert_eq!(slow.next().await, Some(Err(StoreError::Lagged { delivered: 2 })));
        assert_eq!(slow.next().await, None);
        assert_eq!(up_to_mark(&mut quick).await.len(), 12, "the control: a buffer that suffices");
    });
}

#[test]
fn compaction_takes_old_revisions_only() {
    // (key, read at, compacted at, what is read)
    let rows = [
        ("a", 2, 0, Ok(Some("1"))),
        ("a", 4, 0, Ok(Some("2"))),
        ("a", 1, 0, Ok(None)),
        ("b", 5, 0, Ok(Some("1"))),
        ("b", 6, 0, Ok(None)),
        ("a", 7, 0, Err(StoreError::FutureRevision { requested: 7, current: 6 })),
        ("a", 4, 4, Ok(Some("2"))),
        ("a", 5, 4, Ok(Some("3"))),
        ("b", 5, 6, Err(StoreError::Compacted { requested: 5, oldest: 6 })),
        ("a", 6, 6, Ok(Some("3"))),
        ("b", 6, 6, Ok(None)),
    ];
    for (key, at, compact, expected) in rows {
        simulated(async |_, host| {
            let store = memory(&host);
            history(&store).await;
            if compact > 0 {
                store.compact(compact).await.unwrap();
                let again = store.compact(compact).await;
                assert_eq!(again, Err(StoreError::Compacted { requested: compact, oldest: compact }));
            }
            let read = store.get(key.as_bytes(), Some(at)).await.map(|(kv, _)| kv.map(|kv| kv.value));
            let expected = expected.map(|v| v.map(Bytes::from));
            assert_eq!(read, expected, "{key} at {at}, compacted at {compact}");
            let listed =
                store.list(Range::key(key), ListOptions { at: Some(at), ..ListOptions::default() }).await;
            assert_eq!(
                listed.map(|l| l.kvs.into_iter().next().map(|kv| kv.value)),
                expected,
                "a list agrees"
            );
        });
    }
}

#[test]
fn after_a_restart_history_begins_anew() {
    simulated(async |_, host| {
        let medium = Medium::default();
        let process = host.process("etcd");
        let store = memory_on(process.host(), &medium);
        history(&store).await;
        let mut watch = store.watch(Range::all(), 0, WatchOptions::default()).await.unwrap();
        process.kill().await;
        assert_eq!(watch.next().await, Some(Err(StoreError::Closed)), "a watch ends with its store");
        assert_eq!(store.put("a".into(), "x".into()).await, Err(StoreError::Closed));

        let store = memory_on(&host, &medium);
        assert_eq!(store.revision().await, Ok(6));
        let mut old = store.watch(Range::all(), 6, WatchOptions::default()).await.unwrap();
        assert_eq!(old.next().await, Some(Err(StoreError::Compacted { requested: 6, oldest: 7 })));
        let mut new = store.watch(Range::all(), 7, WatchOptions::default()).await.unwrap();
        store.put("a".into(), "4".into()).await.unwrap();
        assert_eq!(up_to_mark(&mut new).await, ["7:a=4"]);
        let (kv, _) = store.get(b"a", None).await.unwrap();
        let kv = kv.unwrap();
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (2, 7, 4), "counted on from before");
    });
}
