//! Threads beside the runtime's own, each with a runtime that runs what is given to it and nothing else.
//!
//! A runtime of many threads wakes a second one for nearly every task that becomes ready, in case there is more to do;
//! for a request, whose parts wait for each other, that is a third of its time. On a lane a connection and its requests
//! are one thread's, and nobody else is woken for them.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot};

/// Deep values are read and written by recursion.
const STACK: usize = 8 << 20;

/// See the module. The threads end when this is dropped.
pub(crate) struct Lanes {
    handles: Vec<Handle>,
    next: AtomicUsize,
    _running: Vec<oneshot::Sender<()>>,
}

impl Lanes {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// The operating system gives none.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let (mut handles, mut running) = (Vec::new(), Vec::new());
        for n in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let (run, over) = oneshot::channel::<()>();
            running.push(run);
            let lane = thread::Builder::new().name(format!("lane-{n}")).stack_size(STACK);
            lane.spawn(move || {
                let _ = runtime.block_on(over);
                runtime.shutdown_background();
            })?;
        }
        Ok(Self { handles, next: AtomicUsize::new(0), _running: running })
    }

    /// The lane of that number; there are fewer than numbers.
    pub(crate) fn lane(&self, number: usize) -> Option<&Handle> {
        self.handles.get(number % self.handles.len().max(1))
    }

    /// One after the other.
    pub(crate) fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}
