//! One priority level: so many seats, and for those who find none a queue for each flow, in turns.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use api::object::ObjectExt;
use http::HeaderValue;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;
use world::Clock;

/// Why nobody was seated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The level does not queue.
    ConcurrencyLimit,
    /// The flow's queue is full.
    QueueFull,
    /// The turn did not come in time.
    TimeOut,
}

impl Rejection {
    pub(super) const ALL: [Self; 3] = [Self::ConcurrencyLimit, Self::QueueFull, Self::TimeOut];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::QueueFull => "queue-full",
            Self::TimeOut => "time-out",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Level {
    pub name: String,
    pub uid: HeaderValue,
    pub exempt: bool,
    /// Seats that are always its own.
    pub nominal: usize,
    /// With what the others may lend.
    pub most: usize,
    /// How many of a flow may wait; `None`: nobody waits.
    pub queue_length: Option<usize>,
    /// Seats taken on all levels, and how many there are.
    pub all: Arc<AtomicUsize>,
    pub total: usize,
    state: Mutex<State>,
    pub dispatched: AtomicU64,
    pub rejected: [AtomicU64; 3],
}

#[derive(Debug, Default)]
struct State {
    executing: usize,
    /// Who waits, by flow; the flows in the order of their turns.
    flows: BTreeMap<String, VecDeque<oneshot::Sender<Seat>>>,
    turns: VecDeque<String>,
}

impl State {
    /// The first of the flow whose turn it is; that flow's next turn comes after all others'.
    fn next(&mut self) -> Option<oneshot::Sender<Seat>> {
        while let Some(flow) = self.turns.pop_front() {
            let Some(queue) = self.flows.get_mut(&flow) else { continue };
            let first = queue.pop_front();
            if queue.is_empty() {
                self.flows.remove(&flow);
            } else {
                self.turns.push_back(flow);
            }
            if first.is_some() {
                return first;
            }
        }
        None
    }
}

/// A taken seat; the next one's when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Option<Arc<Level>>);

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(level) = self.0.take() {
            level.free();
        }
    }
}

impl Level {
    /// A level by its object, with its part of all `total` seats.
    pub(super) fn read(object: &Value, shares: Shares, total: usize, all: &Arc<AtomicUsize>) -> Self {
        let exempt = object.str_at("/spec/type") == "Exempt";
        let queues = object.str_at("/spec/limited/limitResponse/type") == "Queue";
        let length = object.i64_at("/spec/limited/limitResponse/queuing/queueLengthLimit").unwrap_or(50);
        Self {
            name: object.name().to_owned(),
            uid: HeaderValue::from_str(object.uid()).unwrap_or(HeaderValue::from_static("")),
            exempt,
            nominal: shares.nominal,
            most: shares.most,
            queue_length: queues.then(|| usize::try_from(length).unwrap_or(0)),
            all: all.clone(),
            total,
            state: Mutex::default(),
            dispatched: AtomicU64::new(0),
            rejected: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Executing and waiting.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.executing, state.flows.values().map(VecDeque::len).sum())
    }

    /// How many wait in each flow.
    pub(super) fn queues(&self) -> Vec<(String, usize)> {
        self.state.lock().flows.iter().map(|(flow, queue)| (flow.clone(), queue.len())).collect()
    }

    fn has_room(&self, executing: usize) -> bool {
        self.exempt
            || executing < self.nominal
            || executing < self.most && self.all.load(Relaxed) < self.total
    }

    fn take(self: &Arc<Self>, state: &mut State) -> Seat {
        state.executing += 1;
        if !self.exempt {
            self.all.fetch_add(1, Relaxed);
        }
        self.dispatched.fetch_add(1, Relaxed);
        Seat(Some(self.clone()))
    }

    fn free(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.executing -= 1;
        if !self.exempt {
            self.all.fetch_sub(1, Relaxed);
        }
        while self.has_room(state.executing) {
            let Some(waiter) = state.next() else { break };
            let seat = self.take(&mut state);
            if let Err(mut unwanted) = waiter.send(seat) {
                // Whoever waited has gone. Not by its drop: the lock is held.
                unwanted.0 = None;
                state.executing -= 1;
                self.all.fetch_sub(1, Relaxed);
                self.dispatched.fetch_sub(1, Relaxed);
            }
        }
    }

