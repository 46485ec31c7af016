//! Watches: complete, in order, from any revision that is kept.

use store::{Batch, Op, Range, StoreError, Txn, Watch, WatchOptions};

use super::{a_past, render};
use crate::engines::Bench;

/// What a watch tells up to revision `last`, which must be in its range.
async fn up_to(bench: &Bench<'_>, watch: &mut Watch, last: i64) -> Vec<Batch> {
    let mut told: Vec<Batch> = Vec::new();
    while told.last().is_none_or(|batch| batch.revision < last) {
        let next = bench.soon("the watch's next event", watch.next()).await;
        let batch = next.expect("it goes on").expect("nothing is lost");
        if !batch.progress {
            told.push(batch);
        }
    }
    told
}

pub async fn a_watch_from_any_revision_is_complete_and_ordered(bench: &mut Bench<'_>) {
    let store = bench.store.clone();
    let mut from_now = store.watch(Range::all(), 0, WatchOptions::default()).await.unwrap();
    let mut from_the_future =
        store.watch(Range::all(), bench.first + 4, WatchOptions::default()).await.unwrap();
    let past = a_past(bench).await;
    let first = bench.first;
    let last = past[past.len() - 1].0;
    let words = [
        "/a=1",
        "/b/1=1,/b/2=1,/c=1",
        "/a=2",
        "-/c,/b/1=2",
        "-/b/1,-/b/2",
        "/c=2",
        "/b/3=1",
        "-/a",
        "/a=3,-/c",
        "/b/1=3",
    ];
    let expected: Vec<String> =
        (1_i64..).zip(words).map(|(n, words)| format!("{}:{words}", first + n)).collect();
    // One batch for each transaction, in its own order. Live, and from each revision of the past.
    let live = up_to(bench, &mut from_now, last).await;
    assert_eq!(live.iter().map(render).collect::<Vec<_>>(), expected);
    assert_eq!(up_to(bench, &mut from_the_future, last).await, live[3..]);
    for (n, (revision, _)) in past.iter().enumerate().skip(1) {
        let mut watch = store.watch(Range::all(), *revision, WatchOptions::default()).await.unwrap();
        assert_eq!(up_to(bench, &mut watch, last).await, live[n - 1..], "from {revision} on");
    }
    // Each event knows what it replaced: as the list of the revision before has it.
    for (batch, (_, before)) in live.iter().zip(&past) {
        for event in batch.events.iter() {
            let there = before.iter().find(|kv| kv.key == event.kv.key);
            assert_eq!(event.prev.as_ref(), there, "{}", render(batch));
            assert_eq!(event.kv.mod_revision, batch.revision);
        }
    }
    // While somebody writes, replay passes into what happens now, without a gap and without a repetition.
    let writer = bench.host.spawn({
        let store = store.clone();
        async move {
            for n in 0..300 {
                store.put("/k".into(), n.to_string().into()).await.unwrap();
            }
        }
    });
    let mut late = store.watch(Range::key("/k"), last, WatchOptions::default()).await.unwrap();
    let told = up_to(bench, &mut late, last + 300).await;
    writer.join().await.unwrap();
    let revisions: Vec<i64> = told.iter().map(|batch| batch.revision).collect();
    assert_eq!(revisions, (last + 1..=last + 300).collect::<Vec<_>>());
}

pub async fn a_watch_of_a_range_sees_that_range(bench: &mut Bench<'_>) {
    a_past(bench).await;
    let store = bench.store.clone();
    // The end of all of them, in one transaction.
    let end = ["/a", "/b/1", "/b/9", "/c"].map(|key| Op::put(key, "end")).to_vec();
    let last = store.txn(Txn::unconditional(end)).await.unwrap().revision;
    let at = |n: i64| bench.first + n;
    let rows = [
        (Range::key("/a"), vec!["1:/a=1", "3:/a=2", "8:-/a", "9:/a=3", "11:/a=end"]),
        (
            Range::prefix("/b/"),
            vec![
                "2:/b/1=1,/b/2=1",
                "4:/b/1=2",
                "5:-/b/1,-/b/2",
                "7:/b/3=1",
                "10:/b/1=3",
                "11:/b/1=end,/b/9=end",
            ],
        ),
        (Range::between("/b/2", "/b/4"), vec!["2:/b/2=1", "5:-/b/2", "7:/b/3=1"]),
        (Range::from("/c"), vec!["2:/c=1", "4:-/c", "6:/c=2", "9:-/c", "11:/c=end"]),
    ];
    for (range, words) in rows {
        let expected: Vec<String> = words
            .iter()
            .map(|word| {
                let (n, events) = word.split_once(':').unwrap();
                format!("{}:{events}", at(n.parse().unwrap()))
            })
            .collect();
        let until = if words.len() == 3 { at(7) } else { last };
        let mut watch = store.watch(range.clone(), bench.first + 1, WatchOptions::default()).await.unwrap();
        let told = up_to(bench, &mut watch, until).await;
        assert_eq!(told.iter().map(render).collect::<Vec<_>>(), expected, "{range:?}");
    }
}

