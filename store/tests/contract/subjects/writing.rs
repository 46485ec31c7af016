//! Transactions: one revision each, all or nothing, and conditions that hold when the write happens.

use std::time::Duration;

use bytes::Bytes;
use store::{Compare, Kv, ListOptions, Op, Outcome, Range, StoreError, Txn};

use super::all;
use crate::engines::Bench;

pub async fn one_revision_for_each_transaction(bench: &mut Bench<'_>) {
    let fails = |failure| Txn {
        compares: vec![Compare::mod_revision("/a", 0)],
        success: vec![Op::put("/never", "1")],
        failure,
    };
    let do_all = Txn::unconditional;
    // (what, the transaction, how many revisions it takes)
    let rows = [
        ("a put", do_all(vec![Op::put("/a", "1")]), 1),
        ("the same again", do_all(vec![Op::put("/a", "1")]), 1),
        ("four puts", do_all((0..4).map(|n| Op::put(format!("/b/{n}"), "1")).collect()), 1),
        ("a put and a deletion", do_all(vec![Op::put("/a", "2"), Op::delete("/b/0")]), 1),
        ("a read", do_all(vec![Op::get("/a")]), 0),
        ("a deletion of nothing", do_all(vec![Op::delete("/nothing")]), 0),
        ("a refusal", fails(vec![Op::get("/a")]), 0),
        ("a refusal that writes", fails(vec![Op::put("/a", "3")]), 1),
        ("a deletion of many", do_all(vec![Op::Delete { range: Range::prefix("/b/") }]), 1),
        ("the same deletion again", do_all(vec![Op::Delete { range: Range::prefix("/b/") }]), 0),
    ];
    let store = &bench.store;
    let mut revision = bench.first;
    for (what, txn, taken) in rows {
        revision += taken;
        assert_eq!(store.txn(txn).await.unwrap().revision, revision, "{what}");
        assert_eq!(store.revision().await, Ok(revision), "{what}");
        assert_eq!(store.get(b"/a", None).await.unwrap().1, revision, "{what}");
        assert_eq!(
            store.list(Range::all(), ListOptions::default()).await.unwrap().revision,
            revision,
            "{what}"
        );
        assert_eq!(store.status().await.unwrap().revision, revision, "{what}");
    }
    assert_eq!(store.delete(Range::all()).await, Ok((revision + 1, 1)));
}

/// Eight count together: every success is one, and who is refused is told what is there.
pub async fn compare_and_write_is_atomic(bench: &mut Bench<'_>) {
    const CLIENTS: usize = 8;
    const EACH: usize = 12;
    let clients = (0..CLIENTS).map(|_| {
        let store = bench.store.clone();
        bench.host.spawn(async move {
            let (mut done, mut refused) = (Vec::new(), 0);
            let mut found: Option<Kv> = None;
            while done.len() < EACH {
                let at = found.as_ref().map_or(0, |kv| kv.mod_revision);
                let before: u32 =
                    found.as_ref().map_or(0, |kv| std::str::from_utf8(&kv.value).unwrap().parse().unwrap());
                let next = (before + 1).to_string();
                match store.put_if("/count".into(), next.clone().into(), at, 0).await.unwrap() {
                    Outcome::Committed(revision) => {
                        done.push(revision);
                        found = Some(Kv { mod_revision: revision, value: next.into(), ..Kv::default() });
                    }
                    Outcome::Conflict(there) => {
                        assert_ne!(
                            there.as_ref().map_or(0, |kv| kv.mod_revision),
                            at,
                            "refused for a reason"
                        );
                        found = there;
                        refused += 1;
                    }
                }
            }
            (done, refused)
        })
    });
    let clients: Vec<_> = clients.collect();
    let (mut revisions, mut refused) = (Vec::new(), 0);
    for client in clients {
        let (done, lost) = client.join().await.unwrap();
        revisions.extend(done);
        refused += lost;
    }
    revisions.sort_unstable();
    let expected: Vec<i64> = (1..).map(|n| bench.first + n).take(CLIENTS * EACH).collect();
    assert_eq!(revisions, expected, "each success has a revision of its own, and nothing else has one");
    let count = bench.store.get(b"/count", None).await.unwrap().0.unwrap();
    assert_eq!((count.value, count.version), ((CLIENTS * EACH).to_string().into(), (CLIENTS * EACH) as i64));
    assert!(refused > 0, "the control: they did meet");
    // The conditional deletion is as particular.
    let stale = bench.store.delete_if("/count".into(), count.mod_revision - 1).await.unwrap();
    assert!(matches!(stale, Outcome::Conflict(Some(_))), "{stale:?}");
    let deleted = bench.store.delete_if("/count".into(), count.mod_revision).await.unwrap();
    assert_eq!(deleted, Outcome::Committed(count.mod_revision + 1));
}