    /// A seat now or when the flow's turn has come, within `patience`.
    pub(super) async fn seat(
        self: &Arc<Self>,
        flow: impl FnOnce() -> String,
        clock: &Clock,
        patience: Duration,
    ) -> Result<Seat, Rejection> {
        let waiting = {
            let mut state = self.state.lock();
            // Whoever gave up waiting keeps nobody from an idle level.
            state.flows.retain(|_, queue| {
                queue.retain(|waiter| !waiter.is_closed());
                !queue.is_empty()
            });
            let State { flows, turns, .. } = &mut *state;
            turns.retain(|flow| flows.contains_key(flow));
            if self.has_room(state.executing) && state.turns.is_empty() {
                return Ok(self.take(&mut state));
            }
            let Some(length) = self.queue_length else {
                return Err(self.reject(Rejection::ConcurrencyLimit));
            };
            let flow = flow();
            let queue = state.flows.entry(flow.clone()).or_default();
            queue.retain(|waiter| !waiter.is_closed());
            if queue.len() >= length {
                return Err(self.reject(Rejection::QueueFull));
            }
            let (sender, receiver) = oneshot::channel();
            let first = queue.is_empty();
            queue.push_back(sender);
            if first && !state.turns.contains(&flow) {
                state.turns.push_back(flow);
            }
            receiver
        };
        match clock.timeout(patience, waiting).await {
            Ok(Ok(seat)) => Ok(seat),
            _ => Err(self.reject(Rejection::TimeOut)),
        }
    }

    fn reject(&self, why: Rejection) -> Rejection {
        if let Some(count) = self.rejected.get(why as usize) {
            count.fetch_add(1, Relaxed);
        }
        why
    }
}

/// A level's part of all seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    pub nominal: usize,
    pub most: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn level(nominal: usize, most: usize, total: usize, queue: Option<usize>) -> Arc<Level> {
        let response = match queue {
            Some(length) => json!({ "type": "Queue", "queuing": { "queueLengthLimit": length } }),
            None => json!({ "type": "Reject" }),
        };
        let object = json!({ "metadata": { "name": "l", "uid": "u" },
            "spec": { "type": "Limited", "limited": { "limitResponse": response } } });
        Arc::new(Level::read(&object, Shares { nominal, most }, total, &Arc::default()))
    }

    #[test]
    fn flows_take_turns_and_one_that_gave_up_loses_its_place() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let host = sim.host("cp");
            let level = level(1, 1, 1, Some(10));
            let order = Arc::<Mutex<Vec<String>>>::default();
            let clock = host.clock().clone();
            let first = level.seat(|| "heavy".to_owned(), &clock, Duration::from_secs(9)).await.unwrap();
            for (flow, patience) in [("heavy", 9), ("heavy", 1), ("heavy", 9), ("light", 9)] {
                let (level, order, clock) = (level.clone(), order.clone(), clock.clone());
                let _ = host.spawn(async move {
                    let patience = Duration::from_secs(patience);
                    let seat = level.seat(|| flow.to_owned(), &clock, patience).await;
                    order.lock().push(format!("{flow} {}", seat.is_ok()));
                });
                sim.elapse(Duration::from_millis(1)).await;
            }
            assert_eq!(level.load(), (1, 4));
            sim.elapse(Duration::from_secs(2)).await;
            drop(first);
            sim.elapse(Duration::from_millis(1)).await;
            assert_eq!(*order.lock(), ["heavy false", "heavy true", "light true", "heavy true"]);
            assert_eq!(level.load(), (0, 0));
            assert_eq!(level.all.load(Relaxed), 0);
        })
        .unwrap();
    }

    #[test]
    fn who_finds_no_seat_is_told_why() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let clock = sim.host("cp").clock().clone();
            let check = async |level: Arc<Level>, seats: usize, expected: Option<Rejection>| {
                let mut held = Vec::new();
                for _ in 0..seats {
                    held.push(level.seat(String::new, &clock, Duration::ZERO).await.unwrap());
                }
                let last = level.seat(String::new, &clock, Duration::from_millis(5)).await;
                assert_eq!(last.err(), expected, "{level:?}");
            };
            check(level(2, 2, 9, None), 1, None).await;
            check(level(2, 2, 9, None), 2, Some(Rejection::ConcurrencyLimit)).await;
            check(level(2, 2, 9, Some(0)), 2, Some(Rejection::QueueFull)).await;
            check(level(2, 2, 9, Some(1)), 2, Some(Rejection::TimeOut)).await;
            // What the others leave is lent, up to the whole server's limit.
            check(level(2, 4, 9, None), 3, None).await;
            check(level(2, 4, 9, None), 4, Some(Rejection::ConcurrencyLimit)).await;
            check(level(2, 4, 3, None), 3, Some(Rejection::ConcurrencyLimit)).await;
        })
        .unwrap();
    }
}
