//! What hyper needs of a runtime, taken from the host: tasks of its process, timers of its clock.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt;
use parking_lot::Mutex;
use world::{Clock, Host};

/// Spawns hyper's own tasks into the host's process, so that they freeze and die with it.
#[derive(Clone)]
pub(crate) struct Executor(pub(crate) Host);

impl<F> rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// The host's monotonic clock in hyper's terms.
#[derive(Clone)]
pub(crate) struct Timer {
    clock: Clock,
    /// Stands for the moment when the host was switched on.
    origin: Instant,
}

impl Timer {
    #[allow(
        clippy::disallowed_methods,
        reason = "hyper wants an Instant; only differences from this one are used"
    )]
    pub(crate) fn new(host: &Host) -> Self {
        Self { clock: host.clock().clone(), origin: Instant::now() }
    }
}

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        let (clock, deadline) = (self.clock.clone(), self.clock.monotonic() + duration);
        Box::pin(Nap(Mutex::new(Box::pin(async move { clock.sleep_until(deadline).await }))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(rt::Timer::now(self)))
    }

    fn now(&self) -> Instant {
        self.origin + self.clock.monotonic().since_boot()
    }
}

/// hyper asks for `Sync`; the mutex is never contended, it only grants that.
struct Nap(Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().as_mut().poll(cx)
    }
}

impl rt::Sleep for Nap {}
