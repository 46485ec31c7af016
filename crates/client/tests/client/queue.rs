//! The work queue against a model, and the workers around it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use client::{Bucket, Next, QueueOptions, WorkQueue, run_workers};
use parking_lot::Mutex;
use proptest::prelude::*;
use world::{Host, sim};

const MS: Duration = Duration::from_millis(1);

fn run<F, Fut>(story: F) -> Fut::Output
where
    F: FnOnce(sim::Sim, Host) -> Fut,
    Fut: Future,
{
    sim::run(sim::Config::default(), |sim| {
        let host = sim.host("h");
        story(sim, host)
    })
    .unwrap()
}

fn plain() -> QueueOptions {
    QueueOptions { bucket: None, ..QueueOptions::default() }
}

#[test]
fn a_key_waits_once_and_is_never_in_two_hands() {
    run(|_, host| async move {
        let queue = WorkQueue::new(&host, plain());
        queue.add("a");
        queue.add("b");
        queue.add("a");
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.get().await.as_deref(), Some("a"));
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.len(), 1, "a is in work: it waits outside of the queue");
        assert_eq!(queue.get().await.as_deref(), Some("b"));
        queue.done("a");
        assert_eq!(queue.get().await.as_deref(), Some("a"), "what came during the work comes again");
        queue.done("a");
        queue.done("b");
        assert!(queue.is_empty() && queue.is_idle());
        queue.done("never got");
        assert!(queue.is_idle());
    });
}

#[test]
fn the_earlier_of_two_delays_counts() {
    run(|sim, host| async move {
        let queue = WorkQueue::new(&host, plain());
        queue.add_after("a", 500 * MS);
        queue.add_after("a", 200 * MS);
        queue.add_after("a", 900 * MS);
        queue.add_after("b", 300 * MS);
        queue.add_after("now", Duration::ZERO);
        let clock = host.clock().clone();
        let mut got = Vec::new();
        for _ in 0..3 {
            let key = queue.get().await.unwrap();
            got.push((key.clone(), clock.monotonic().since_boot().as_millis()));
            queue.done(&key);
        }
        assert_eq!(got, [("now".to_owned(), 0), ("a".to_owned(), 200), ("b".to_owned(), 300)]);
        sim.elapse(Duration::from_secs(5)).await;
        assert!(queue.is_idle(), "the later delays of a are gone");
    });
}

#[test]
fn retries_wait_longer_and_the_bucket_spreads_them() {
    run(|_, host| async move {
        let queue = WorkQueue::new(&host, plain());
        let mut at = Vec::new();
        for _ in 0..6 {
            queue.add_rate_limited("a");
            let key = queue.get().await.unwrap();
            at.push(host.clock().monotonic().since_boot().as_millis());
            queue.done(&key);
        }
        assert_eq!(at, [5, 15, 35, 75, 155, 315]);
        assert_eq!(queue.requeues("a"), 6);
        queue.forget("a");
        assert_eq!(queue.requeues("a"), 0);
    });
    run(|_, host| async move {
        let queue = WorkQueue::new(&host, QueueOptions { bucket: Some(Bucket::new(10.0, 3)), ..plain() });
        (0..6).for_each(|n| queue.add_rate_limited(format!("k{n}")));
        let mut at = Vec::new();
        for _ in 0..6 {
            let key = queue.get().await.unwrap();
            at.push((key.clone(), host.clock().monotonic().since_boot().as_millis()));
            queue.done(&key);
        }
        let at: Vec<(&str, u128)> = at.iter().map(|(k, t)| (k.as_str(), *t)).collect();
        assert_eq!(at, [("k0", 5), ("k1", 5), ("k2", 5), ("k3", 100), ("k4", 200), ("k5", 300)]);
    });
}

#[test]
fn a_queue_that_is_shut_down_is_emptied_and_takes_nothing() {
    run(|_, host| async move {
        let queue = WorkQueue::new(&host, plain());
        queue.add("a");
        queue.add_after("later", MS);
        let waiting = {
            let queue = queue.clone();
            host.spawn(async move { (queue.get().await, queue.get().await, queue.get().await) })
        };
        queue.shut_down();
        queue.add("b");
        queue.add_after("c", MS);
        assert_eq!(waiting.join().await, Some((Some("a".to_owned()), None, None)));
        assert!(queue.is_shut_down());
    });
}

#[test]
fn a_suspended_host_does_not_count_down() {
    run(|sim, host| async move {
        let queue = WorkQueue::new(&host, plain());
        queue.add_after("a", Duration::from_secs(10));
        sim.elapse(Duration::from_secs(1)).await;
        sim.suspend("h", Duration::from_secs(3600)).await;
        sim.elapse(Duration::from_secs(5)).await;
        assert!(queue.is_empty());
        sim.elapse(Duration::from_secs(5)).await;
        assert_eq!(queue.len(), 1);
    });
}

