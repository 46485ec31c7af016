//! Leases live by the host's monotonic clock, and their keys die with them in one transaction.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::time::Duration;

use jiff::SignedDuration;
use store::{EventKind, Medium, Range, StoreError, memory, memory_on};
use world::{Host, sim};

fn simulated<T>(story: impl AsyncFnOnce(sim::Sim, Host) -> T) -> T {
    sim::run(sim::Config::default(), |sim| async move {
        let host = sim.host("cp1");
        story(sim, host).await
    })
    .unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn keys_die_with_their_lease_all_at_once() {
    simulated(async |sim, host| {
        let store = memory(&host);
        store.lease_grant(7, MINUTE).await.unwrap();
        for key in ["a", "b", "c"] {
            store.put_if(key.into(), "1".into(), 0, 7).await.unwrap();
        }
        // One leaves the lease by a write without it.
        store.put("c".into(), "2".into()).await.unwrap();
        assert_eq!(store.lease_status(7).await.unwrap().keys, ["a", "b"]);
        let mut watch = store.watch(Range::all(), 0, Default::default()).await.unwrap();
        sim.elapse(MINUTE - Duration::from_secs(1)).await;
        assert_eq!(store.revision().await, Ok(5), "not a second early");
        sim.elapse(Duration::from_secs(1)).await;
        let batch = watch.next().await.unwrap().unwrap();
        let gone: Vec<_> = batch.events.iter().map(|e| (e.kind, e.kv.key.as_ref())).collect();
        assert_eq!(gone, [(EventKind::Delete, &b"a"[..]), (EventKind::Delete, b"b")]);
        assert_eq!(store.lease_status(7).await, Err(StoreError::LeaseNotFound { id: 7 }));
        assert_eq!(store.lease_keepalive(7).await, Err(StoreError::LeaseNotFound { id: 7 }));
        assert!(store.get(b"c", None).await.unwrap().0.is_some());
    });
}

/// (what happens to the host, whether the lease of a minute is over after it)
#[test]
fn only_monotonic_time_ages_a_lease() {
    type Happening = fn(&sim::Sim);
    let hour = SignedDuration::from_hours(1);
    let rows: [(&str, Happening, Duration, bool); 4] = [
        ("a step ahead", |sim| sim.step("cp1", SignedDuration::from_hours(1)), Duration::ZERO, false),
        ("a step back", |sim| sim.step("cp1", -SignedDuration::from_hours(1)), MINUTE, true),
        ("a frozen wall clock", |sim| sim.freeze("cp1"), MINUTE, true),
        ("time", |_| {}, MINUTE, true),
    ];
    for (name, happen, then, over) in rows {
        simulated(async |sim, host| {
            let store = memory(&host);
            store.lease_grant(7, MINUTE).await.unwrap();
            happen(&sim);
            // A moment more: the store's timer and this one fall due together.
            sim.elapse(then + Duration::from_millis(1)).await;
            assert_eq!(store.lease_status(7).await.is_err(), over, "{name}");
        });
    }
    for (name, suspended, over) in [("suspended", true, false), ("paused", false, true)] {
        simulated(async |sim, host| {
            let store = memory(&host);
            store.lease_grant(7, MINUTE).await.unwrap();
            let asleep = Duration::try_from(hour).unwrap();
            if suspended {
                sim.suspend("cp1", asleep).await;
            } else {
                sim.pause("cp1", asleep).await;
            }
            sim.elapse(Duration::from_millis(1)).await;
            assert_eq!(store.lease_status(7).await.is_err(), over, "{name} for an hour");
        });
    }
}

#[test]
fn a_lease_kept_alive_lives_on_and_begins_anew_after_a_restart() {
    simulated(async |sim, host| {
        let medium = Medium::default();
        let process = host.process("etcd");
        let store = memory_on(process.host(), &medium);
        assert_eq!(store.lease_grant(7, MINUTE).await.unwrap().id, 7);
        assert_eq!(store.lease_grant(7, MINUTE).await, Err(StoreError::LeaseExists { id: 7 }));
        let picked = store.lease_grant(0, MINUTE).await.unwrap();
        assert!(picked.id > 0);
        for _ in 0..3 {
            sim.elapse(Duration::from_secs(40)).await;
            assert_eq!(store.lease_keepalive(7).await, Ok(MINUTE));
        }
        assert!(store.lease_status(picked.id).await.is_err(), "the control: nobody kept this one");
        store.put_if("a".into(), "1".into(), 0, 7).await.unwrap();
        sim.elapse(Duration::from_secs(40)).await;
        process.kill().await;
        let store = memory_on(&host, &medium);
        let status = store.lease_status(7).await.unwrap();
        assert_eq!((status.granted, status.remaining, status.keys), (MINUTE, MINUTE, vec!["a".into()]));
        let missing = store.put_if("b".into(), "1".into(), 0, 8).await;
        assert_eq!(missing, Err(StoreError::LeaseNotFound { id: 8 }));
    });
}

/// The engine refuses the deletion: the keys stay, and it is tried again.
#[test]
fn an_expiry_that_fails_is_tried_again() {
    simulated(async |sim, host| {
        let medium = Medium::default();
        let store = memory_on(&host, &medium);
        store.lease_grant(7, MINUTE).await.unwrap();
        store.put_if("a".into(), "1".into(), 0, 7).await.unwrap();
        medium.fail(Some(StoreError::Full { path: "/d".into() }));
        sim.elapse(2 * MINUTE).await;
        assert!(store.get(b"a", None).await.unwrap().0.is_some());
        medium.fail(None);
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(store.get(b"a", None).await.unwrap(), (None, 3));
    });
}

/// While the engine takes a lease's end nobody is told that it lives, and no key is given to it; also where it has no
/// keys, and nothing else is under way. If the engine refuses, it lives on.
#[test]
fn a_lease_that_ends_is_not_found() {
    let gone = StoreError::LeaseNotFound { id: 7 };
    for (with_a_key, revoked) in [(true, false), (false, false), (true, true), (false, true)] {
        simulated(async |sim, host| {
            let what = format!("with a key: {with_a_key}, revoked: {revoked}");
            let medium = Medium::default();
            let store = memory_on(&host, &medium);
            store.lease_grant(7, MINUTE).await.unwrap();
            if with_a_key {
                store.put_if("a".into(), "1".into(), 0, 7).await.unwrap();
            }
            medium.hold(true);
            let revoking = revoked.then(|| {
                let store = store.clone();
                host.spawn(async move { store.lease_revoke(7).await })
            });
            sim.elapse(if revoked { MINUTE / 2 } else { MINUTE + MINUTE / 60 }).await;
            assert_eq!(store.lease_keepalive(7).await, Err(gone.clone()), "{what}");
            // It is taken at once, while whoever ends the lease has yet to hear that its turn has come.
            medium.hold(false);
            assert_eq!(store.put_if("b".into(), "1".into(), 0, 7).await, Err(gone.clone()), "{what}");
            sim.elapse(Duration::from_secs(1)).await;
            assert_eq!(store.lease_status(7).await, Err(gone.clone()), "{what}");
            assert_eq!(store.list(Range::all(), Default::default()).await.unwrap().count, 0, "{what}");
            if let Some(revoking) = revoking {
                assert!(revoking.join().await.unwrap().is_ok(), "{what}");
            }
        });
    }
    simulated(async |_, host| {
        let medium = Medium::default();
        let store = memory_on(&host, &medium);
        store.lease_grant(7, MINUTE).await.unwrap();
        medium.fail(Some(StoreError::Full { path: "/d".into() }));
        assert!(store.lease_revoke(7).await.is_err());
        assert_eq!(store.lease_keepalive(7).await, Ok(MINUTE), "its end was refused");
    });
}