/// A watch whose reader lets more wait than it said it would: what it gets is without gaps, and then it is told
/// where to go on; there it finds the rest. Over a connection the reader may have caught up meanwhile.
pub async fn who_reads_too_slowly_is_told_where(bench: &mut Bench<'_>) {
    let store = bench.store.clone();
    let options = WatchOptions { buffer: 10, ..WatchOptions::default() };
    let mut slow = store.watch(Range::key("/k"), 0, options).await.unwrap();
    let mut quick = store.watch(Range::key("/k"), 0, WatchOptions::default()).await.unwrap();
    let first = store.put("/k".into(), "0".into()).await.unwrap();
    assert_eq!(up_to(bench, &mut slow, first).await.len(), 1);
    for n in 1..60 {
        store.put("/k".into(), n.to_string().into()).await.unwrap();
    }
    let last = first + 59;
    // The control: with room enough nobody is too slow.
    assert_eq!(up_to(bench, &mut quick, last).await.len(), 60);
    let mut seen = first;
    while seen < last {
        match bench.soon("the slow watch's end", slow.next()).await.expect("an end is said") {
            Ok(batch) if batch.progress => {}
            Ok(batch) => {
                assert_eq!(batch.revision, seen + 1, "no gap");
                seen = batch.revision;
            }
            Err(e) => {
                assert_eq!(e, StoreError::Lagged { delivered: seen });
                assert!(slow.next().await.is_none());
                break;
            }
        }
    }
    if bench.engine.is_remote() && seen == last {
        return;
    }
    let mut again = store.watch(Range::key("/k"), seen + 1, WatchOptions::default()).await.unwrap();
    let rest = up_to(bench, &mut again, last).await;
    assert_eq!(rest.first().map(|batch| batch.revision), Some(seen + 1));
    assert_eq!(rest.len() as i64, last - seen);
}

pub async fn progress_comes_after_what_it_speaks_of(bench: &mut Bench<'_>) {
    if bench.engine.lenient().no_marks {
        return;
    }
    let store = bench.store.clone();
    let mut watch = store.watch(Range::prefix("/w/"), 0, WatchOptions::default()).await.unwrap();
    let writers = (0..4).map(|writer| {
        let store = store.clone();
        bench.host.spawn(async move {
            for n in 0..40 {
                // Every other write is beside the watched range, and counts for the mark all the same.
                let place = if n % 2 == 0 { "w" } else { "other" };
                store.put(format!("/{place}/{writer}").into(), n.to_string().into()).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let (mut told, mut marks) = (bench.first, 0);
    let mut events = 0;
    while marks < 20 {
        let known = store.revision().await.unwrap();
        watch.request_progress();
        loop {
            let batch = bench.soon("a mark of progress", watch.next()).await.unwrap().unwrap();
            assert!(
                batch.revision > told || batch.progress && batch.revision == told,
                "{batch:?} after {told}"
            );
            told = batch.revision;
            if batch.progress && told >= known {
                break;
            }
            events += usize::from(!batch.progress);
        }
        marks += 1;
    }
    for writer in writers {
        writer.join().await.unwrap();
    }
    let last = store.put("/w/last".into(), "1".into()).await.unwrap();
    events += up_to(bench, &mut watch, last).await.len();
    assert_eq!(events, 4 * 20 + 1, "no mark was put before an event that it covers");
}
