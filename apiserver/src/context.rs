//! What every stage of a request may need, in one place.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
};

use client::Rest;
use store::Store;
use tokio::sync::Notify;
use world::{Host, Mono};

use crate::{
    admission::Admission,
    allocate::Allocator,
    audit::Audit,
    authn::Authn,
    authz::Authz,
    callout::Callouts,
    catalog::Catalog,
    flow::Fairness,
    health::Health,
    hooks::HookBoard,
    informers::Informers,
    kubelets::Kubelets,
    managed_fields::Schemas,
    metrics::Metrics,
    options::Options,
    pipeline::{Delegate, Modes, Pages, Seats},
    registry::Leases,
    watch_cache::Caches,
};

/// Shared by all requests of one server.
pub type Ctx = Arc<Context>;

/// See the module.
#[allow(missing_docs, reason = "named as the things are")]
pub struct Context {
    pub host: Host,
    pub options: Arc<Options>,
    pub store: Arc<dyn Store>,
    pub catalog: Catalog,
    pub caches: Caches,
    pub authn: Authn,
    pub authz: Arc<Authz>,
    /// How users came to be others.
    pub modes: Modes,
    pub admission: Admission,
    pub informers: Arc<Informers>,
    /// The loopback client.
    pub rest: Rest,
    pub allocator: Allocator,
    pub kubelets: Kubelets,
    /// The webhooks that the server calls.
    pub(crate) callouts: Callouts,
    /// Types of custom resources, for managed fields.
    pub schemas: Schemas,
    /// Leases of the store for objects that end by themselves: events.
    pub leases: Leases,
    /// Priority and fairness, unless it is off.
    pub fairness: Option<Arc<Fairness>>,
    pub seats: Seats,
    pub metrics: Metrics,
    /// The audit log, if there is a policy and a place for it.
    pub audit: Option<Arc<Audit>>,
    pub health: Health,
    pub hooks: HookBoard,
    pub lifecycle: Lifecycle,
    /// Held by who changes the endpoints of the service `kubernetes`: one who comes and one who leaves take turns.
    pub(crate) endpoints_turn: tokio::sync::Mutex<()>,
    /// Who answers what is no resource; set once at start.
    pub pages: OnceLock<Vec<Arc<dyn Pages>>>,
    /// The aggregator, set once at start.
    pub delegate: OnceLock<Arc<dyn Delegate>>,
    /// `-v`: how much is logged.
    pub verbosity: AtomicU32,
    /// The port that the server listens on.
    pub port: u16,
    /// When the process started, by the clock that counts running time.
    pub started: Mono,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({:?})", self.host)
    }
}

/// Where the server is between its start and its end.
#[derive(Debug, Default)]
pub struct Lifecycle {
    installed: AtomicBool,
    stopping: AtomicBool,
    draining: AtomicBool,
    /// Requests in progress that are no streams.
    in_progress: AtomicUsize,
    watches: AtomicUsize,
    /// One of both counts has become nothing.
    idle: Notify,
}

/// A request in progress, until it is dropped.
#[derive(Debug)]
pub struct InProgress {
    ctx: Ctx,
    watch: bool,
}

impl InProgress {
    /// Counts one more request that is no stream.
    pub fn begin(ctx: &Ctx) -> Self {
        Self::count(ctx, false)
    }

    /// Counts one more watch.
    pub fn watch(ctx: &Ctx) -> Self {
        Self::count(ctx, true)
    }

    fn count(ctx: &Ctx, watch: bool) -> Self {
        ctx.lifecycle.counter(watch).fetch_add(1, Ordering::SeqCst);
        Self { ctx: ctx.clone(), watch }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let lifecycle = &self.ctx.lifecycle;
        let before = lifecycle.counter(self.watch).fetch_sub(1, Ordering::SeqCst);
        if before == 1 && lifecycle.is_draining() {
            lifecycle.idle.notify_waiters();
        }
    }
}

impl Lifecycle {
    /// All paths are known from now on: what is not found is not there.
    pub fn set_installed(&self) {
        self.installed.store(true, Ordering::SeqCst);
    }

    /// Whether all paths are known.
    pub fn is_installed(&self) -> bool {
        self.installed.load(Ordering::SeqCst)
    }

    /// Shutdown was asked for: not ready any more, still serving.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether shutdown was asked for.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// No new requests from now on.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    fn counter(&self, watch: bool) -> &AtomicUsize {
        if watch { &self.watches } else { &self.in_progress }
    }

    /// How many watches there are.
    pub fn watches(&self) -> usize {
        self.watches.load(Ordering::SeqCst)
    }

    /// Waits until no request is in progress but streams.
    pub async fn idle(&self) {
        self.none(&self.in_progress).await;
    }

    /// Waits until there is no watch.
    pub async fn watches_over(&self) {
        self.none(&self.watches).await;
    }

    async fn none(&self, counter: &AtomicUsize) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if counter.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Whether new requests are turned away.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}
