//! Who writes at the same time shares an append, in even groups: nobody goes alone while all the others wait. And who
//! is alone waits for nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use store::{Engine, Image, Limits, Mvcc, Record, Store, StoreError};
use world::{Clock, sim};

const APPEND: Duration = Duration::from_millis(10);

/// Takes its time for each append, and remembers how many records each had.
struct Slow {
    clock: Clock,
    groups: Arc<Mutex<Vec<usize>>>,
}

#[async_trait]
impl Engine for Slow {
    async fn load(&self) -> Result<Image, StoreError> {
        Ok(Image::default())
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), StoreError> {
        self.groups.lock().push(records.len());
        self.clock.sleep(APPEND).await;
        Ok(())
    }

    fn size(&self) -> u64 {
        0
    }

    fn name(&self) -> &'static str {
        "slow"
    }
}

/// So many writers write so often, each as soon as it is answered and a little after the one before it; gives the
/// groups that came of it and how long all took.
fn groups(writers: usize, writes: usize) -> (Vec<usize>, Duration) {
    sim::run(sim::Config::default(), |sim| async move {
        let host = sim.host("cp1");
        let groups = Arc::new(Mutex::default());
        let engine = Slow { clock: host.clock().clone(), groups: Arc::clone(&groups) };
        let store = Arc::new(Mvcc::open(&host, engine, Limits::default()).await.unwrap());
        let began = host.clock().monotonic();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let store = store.clone();
                host.spawn(async move {
                    for _ in 0..writes {
                        // In the simulated gear what comes later within a millisecond comes later in the queue.
                        for _ in 0..3 * writer {
                            tokio::task::yield_now().await;
                        }
                        store.put(format!("/{writer}").into(), "x".into()).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.join().await.unwrap();
        }
        let took = host.clock().monotonic().since(began);
        let groups = groups.lock().clone();
        (groups, took)
    })
    .unwrap()
}

#[test]
fn who_writes_at_the_same_time_goes_in_even_groups() {
    let (groups, _) = groups(32, 20);
    assert_eq!(groups.iter().sum::<usize>(), 32 * 20, "each write once");
    // The first few show how many there are, the last few are whoever is left.
    let settled = &groups[4..groups.len() - 4];
    assert!(settled.iter().all(|group| (12..=20).contains(group)), "about half of 32: {groups:?}");
}

#[test]
fn who_is_alone_waits_for_nobody() {
    let (groups, took) = groups(1, 20);
    assert_eq!((groups, took), (vec![1; 20], APPEND * 20));
}
