//! Two candidates, one leader; and the moments in which clocks lie.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::leader::{Election, ElectionError, LeaderElector, Lost};
use jiff::SignedDuration;
use parking_lot::Mutex;
use world::{Host, Periods};

use crate::fake::{World, rest, run};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/manager";

/// A candidate on its own host that notes when it leads and when it no longer does.
struct Candidate {
    host: Host,
    log: Arc<Mutex<Vec<(f64, &'static str)>>>,
}

fn candidate(world: &World, name: &str) -> Candidate {
    candidate_with(world, name, |election| election)
}

fn candidate_with(world: &World, name: &str, set: impl Fn(Election) -> Election) -> Candidate {
    let host = world.sim.host(name);
    let log = Arc::new(Mutex::new(Vec::new()));
    let election =
        set(Election { identity: name.to_owned(), ..Election::new(&host, "kube-system", "manager") });
    let elector = LeaderElector::new(&host, &rest(&host, client::Auth::None), election).unwrap();
    let (to, clock) = (log.clone(), world.sim.host("server").clock().clone());
    host.spawn(async move {
        let now = move || clock.monotonic().since_boot().as_secs_f64();
        let (inside, at) = (to.clone(), now.clone());
        let outcome = elector
            .run(|| async move {
                inside.lock().push((at(), "leads"));
                std::future::pending::<()>().await;
            })
            .await;
        assert_eq!(outcome, Err(Lost));
        to.lock().push((now(), "lost"));
    });
    Candidate { host, log }
}

impl Candidate {
    fn words(&self) -> Vec<&'static str> {
        self.log.lock().iter().map(|(_, what)| *what).collect()
    }

    fn when(&self, what: &str) -> f64 {
        self.log.lock().iter().find(|(_, w)| *w == what).unwrap_or_else(|| panic!("never {what}")).0
    }
}

#[test]
fn the_first_leads_and_renews_every_two_seconds() {
    run(|world| async move {
        let a = candidate(&world, "a");
        world.elapse(1.0).await;
        let b = candidate(&world, "b");
        world.elapse(60.0).await;
        assert_eq!((a.words(), b.words()), (vec!["leads"], vec![]));
        let lease = world.fake.object(LEASE).unwrap();
        assert_eq!(lease.str_at("/spec/holderIdentity"), "a");
        assert_eq!(lease.i64_at("/spec/leaseDurationSeconds"), Some(15));
        assert_eq!(lease.i64_at("/spec/leaseTransitions"), Some(0));
        assert_eq!(lease.str_at("/spec/acquireTime"), "2026-01-01T00:00:00.000000Z");
        assert_eq!(lease.str_at("/spec/renewTime"), "2026-01-01T00:01:00.000000Z");
        // In peace a renewal is one request; its limit is half of the deadline.
        let seen = world.fake.seen();
        let puts: Vec<f64> = seen.iter().filter(|s| s.line.starts_with("PUT")).map(|s| s.at).collect();
        assert!(puts.windows(2).all(|w| (w[1] - w[0] - 2.0).abs() < 0.01), "{puts:?}");
        assert!(seen.iter().all(|s| s.line.ends_with("?timeout=5s")), "{}", seen[0].line);
        // The other looks every 2 s to 4.4 s.
        let looks: Vec<f64> =
            seen.iter().filter(|s| s.line.starts_with("GET")).map(|s| s.at).skip(2).collect();
        assert!(looks.windows(2).all(|w| (2.0..4.41).contains(&(w[1] - w[0]))), "{looks:?}");
    });
}

#[test]
fn a_hasty_candidate_waits_as_long_as_the_record_says_if_it_reads_it() {
    for heeds_record in [true, false] {
        run(move |world| async move {
            let s = Duration::from_secs;
            let patient = |election| Election {
                lease_duration: s(60),
                renew_deadline: s(40),
                retry_period: s(20),
                ..election
            };
            let a = candidate_with(&world, "a", patient);
            world.elapse(1.0).await;
            let b = candidate_with(&world, "b", |election| Election { heeds_record, ..election });
            world.elapse(90.0).await;
            let expect =
                if heeds_record { (vec!["leads"], vec![]) } else { (vec!["leads", "lost"], vec!["leads"]) };
            assert_eq!((a.words(), b.words()), expect, "the record says a minute: {heeds_record}");
        });
    }
}

#[test]
fn a_dead_leader_is_followed_after_its_lease() {
    run(|world| async move {
        let host = world.sim.host("a");
        let process = host.process("manager");
        let election = Election { identity: "a".into(), ..Election::new(&host, "kube-system", "manager") };
        let elector =
            LeaderElector::new(process.host(), &rest(process.host(), client::Auth::None), election).unwrap();
        process.host().spawn(async move { elector.run(std::future::pending::<()>).await });
        world.elapse(1.0).await;
        let b = candidate(&world, "b");
        world.elapse(30.0).await;
        process.kill().await;
        world.elapse(40.0).await;
        // 15 s after the last renewal that b saw, at the next look.
        let took = b.when("leads") - 31.0;
        assert!((11.0..22.0).contains(&took), "{took}");
        let lease = world.fake.object(LEASE).unwrap();
        assert_eq!(lease.str_at("/spec/holderIdentity"), "b");
        assert_eq!(lease.i64_at("/spec/leaseTransitions"), Some(1));
    });
}

