//! What outlives the store's process, and what ends by itself.

use std::{sync::Arc, time::Duration};

use store::{EventKind, Lease, ListOptions, Range, Store, StoreError, WatchOptions};
use world::Clock;

use super::{a_past, all};
use crate::engines::Bench;

pub async fn a_restart_keeps_all_of_it(bench: &mut Bench<'_>) {
    let ttl = Duration::from_secs(3600);
    a_past(bench).await;
    bench.store.lease_grant(105, ttl).await.unwrap();
    bench.store.put_if("/leased".into(), "1".into(), 0, 105).await.unwrap();
    for round in 0..3 {
        let (before, revision) = (all(&*bench.store, None).await, bench.store.revision().await.unwrap());
        bench.restart().await;
        assert_eq!(bench.store.revision().await, Ok(revision), "no revision is lost, none is made up");
        assert_eq!(all(&*bench.store, None).await, before, "values, versions, revisions, leases");
        let lease = bench.store.lease_status(105).await.unwrap();
        assert_eq!((lease.granted, lease.keys.len()), (ttl, 1));
        assert_eq!(bench.store.lease_grant(105, ttl).await, Err(StoreError::LeaseExists { id: 105 }));
        // It goes on where it was.
        let kv = bench.store.get(b"/a", None).await.unwrap().0.unwrap();
        assert_eq!(bench.store.put("/a".into(), round.to_string().into()).await, Ok(revision + 1));
        let next = bench.store.get(b"/a", None).await.unwrap().0.unwrap();
        let counted = (next.create_revision, next.mod_revision, next.version);
        assert_eq!(counted, (kv.create_revision, revision + 1, kv.version + 1));
    }
    bench.store.lease_revoke(105).await.unwrap();
    assert_eq!(bench.store.get(b"/leased", None).await.unwrap().0, None, "the lease still holds its key");
}

/// After a restart an old revision reads as it was, or is said to be gone. Nothing else.
pub async fn what_a_restart_forgets_it_does_not_invent(bench: &mut Bench<'_>) {
    let past = a_past(bench).await;
    let last = past[past.len() - 1].0;
    bench.restart().await;
    let gone = "etcdserver: mvcc: required revision has been compacted";
    for (revision, state) in &past {
        let options = ListOptions { at: Some(*revision), ..ListOptions::default() };
        match bench.store.list(Range::all(), options).await {
            Ok(found) => assert_eq!(&found.kvs, state, "at {revision}"),
            Err(e) => {
                assert_eq!(e.to_string(), gone, "at {revision}");
                assert!(!bench.engine.keeps_history() && *revision < last, "{revision} should be kept");
            }
        }
        let mut watch = bench.store.watch(Range::all(), *revision, WatchOptions::default()).await.unwrap();
        if *revision == bench.first {
            // Compacted to it, or empty before it: nothing to be told.
            continue;
        }
        match bench.soon("the watch's first item", watch.next()).await.unwrap() {
            Ok(batch) => assert_eq!(batch.revision, *revision),
            Err(e) => {
                assert_eq!(e.to_string(), gone, "from {revision}");
                assert!(!bench.engine.keeps_history(), "{revision} should be kept");
            }
        }
    }
    // What comes after the restart is told without a gap by any engine.
    let mut watch = bench.store.watch(Range::all(), last + 1, WatchOptions::default()).await.unwrap();
    assert_eq!(bench.store.put("/a".into(), "after".into()).await, Ok(last + 1));
    let told = bench.soon("the first event after the restart", watch.next()).await.unwrap().unwrap();
    assert_eq!(told.revision, last + 1);
}

/// Keeps a lease alive; comes to an end with the first answer that is not its whole time.
async fn keep_alive(store: Arc<dyn Store>, clock: Clock, lease: Lease) -> Result<Duration, StoreError> {
    loop {
        let answer = store.lease_keepalive(lease.id).await;
        if answer != Ok(lease.ttl) {
            return answer;
        }
        clock.sleep(Duration::from_millis(500)).await;
    }
}

/// All keys of a lease go in one transaction, when its time is over and not before; kept alive, it lives on.
pub async fn keys_end_with_their_lease(bench: &mut Bench<'_>) {
    // Where time is real, a busy machine must not stand still for as long; nor may it be shorter than etcd grants.
    let ttl = Duration::from_secs(if bench.engine.is_simulated() { 2 } else { 10 });
    let (store, clock) = (bench.store.clone(), bench.host.clock().clone());
    let began = clock.monotonic();
    store.lease_grant(106, ttl).await.unwrap();
    let kept = store.lease_grant(0, ttl).await.unwrap();
    let keeper = bench.host.spawn(keep_alive(store.clone(), clock.clone(), kept));
    for (key, lease) in [("/l/1", 106), ("/l/2", 106), ("/kept", kept.id), ("/l/3", 106)] {
        store.put_if(key.into(), "1".into(), 0, lease).await.unwrap();
    }
    // Written without the lease, a key is free of it.
    store.put("/l/3".into(), "2".into()).await.unwrap();
    assert_eq!(store.lease_status(106).await.unwrap().keys, ["/l/1", "/l/2"]);
    let mut watch = store.watch(Range::prefix("/l/"), 0, WatchOptions::default()).await.unwrap();
    let gone = bench.soon("the end of the lease", watch.next()).await.unwrap().unwrap();
    assert!(clock.monotonic().since(began) >= ttl - Duration::from_secs(1), "not a second early");
    let events: Vec<_> = gone.events.iter().map(|e| (e.kind, e.kv.key.as_ref())).collect();
    assert_eq!(events, [(EventKind::Delete, &b"/l/1"[..]), (EventKind::Delete, b"/l/2")]);
    assert_eq!(store.lease_keepalive(106).await, Err(StoreError::LeaseNotFound { id: 106 }));
    assert_eq!(store.lease_status(106).await, Err(StoreError::LeaseNotFound { id: 106 }));
    assert!(store.get(b"/kept", None).await.unwrap().0.is_some(), "the control: kept alive");
    keeper.abort();
    assert_eq!(keeper.join().await, None, "who is kept alive lives");
    assert_eq!(store.lease_keepalive(kept.id).await, Ok(kept.ttl), "and can be kept alive further");
    let revoked = store.lease_revoke(kept.id).await.unwrap();
    assert_eq!((revoked, store.get(b"/kept", None).await.unwrap().0), (gone.revision + 1, None));
}