#[test]
fn workers_act_on_outcomes() {
    run(|sim, host| async move {
        let queue = WorkQueue::new(&host, plain());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let workers = {
            let (calls, clock) = (calls.clone(), host.clock().clone());
            run_workers(&host, 2, &queue, move |key| {
                let count = {
                    let mut calls = calls.lock();
                    calls.push((key.clone(), clock.monotonic().since_boot().as_millis()));
                    calls.iter().filter(|(k, _)| *k == key).count()
                };
                async move {
                    match (key.as_str(), count) {
                        ("fails twice", 1 | 2) => Err("no".to_owned()),
                        ("again", 1) => Ok(Next::After(Duration::from_secs(1))),
                        ("not yet", 1) => Ok(Next::Retry),
                        _ => Ok(Next::OnChange),
                    }
                }
            })
        };
        ["fails twice", "again", "not yet", "fine"].iter().for_each(|k| queue.add(*k));
        sim.elapse(Duration::from_secs(5)).await;
        let of = |key: &str| -> Vec<u128> {
            calls.lock().iter().filter(|(k, _)| k == key).map(|(_, at)| *at).collect()
        };
        assert_eq!(of("fails twice"), [0, 5, 15]);
        assert_eq!(of("again"), [0, 1000]);
        assert_eq!(of("not yet"), [0, 5]);
        assert_eq!(of("fine"), [0]);
        assert_eq!(queue.requeues("fails twice"), 0, "success forgets");
        assert!(queue.is_idle());
        let retries = sim.events().into_iter().filter(|e| e.kind == "retry").count();
        assert_eq!(retries, 2);
        queue.shut_down();
        for worker in workers {
            assert_eq!(worker.join().await, Some(()));
        }
    });
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8),
    AddAfter(u8, u16),
    Work,
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u8..5).prop_map(Step::Add),
        2 => (0_u8..5, 1_u16..100).prop_map(|(k, d)| Step::AddAfter(k, d)),
        3 => Just(Step::Work),
        2 => (1_u16..50).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nothing that was added is forgotten, nothing is handed out twice at a time, and a key that was
    /// added after it was handed out is handed out again.
    #[test]
    fn no_work_is_lost_or_doubled(steps in steps()) {
        let outcome = run(|sim, host| async move {
            let queue = WorkQueue::new(&host, plain());
            let held = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
            let starts = Arc::new(Mutex::new(BTreeMap::<String, u64>::new()));
            // Each worker takes as many steps as the script says, and works for 7 ms on a key.
            let (permits, taken) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(Mutex::new(Ok(()))));
            for _ in 0..3 {
                let (queue, held, starts) = (queue.clone(), held.clone(), starts.clone());
                let (permits, taken, clock) = (permits.clone(), taken.clone(), host.clock().clone());
                host.spawn(async move {
                    loop {
                        permits.acquire().await.unwrap().forget();
                        let Some(key) = queue.get().await else { return };
                        let now = held.lock().entry(key.clone()).and_modify(|n| *n += 1).or_insert(1).to_owned();
                        if now > 1 {
                            *taken.lock() = Err(format!("{key} is in two hands"));
                        }
                        let at = clock.monotonic().since_boot().as_millis() as u64;
                        starts.lock().insert(key.clone(), at);
                        clock.sleep(7 * MS).await;
                        held.lock().entry(key.clone()).and_modify(|n| *n -= 1);
                        queue.done(&key);
                    }
                });
            }
            let mut wanted = BTreeMap::<String, u64>::new();
            for step in steps {
                let now = host.clock().monotonic().since_boot().as_millis() as u64;
                match step {
                    Step::Add(k) => {
                        queue.add(k.to_string());
                        wanted.entry(k.to_string()).and_modify(|w| *w = (*w).max(now)).or_insert(now);
                    }
                    Step::AddAfter(k, d) => {
                        queue.add_after(k.to_string(), u32::from(d) * MS);
                        wanted.entry(k.to_string()).and_modify(|w| *w = (*w).max(now)).or_insert(now);
                    }
                    Step::Work => permits.add_permits(1),
                    Step::Wait(ms) => sim.elapse(u32::from(ms) * MS).await,
                }
            }
            permits.add_permits(1000);
            sim.elapse(Duration::from_secs(10)).await;
            let idle = queue.is_idle();
            let starts = starts.lock().clone();
            (taken.lock().clone(), idle, wanted, starts)
        });
        let (taken, idle, wanted, starts) = outcome;
        prop_assert_eq!(taken, Ok(()));
        prop_assert!(idle);
        for (key, since) in wanted {
            let last = starts.get(&key).copied();
            prop_assert!(last.is_some_and(|at| at >= since), "{key}: added at {since}, last worked on at {last:?}");
        }
    }
}
