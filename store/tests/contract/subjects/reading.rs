//! Reads: of now, of then, page after page, and of what is gone.

use store::{ListOptions, Op, Range, StoreError, Txn, WatchOptions};

use super::{a_past, all};
use crate::engines::Bench;

pub async fn an_old_revision_reads_as_it_was(bench: &mut Bench<'_>) {
    let past = a_past(bench).await;
    let (now, _) = past.last().unwrap();
    let store = &bench.store;
    for (at, state) in &past {
        assert_eq!(&all(&**store, Some(*at)).await, state, "the list at {at}");
        for key in ["/a", "/b/1", "/b/2", "/c", "/nothing"] {
            let (kv, revision) = store.get(key.as_bytes(), Some(*at)).await.unwrap();
            assert_eq!(kv.as_ref(), state.iter().find(|kv| kv.key == key), "{key} at {at}");
            assert_eq!(revision, *now, "and the store's own revision beside it");
        }
        for limit in 1..=state.len() {
            let options = ListOptions { at: Some(*at), limit, ..ListOptions::default() };
            let found = store.list(Range::all(), options).await.unwrap();
            assert_eq!(found.kvs, state[..limit], "{limit} of the list at {at}");
            let rest = (found.more, found.count, found.revision);
            assert_eq!(rest, (limit < state.len(), state.len(), *at));
        }
        let count = ListOptions { at: Some(*at), count_only: true, ..ListOptions::default() };
        let counted = store.list(Range::all(), count).await.unwrap();
        assert_eq!((counted.count, counted.kvs), (state.len(), Vec::new()));
        let keys = ListOptions { at: Some(*at), keys_only: true, ..ListOptions::default() };
        let keys = store.list(Range::all(), keys).await.unwrap().kvs;
        assert!(keys.iter().zip(state).all(|(found, kv)| found.value.is_empty() && found.key == kv.key));
    }
    let future = store.get(b"/a", Some(now + 1)).await.unwrap_err().to_string();
    assert_eq!(future, "etcdserver: mvcc: required revision is a future revision");
}

/// Pages of one list, and writes between them: what was written is in none.
pub async fn a_list_goes_on_as_it_began(bench: &mut Bench<'_>) {
    // More than one look of the store's at its keys.
    const KEYS: usize = 1500;
    let store = &bench.store;
    let key = |n: usize| format!("/page/{n:05}");
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(100) {
        store.txn(Txn::unconditional(chunk.iter().map(|n| Op::put(key(*n), "old")).collect())).await.unwrap();
    }
    let whole = all(&**store, None).await;
    let mut found = Vec::new();
    let (mut range, mut at) = (Range::prefix("/page/"), None);
    loop {
        let options = ListOptions { at, limit: 400, ..ListOptions::default() };
        let page = store.list(range.clone(), options).await.unwrap();
        assert_eq!(*at.get_or_insert(page.revision), page.revision, "all pages are of one revision");
        assert_eq!(page.count, KEYS - found.len(), "what is left");
        found.extend(page.kvs);
        if !page.more {
            break;
        }
        // Before, at and after the place where the list goes on.
        let last = found.len() - 1;
        store.put(key(last / 2).into(), "new".into()).await.unwrap();
        store.delete(Range::key(key(last))).await.unwrap();
        store.delete(Range::key(key(last + 1))).await.unwrap();
        store.put(format!("{}+", key(last + 1)).into(), "new".into()).await.unwrap();
        let next = [found[last].key.as_ref(), b"\0"].concat();
        range = range.starting_at(next);
    }
    assert_eq!(found, whole);
    assert_ne!(all(&**store, None).await, whole, "the control: there were writes");
    // What the list began with is forgotten: it cannot go on, and says why.
    let now = store.revision().await.unwrap();
    store.compact(now).await.unwrap();
    let late = ListOptions { at, ..ListOptions::default() };
    let error = store.list(Range::prefix("/page/"), late).await.unwrap_err();
    assert_eq!(error.to_string(), "etcdserver: mvcc: required revision has been compacted");
}

pub async fn compaction_is_said_clearly(bench: &mut Bench<'_>) {
    let past = a_past(bench).await;
    let store = bench.store.clone();
    let (at, now) = (past[6].0, past[past.len() - 1].0);
    let present = all(&*store, None).await;
    store.compact(at).await.unwrap();
    assert_eq!(all(&*store, None).await, present, "what is there stays");
    let compacted = |error: &StoreError| {
        assert!(matches!(error, StoreError::Compacted { .. }), "{error:?}");
        assert_eq!(error.to_string(), "etcdserver: mvcc: required revision has been compacted");
    };
    for (revision, state) in &past {
        let listed =
            store.list(Range::all(), ListOptions { at: Some(*revision), ..Default::default() }).await;
        let mut watch = store.watch(Range::all(), *revision, WatchOptions::default()).await.unwrap();
        if *revision < at {
            compacted(&listed.unwrap_err());
            compacted(&store.get(b"/a", Some(*revision)).await.unwrap_err());
            let first = bench.soon("the watch's end", watch.next()).await.unwrap();
            compacted(&first.unwrap_err());
            assert!(watch.next().await.is_none(), "after that nothing comes");
        } else {
            assert_eq!(&listed.unwrap().kvs, state, "at {revision}");
            if *revision > at {
                let first = bench.soon("the watch's first event", watch.next()).await.unwrap().unwrap();
                assert_eq!(first.revision, *revision);
            }
        }
    }
    compacted(&store.compact(at).await.unwrap_err());
    compacted(&store.compact(at - 1).await.unwrap_err());
    let future = store.compact(now + 1).await.unwrap_err().to_string();
    assert_eq!(future, "etcdserver: mvcc: required revision is a future revision");
    assert_eq!(store.compact(now).await, Ok(()), "as far as there is anything");
    assert_eq!(all(&*store, None).await, present);
}