/// Money moves between two accounts: no reader ever sees more or less of it.
pub async fn several_keys_change_together(bench: &mut Bench<'_>) {
    let amount = |kv: &Kv| std::str::from_utf8(&kv.value).unwrap().parse::<i64>().unwrap();
    let start = Txn::unconditional(vec![Op::put("/account/1", "100"), Op::put("/account/2", "100")]);
    bench.store.txn(start).await.unwrap();
    let movers = (0..4_i64).map(|mover| {
        let store = bench.store.clone();
        bench.host.spawn(async move {
            let mut moved = 0;
            while moved < 10 {
                let kvs = store.list(Range::prefix("/account/"), ListOptions::default()).await.unwrap().kvs;
                let compares = kvs.iter().map(|kv| Compare::mod_revision(kv.key.clone(), kv.mod_revision));
                let by = [-1 - mover, 1 + mover];
                let puts =
                    kvs.iter().zip(by).map(|(kv, by)| Op::put(kv.key.clone(), (amount(kv) + by).to_string()));
                let txn = Txn { compares: compares.collect(), success: puts.collect(), failure: Vec::new() };
                moved += i32::from(store.txn(txn).await.unwrap().succeeded);
            }
        })
    });
    let movers: Vec<_> = movers.collect();
    let mut looks = 0;
    while looks < 10 || !movers.iter().all(world::Task::is_finished) {
        let found = bench.store.list(Range::prefix("/account/"), ListOptions::default()).await.unwrap();
        assert_eq!(found.kvs.iter().map(amount).sum::<i64>(), 200, "at revision {}", found.revision);
        assert_eq!(found.kvs[0].mod_revision, found.kvs[1].mod_revision, "written by one transaction");
        looks += 1;
        bench.host.clock().sleep(Duration::from_micros(100)).await;
    }
    let kvs = all(&*bench.store, None).await;
    assert_eq!(kvs.iter().map(amount).collect::<Vec<_>>(), [0, 200]);
}

pub async fn what_is_refused_changes_nothing(bench: &mut Bench<'_>) {
    let store = &bench.store;
    store.put("/a".into(), "1".into()).await.unwrap();
    let before = store.list(Range::all(), ListOptions::default()).await.unwrap();
    let puts = |n: usize| (0..n).map(|n| Op::put(format!("/many/{n}"), "1")).collect();
    let future = ListOptions { at: Some(before.revision + 9), ..ListOptions::default() };
    let rows: [(&str, Vec<Op>, &str); 6] = [
        ("no key", vec![Op::put("/b", "1"), Op::put("", "1")], "etcdserver: key is not provided"),
        (
            "one key twice",
            vec![Op::put("/b", "1"), Op::put("/b", "2")],
            "etcdserver: duplicate key given in txn request",
        ),
        (
            "a key written and deleted",
            vec![Op::put("/b", "1"), Op::Delete { range: Range::between("/a", "/c") }],
            "etcdserver: duplicate key given in txn request",
        ),
        (
            "a lease that is not there",
            vec![Op::put("/b", "1"), Op::Put { key: "/c".into(), value: "1".into(), lease: 99 }],
            "etcdserver: requested lease not found",
        ),
        ("too many operations", puts(129), "etcdserver: too many operations in txn request"),
        (
            "a read of the future",
            vec![Op::put("/b", "1"), Op::Get { range: Range::key("/a"), options: future }],
            "etcdserver: mvcc: required revision is a future revision",
        ),
    ];
    for (what, ops, words) in rows {
        let error = store.txn(Txn::unconditional(ops)).await.expect_err(what);
        assert_eq!(error.to_string(), words, "{what}");
    }
    let large = store.put("/b".into(), vec![0; 1_600_000].into()).await.unwrap_err();
    assert_eq!(large.to_string(), "etcdserver: request is too large");
    assert_eq!(store.list(Range::all(), ListOptions::default()).await.unwrap(), before);
    // The control: at the limit nothing is refused.
    assert_eq!(store.txn(Txn::unconditional(puts(128))).await.unwrap().revision, before.revision + 1);
    let fits = store.put("/b".into(), vec![0; 1_500_000].into()).await;
    assert_eq!(fits, Ok(before.revision + 2));
    assert_eq!(
        store.lease_grant(0, Duration::from_secs(9_000_000_001)).await,
        Err(StoreError::LeaseTooLong { seconds: 9_000_000_001 })
    );
}

pub async fn any_bytes_are_keys_and_values(bench: &mut Bench<'_>) {
    let keys: [&'static [u8]; 9] =
        [b"\x00\x00", b"\x01", b" ", b"/", b"/a", b"/a\x00", b"/a/", b"\xc3\x28", b"\xff\xff"];
    let value = |n: usize| Bytes::from((0..n * 700).map(|at| (at * 7 + n) as u8).collect::<Vec<_>>());
    // Written from the last to the first: the order of a list is that of the bytes.
    for (n, key) in keys.iter().enumerate().rev() {
        bench.store.put(Bytes::from_static(key), value(n)).await.unwrap();
    }
    for reopened in [false, true] {
        if reopened {
            bench.restart().await;
        }
        let found = all(&*bench.store, None).await;
        assert_eq!(found.iter().map(|kv| kv.key.as_ref()).collect::<Vec<_>>(), keys);
        for (n, kv) in found.iter().enumerate() {
            assert_eq!(kv.value, value(n), "{:?}", kv.key);
            assert_eq!(bench.store.get(&kv.key, None).await.unwrap().0.as_ref(), Some(kv));
        }
        let prefixed = bench.store.list(Range::prefix("/a"), ListOptions::default()).await.unwrap();
        assert_eq!(prefixed.count, 3);
        let high = bench.store.list(Range::prefix(&b"\xff"[..]), ListOptions::default()).await.unwrap();
        assert_eq!(high.count, 1);
    }
}
