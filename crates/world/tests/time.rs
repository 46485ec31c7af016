//! What each of the six time operations does to wall time, monotonic time and tasks (DESIGN's table).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use world::{
    Looks, Periods,
    sim::{Config, Sim, run},
};

const HOUR: Duration = Duration::from_secs(3600);

fn in_sim<F: Future<Output = ()>>(story: impl FnOnce(Sim) -> F) {
    run(Config::default(), story).expect("a runtime");
}

/// Seconds that host `a`'s clocks and a control host's moved, and how often a task of `a` that
/// ticks every minute ran, while `operation` was carried out.
async fn observe<F: Future<Output = ()>>(sim: &Sim, operation: impl FnOnce(Sim) -> F) -> (i64, u64, u64) {
    let host = sim.host("a");
    let ticks = Arc::new(AtomicU64::new(0));
    let (counter, ticker) = (ticks.clone(), host.clone());
    host.spawn(async move {
        loop {
            ticker.clock().sleep(Duration::from_secs(60)).await;
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    // Half a tick off the grid, so that no tick falls on an edge of the operation.
    sim.elapse(Duration::from_secs(30)).await;
    let (wall, mono, ran) = (host.clock().wall(), host.clock().monotonic(), ticks.load(Ordering::SeqCst));
    operation(sim.clone()).await;
    (
        host.clock().wall().duration_since(wall).as_secs(),
        host.clock().monotonic().since(mono).as_secs(),
        ticks.load(Ordering::SeqCst) - ran,
    )
}

fn check<F: Future<Output = ()>>(operation: impl FnOnce(Sim) -> F, wall: i64, mono: u64, ticks: u64) {
    in_sim(async |sim| {
        assert_eq!(observe(&sim, operation).await, (wall, mono, ticks), "(wall s, monotonic s, ticks)")
    });
}

#[test]
fn elapse_moves_everything() {
    check(async |sim| sim.elapse(HOUR).await, 3600, 3600, 60);
}

#[test]
fn step_moves_the_wall_only() {
    check(async |sim| sim.step("a", SignedDuration::from_hours(24 * 365)), 365 * 86_400, 0, 0);
    check(async |sim| sim.step("a", SignedDuration::from_hours(-2)), -7200, 0, 0);
}

#[test]
fn suspend_stops_monotonic_time_and_tasks() {
    // A minute before the end, too: nothing catches up on resume.
    check(async |sim| sim.suspend("a", HOUR).await, 3600, 0, 0);
}

#[test]
fn pause_stops_tasks_only() {
    check(async |sim| sim.pause("a", HOUR).await, 3600, 3600, 0);
}

#[test]
fn one_operation_within_another_ends_with_the_longer_of_them() {
    // Suspended for an hour; within it paused, or suspended, for half an hour that ends first, or last.
    let within = async |sim: &Sim, inner: bool, waits: u64| {
        sim.elapse(Duration::from_secs(waits)).await;
        match inner {
            true => sim.suspend("a", HOUR / 2).await,
            false => sim.pause("a", HOUR / 2).await,
        }
    };
    for (inner, waits, lasts, monotonic) in
        [(false, 600, 3600, 0), (true, 600, 3600, 0), (false, 3000, 4800, 1200), (true, 3000, 4800, 0)]
    {
        check(
            async |sim| {
                tokio::join!(sim.suspend("a", HOUR), within(&sim, inner, waits));
            },
            lasts,
            monotonic,
            0,
        );
    }
}

#[test]
fn how_long_a_clock_needs_to_an_instant_is_known_whatever_its_rate() {
    in_sim(async |sim| {
        let (host, days) = (sim.host("a"), SignedDuration::from_hours(24 * 300));
        for ppm in [0, 100, -100, 1_000_000] {
            sim.drift("a", ppm);
            let instant = host.clock().wall() + days;
            let left = sim.until_wall("a", instant).expect("it is to come").expect("it runs");
            sim.elapse(left).await;
            let late = host.clock().wall().duration_since(instant);
            assert!(late.abs() <= SignedDuration::from_millis(2), "{ppm} ppm: {late:?}");
        }
        let now = host.clock().wall();
        assert_eq!(sim.until_wall("a", now - SignedDuration::from_secs(1)), Err(now));
        sim.freeze("a");
        assert_eq!(sim.until_wall("a", now + days), Ok(None));
    });
}

#[test]
fn after_a_pause_the_overdue_timer_fires_once_and_after_a_suspend_not_yet() {
    let after = async |sim: Sim, suspended: bool| {
        observe(&sim, async |sim: Sim| {
            match suspended {
                true => sim.suspend("a", HOUR).await,
                false => sim.pause("a", HOUR).await,
            }
            sim.elapse(Duration::from_secs(1)).await;
        })
        .await
        .2
    };
    in_sim(async |sim| assert_eq!(after(sim, false).await, 1, "paused: the tick that fell due comes late"));
    in_sim(async |sim| assert_eq!(after(sim, true).await, 0, "suspended: its time has not come"));
}

#[test]
fn drift_changes_the_rate_of_both_clocks() {
    // 1000 ppm over 1000 s is one second.
    let thousand = Duration::from_secs(1000);
    check(
        async |sim| {
            sim.drift("a", 1000);
            sim.elapse(thousand).await;
        },
        1001,
        1001,
        17,
    );
    check(
        async |sim| {
            sim.drift("a", -1000);
            sim.elapse(thousand).await;
        },
        999,
        999,
        17,
    );
}

#[test]
fn a_drifting_sleeper_wakes_when_its_own_clock_says_so() {
    in_sim(async |sim| {
        let (fast, good) = (sim.host("fast"), sim.host("good"));
        sim.drift("fast", 100_000);
        let began = good.clock().monotonic();
        fast.clock().sleep(Duration::from_secs(110)).await;
        assert_eq!(good.clock().monotonic().since(began), Duration::from_secs(100));
    });
}

#[test]
fn freeze_stops_the_wall_only_and_thaw_goes_on_from_there() {
    check(
        async |sim| {
            sim.freeze("a");
            sim.elapse(HOUR).await;
        },
        0,
        3600,
        60,
    );
    check(
        async |sim| {
            sim.freeze("a");
            sim.elapse(HOUR).await;
            sim.thaw("a");
            sim.elapse(HOUR).await;
        },
        3600,
        7200,
        120,
    );
}

#[test]
fn no_operation_touches_another_host() {
    in_sim(async |sim| {
        let other = sim.host("b");
        let (wall, mono) = (other.clock().wall(), other.clock().monotonic());
        sim.step("a", SignedDuration::from_hours(1));
        sim.drift("a", 500);
        sim.freeze("a");
        sim.suspend("a", HOUR).await;
        assert_eq!(other.clock().wall().duration_since(wall), SignedDuration::from_hours(1));
        assert_eq!(other.clock().monotonic().since(mono), HOUR);
    });
}

#[test]
fn a_wall_step_does_not_wake_a_monotonic_sleeper() {
    in_sim(async |sim| {
        let host = sim.host("a");
        let sleeper = host.clone();
        let task = host.spawn(async move {
            sleeper.clock().sleep(HOUR).await;
            sleeper.clock().monotonic()
        });
        let began = host.clock().monotonic();
        sim.elapse(Duration::from_secs(1)).await;
        sim.step("a", SignedDuration::from_hours(24 * 365));
        sim.elapse(HOUR - Duration::from_secs(2)).await;
        assert!(!task.is_finished(), "one second before its time the sleeper sleeps");
        let woke = task.join().await.expect("not killed");
        assert_eq!(woke.since(began), HOUR);
    });
}

#[test]
fn a_suspended_sleeper_needs_its_rest_afterwards() {
    in_sim(async |sim| {
        let host = sim.host("a");
        let (sleeper, began) = (host.clone(), sim.host("b").clock().monotonic());
        let task = host.spawn(async move { sleeper.clock().sleep(HOUR).await });
        sim.elapse(HOUR / 2).await;
        sim.suspend("a", HOUR * 10).await;
        task.join().await;
        assert_eq!(sim.host("b").clock().monotonic().since(began), HOUR * 11);
    });
}

#[test]
fn timeouts_keep_the_hosts_time() {
    in_sim(async |sim| {
        let clock = sim.host("a").clock().clone();
        let never = std::future::pending::<()>();
        assert!(clock.timeout(HOUR, never).await.is_err());
        assert_eq!(clock.timeout(HOUR, async { 7 }).await, Ok(7));
    });
}

#[test]
fn a_year_of_sleep_is_one_sleep() {
    in_sim(async |sim| {
        let host = sim.host("a");
        let began = host.clock().wall();
        host.clock().sleep(HOUR * 24 * 366 * 10).await;
        assert_eq!(host.clock().wall().duration_since(began).as_hours(), 24 * 366 * 10);
    });
}

#[test]
fn who_waits_for_its_turn_hears_that_the_pace_changed() {
    let config = Config { periods: Periods::sparse(), ..Config::default() };
    run(config, async |sim| {
        let host = sim.host("a");
        let began = host.clock().monotonic();
        let worker = host.clone();
        let turns = host.spawn(async move {
            let mut turns = Vec::new();
            for _ in 0..3 {
                worker.recur(Duration::from_secs(10)).await;
                turns.push(worker.clock().monotonic().since(began));
            }
            turns
        });
        sim.elapse(HOUR).await;
        assert!(!turns.is_finished(), "its turn comes once a week");
        sim.set_periods(Periods::upstream());
        let overdue_then_every_ten_seconds = [0, 10, 20].map(|s| HOUR + Duration::from_secs(s));
        assert_eq!(turns.join().await.expect("not killed"), overdue_then_every_ten_seconds);
    })
    .expect("a runtime");
}

/// Who looks at a file every minute sees at 02:00 what was written at 01:30, however much the world is stretched; and
/// where it is, does not look while nothing happens.
#[test]
fn a_replaced_file_is_noticed_at_the_next_look_at_any_pace() {
    for (periods, looked_for_nothing) in [(Periods::upstream(), 60), (Periods::sparse(), 0)] {
        run(Config { periods, ..Config::default() }, async |sim: Sim| {
            let host = sim.host("a");
            let mut looks = Looks::new(&host, Duration::from_secs(60));
            let (count, noticed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            let (counter, when, looker) = (count.clone(), noticed.clone(), host.clone());
            let began = host.clock().monotonic();
            host.spawn(async move {
                loop {
                    looks.next().await;
                    counter.fetch_add(1, Ordering::SeqCst);
                    if looker.disk().exists("/new") && when.load(Ordering::SeqCst) == 0 {
                        when.store(looker.clock().monotonic().since(began).as_secs(), Ordering::SeqCst);
                    }
                }
            });
            sim.elapse(HOUR + Duration::from_secs(30)).await;
            assert_eq!(count.load(Ordering::SeqCst), looked_for_nothing, "{periods:?}");
            host.disk().write("/new", b"", 0o600).expect("written");
            sim.elapse(Duration::from_secs(29)).await;
            assert_eq!(noticed.load(Ordering::SeqCst), 0, "{periods:?}");
            sim.elapse(Duration::from_secs(2)).await;
            assert_eq!(noticed.load(Ordering::SeqCst), 3660, "{periods:?}");
        })
        .expect("a runtime");
    }
}