#[test]
fn a_leader_without_a_server_gives_up_after_its_deadline() {
    run(|world| async move {
        let a = candidate(&world, "a");
        world.elapse(5.0).await;
        world.fake.down().await;
        world.elapse(30.0).await;
        let gave_up = a.when("lost") - 5.0;
        assert!((9.0..12.1).contains(&gave_up), "{gave_up}");
        assert_eq!(
            world.fake.object(LEASE).unwrap().str_at("/spec/holderIdentity"),
            "a",
            "nothing is released"
        );
    });
}

/// What a suspended or paused leader finds when it comes back, and how long two believed to lead.
async fn back_from_the_dark(world: World, pause: bool) -> f64 {
    let a = candidate(&world, "a");
    world.elapse(1.0).await;
    let b = candidate(&world, "b");
    world.elapse(30.0).await;
    assert_eq!(a.words(), ["leads"]);
    let dark = Duration::from_secs(600);
    if pause {
        world.sim.pause("a", dark).await;
    } else {
        world.sim.suspend("a", dark).await;
    }
    let woke = world.sim.host("server").clock().monotonic().since_boot().as_secs_f64();
    assert_eq!(b.words(), ["leads"], "b took over in the dark");
    assert_eq!(a.words(), ["leads"], "and a does not know yet");
    world.elapse(60.0).await;
    assert_eq!(a.words(), ["leads", "lost"]);
    assert_eq!(b.words(), ["leads"]);
    assert_eq!(world.fake.object(LEASE).unwrap().str_at("/spec/holderIdentity"), "b");
    assert_eq!(a.host.name(), "a");
    a.when("lost") - woke
}

#[test]
fn a_suspended_leader_believes_for_up_to_its_deadline() {
    // Its monotonic clock stood still: ten more seconds of trying are left.
    let believed = run(|world| back_from_the_dark(world, false));
    assert!((5.0..12.1).contains(&believed), "{believed}");
}

#[test]
fn a_paused_leader_stops_sooner() {
    // Its monotonic clock ran: either the deadline has passed, or it finds out within one.
    let believed = run(|world| back_from_the_dark(world, true));
    assert!(believed < 12.1, "{believed}");
}

#[test]
fn wall_clocks_do_not_matter() {
    run(|world| async move {
        world.sim.step("a", SignedDuration::from_hours(-5));
        let a = candidate(&world, "a");
        world.elapse(1.0).await;
        world.sim.step("b", SignedDuration::from_hours(100));
        let b = candidate(&world, "b");
        world.elapse(60.0).await;
        world.sim.step("a", SignedDuration::from_hours(48));
        world.sim.step("b", SignedDuration::from_hours(-48));
        world.elapse(60.0).await;
        assert_eq!((a.words(), b.words()), (vec!["leads"], vec![]));
    });
}

/// The stretched pace is a world's, not the record's: what was written during weeks holds nobody up afterwards.
#[test]
fn a_world_that_slows_down_changes_no_leader_and_waits_for_a_dead_one_as_upstream() {
    for heeds_record in [true, false] {
        run(move |world| async move {
            world.sim.set_periods(Periods::sparse());
            let set = |election| Election { heeds_record, ..election };
            let a = candidate_with(&world, "a", set);
            world.elapse(1.0).await;
            let b = candidate_with(&world, "b", set);
            world.elapse(40.0 * 86_400.0).await;
            let lease = world.fake.object(LEASE).unwrap();
            assert_eq!(lease.i64_at("/spec/leaseDurationSeconds"), Some(15), "as at any pace");
            world.sim.set_periods(Periods::upstream());
            world.elapse(60.0).await;
            assert_eq!(
                (a.words(), b.words()),
                (vec!["leads"], vec![]),
                "the leader was well: {heeds_record}"
            );
            world.sim.suspend("a", Duration::from_secs(25)).await;
            assert_eq!(b.words(), ["leads"], "fifteen seconds and a look later: {heeds_record}");
        });
    }
}

#[test]
fn times_that_cannot_work() {
    run(|world| async move {
        let election = Election::new(&world.host, "kube-system", "manager");
        let check = |election: Election, error: ElectionError| {
            assert_eq!(LeaderElector::new(&world.host, &world.rest, election).err(), Some(error));
        };
        let s = Duration::from_secs;
        check(Election { renew_deadline: s(15), ..election.clone() }, ElectionError::LeaseTooShort);
        check(Election { retry_period: s(9), ..election.clone() }, ElectionError::DeadlineTooShort);
        check(Election { retry_period: s(0), ..election.clone() }, ElectionError::NoRetryPeriod);
        assert!(election.identity.starts_with("client_"), "{}", election.identity);
    });
}

#[test]
fn what_it_leads_is_stopped_and_its_end_is_returned() {
    run(|world| async move {
        let election = Election::new(&world.host, "kube-system", "manager");
        let elector = LeaderElector::new(&world.host, &world.rest, election).unwrap();
        let clock = world.host.clock().clone();
        let outcome = elector.run(|| async move {
            clock.sleep(Duration::from_secs(100)).await;
            "done"
        });
        assert_eq!(outcome.await, Ok("done"));
        assert!(elector.is_leader());
        assert_eq!(elector.leader().as_deref(), Some(elector.identity()));
    });
}
