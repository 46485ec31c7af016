//! The processes on a host and the tasks in them: a task freezes with its host and dies with its process.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Gear, Host, real::Lane};

/// A process of a host. Dropping the handle lets the process run on.
#[derive(Clone, Debug)]
pub struct Process {
    host: Host,
}

impl Process {
    pub(crate) fn of(host: Host) -> Self {
        Self { host }
    }

    /// The host as seen from inside this process.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// SIGKILL: aborts every task of the process and of those that it has started, and waits until they are gone. What they
    /// own (listeners, connections) is closed then.
    pub async fn kill(&self) {
        let below = self.host.group().descendants();
        self.host.group().kill();
        self.ended().await;
        // In the simulated gear no time passes until they are gone, and a wait would change whose turn it is.
        if self.host.gear() == Gear::Real {
            for group in below {
                group.ended().await;
            }
        }
    }

    /// Waits until the process has no task left.
    pub async fn ended(&self) {
        self.host.group().ended().await;
    }

    /// Whether it said [`Host::started`].
    pub fn has_started(&self) -> bool {
        self.host.group().has_started()
    }
}

/// A running task.
#[derive(Debug)]
pub struct Task<T>(tokio::task::JoinHandle<Option<T>>);

impl<T> Task<T> {
    /// Stops the task at its next await.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The task's output; `None` if it was aborted, its process was killed, or it panicked.
    pub async fn join(self) -> Option<T> {
        self.0.await.ok().flatten()
    }
}

pub(crate) struct Group {
    name: String,
    /// Kept alive, so that init finds what a process left behind that has ended long since.
    _parent: Option<Arc<Group>>,
    /// When no task is left. A Notify wakes in the order of waiting; a watch channel would wake in a random one.
    emptied: Notify,
    started: AtomicBool,
    state: Mutex<GroupState>,
}

#[derive(Default)]
struct GroupState {
    killed: bool,
    next: u64,
    tasks: BTreeMap<u64, Option<tokio::task::AbortHandle>>,
    children: Vec<std::sync::Weak<Group>>,
}

struct Member {
    group: Arc<Group>,
    id: Option<u64>,
}

impl Group {
    pub(crate) fn new(name: impl Into<String>, parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            _parent: parent,
            emptied: Notify::new(),
            started: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    pub(crate) fn start(&self) {
        self.started.store(true, Ordering::SeqCst);
    }

    fn has_started(&self) -> bool {
        self.started.load(Ordering::SeqCst)
    }

    pub(crate) async fn ended(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.state.lock().tasks.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Its children, theirs, and so on.
    pub(crate) fn descendants(&self) -> Vec<Arc<Self>> {
        let mut all: Vec<_> =
            self.state.lock().children.iter().filter_map(std::sync::Weak::upgrade).collect();
        let below: Vec<_> = all.iter().flat_map(|child| child.descendants()).collect();
        all.extend(below);
        all
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `future` as a task of this process, on `lane` if one is given; polled only while the gate is open.
    pub(crate) fn spawn<F>(self: &Arc<Self>, gate: Gate, future: F, lane: Option<Lane>) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (member, id) = Self::enter(self);
        let gated = Gated { gate, inner: Some(Box::pin(future)), killed: id.is_none(), _member: member };
        #[allow(
            clippy::disallowed_methods,
            reason = "the one place where a task is born; all else goes through here"
        )]
        let handle = match lane {
            Some(lane) => lane.spawn(gated),
            None => tokio::spawn(gated),
        };
        if let Some(id) = id {
            self.attach(id, handle.abort_handle());
        }
        Task(handle)
    }

    fn enter(this: &Arc<Self>) -> (Member, Option<u64>) {
        let mut state = this.state.lock();
        if state.killed {
            return (Member { group: this.clone(), id: None }, None);
        }
        let id = state.next;
        state.next += 1;
        state.tasks.insert(id, None);
        drop(state);
        (Member { group: this.clone(), id: Some(id) }, Some(id))
    }

    fn attach(&self, id: u64, handle: tokio::task::AbortHandle) {
        let mut state = self.state.lock();
        if state.killed {
            handle.abort();
        } else if let Some(slot) = state.tasks.get_mut(&id) {
            *slot = Some(handle);
        }
    }

    pub(crate) fn adopt(&self, child: &Arc<Group>) {
        let mut state = self.state.lock();
        state.children.retain(|c| c.strong_count() > 0);
        state.children.push(Arc::downgrade(child));
        if state.killed {
            child.kill();
        }
    }

    pub(crate) fn kill(&self) {
        let (tasks, children) = {
            let mut state = self.state.lock();
            state.killed = true;
            (state.tasks.values().flatten().cloned().collect::<Vec<_>>(), std::mem::take(&mut state.children))
        };
        tasks.iter().for_each(tokio::task::AbortHandle::abort);
        children.iter().filter_map(std::sync::Weak::upgrade).for_each(|c| c.kill());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let empty = {
                let mut state = self.group.state.lock();
                state.tasks.remove(&id);
                state.tasks.is_empty()
            };
            if empty {
                self.group.emptied.notify_waiters();
            }
        }
    }
}

/// While closed, no task of the host is polled: a suspended or paused machine. Whoever closes it opens it: a machine that
/// is suspended while it is paused goes on when both are over.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<GateState>>);

#[derive(Default)]
struct GateState {
    closers: u32,
    waiting: Vec<Waker>,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.0.lock().closers += 1;
    }

    pub(crate) fn open(&self) {
        let waiting = {
            let mut state = self.0.lock();
            state.closers = state.closers.saturating_sub(1);
            if state.closers > 0 {
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().closers == 0
    }

    fn passes(&self, cx: &Context<'_>) -> bool {
        let mut state = self.0.lock();
        let passes = state.closers == 0;
        if !passes {
            state.waiting.push(cx.waker().clone());
        }
        passes
    }
}

struct Gated<F: Future> {
    gate: Gate,
    inner: Option<Pin<Box<F>>>,
    killed: bool,
    _member: Member,
}

impl<F: Future> Future for Gated<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.killed {
            self.inner = None;
            return Poll::Ready(None);
        }
        if !self.gate.passes(cx) {
            return Poll::Pending;
        }
        match self.inner.as_mut() {
            Some(inner) => inner.as_mut().poll(cx).map(Some),
            None => Poll::Ready(None),
        }
    }
}
