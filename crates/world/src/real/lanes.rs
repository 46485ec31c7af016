//! Threads beside the runtime's own, each with a runtime that runs what is given to it and nothing else.
//!
//! A runtime of many threads wakes a second one for nearly every task that becomes ready, in case there is more to do;
//! for a request, whose parts wait for each other, that is a third of its time. On a lane a connection and its requests
//! are one thread's, and nobody else is woken for them.
//!
//! A lane that has just worked looks for more during [`LINGER`] before it sleeps: a client that asks one thing after
//! another has its next request here before that, and waking a sleeping thread takes longer than answering.
//!
//! A task that blocks has a lane to itself, which does not linger and ends with it.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

/// Deep values are read and written by recursion.
const STACK: usize = 8 << 20;
/// How long a lane stays awake without work: about the time of one request and its answer.
const LINGER: Duration = Duration::from_micros(100);

/// See the module. The threads end when this is dropped.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    next: AtomicUsize,
    _running: Vec<oneshot::Sender<()>>,
}

impl Lanes {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// The operating system gives none.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let (mut lanes, mut running) = (Vec::new(), Vec::new());
        for n in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let pulse = Arc::new(Pulse::new());
            lanes.push(Lane { handle: runtime.handle().clone(), pulse: Some(pulse.clone()), last: None });
            let (run, over) = oneshot::channel::<()>();
            running.push(run);
            let lane = thread::Builder::new().name(format!("lane-{n}")).stack_size(STACK);
            lane.spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        biased;
                        _ = over => {}
                        () = pulse.linger() => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        }
        Ok(Self { lanes, next: AtomicUsize::new(0), _running: running })
    }

    /// The lane of that number; there are fewer than numbers.
    pub(crate) fn lane(&self, number: usize) -> Option<&Lane> {
        self.lanes.get(number % self.lanes.len().max(1))
    }

    /// One after the other.
    pub(crate) fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// One of the threads.
#[derive(Clone)]
pub(crate) struct Lane {
    handle: Handle,
    pulse: Option<Arc<Pulse>>,
    /// When the last of these is dropped, the thread ends.
    last: Option<Arc<oneshot::Sender<()>>>,
}

impl Lane {
    /// A thread for what is spawned on it now, and no longer.
    ///
    /// # Errors
    /// The operating system gives none.
    pub(crate) fn apart(name: &str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (last, gone) = oneshot::channel::<()>();
        let lane = Self { handle: runtime.handle().clone(), pulse: None, last: Some(Arc::new(last)) };
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _ = runtime.block_on(gone);
            runtime.shutdown_background();
        })?;
        Ok(lane)
    }

    /// Runs `future` as a task on this thread.
    #[allow(clippy::disallowed_methods, reason = "called by `Host::spawn_on`, through which all tasks go")]
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + Unpin + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(Felt { future, pulse: self.pulse.clone(), _last: self.last.clone() })
    }
}

/// When a lane last worked.
struct Pulse {
    began: Instant,
    /// Nanoseconds after `began`.
    last: AtomicU64,
    worked: Notify,
}

impl Pulse {
    #[allow(clippy::disallowed_methods, reason = "the real gear's clock is the system's")]
    fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), worked: Notify::new() }
    }

    fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        self.worked.notify_one();
    }

    fn idle(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_nanos(self.last.load(Ordering::Relaxed)))
    }

    /// Keeps the thread that runs this awake until [`LINGER`] after each piece of work.
    async fn linger(&self) {
        loop {
            self.worked.notified().await;
            while self.idle() < LINGER {
                // The client that is waited for may be waiting for this core.
                thread::yield_now();
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A task whose work is felt.
struct Felt<F> {
    future: F,
    pulse: Option<Arc<Pulse>>,
    _last: Option<Arc<oneshot::Sender<()>>>,
}

impl<F: Future + Unpin> Future for Felt<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = Pin::new(&mut self.future).poll(cx);
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
        polled
    }
}
