//! The whole server: from options to a listener, and back.

mod authentication;
mod issuer;
mod tls;

use std::{
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use issuer::Issuer;
use pki::PublicKey;
use store::{Store, StoreError};
use wire::ServeOptions;
use world::{Exit, Host, ListenError};

use crate::{
    admission::{Admission, ConfigFile, Enabled, PluginFlags, Setup},
    aggregator::{self, Aggregator, Delegation},
    allocate::Allocator,
    audit::Audit,
    authn::Authn,
    authz::{Authz, Configuration},
    callout::{Callouts, Services},
    catalog::Catalog,
    context::{Context, Ctx, Lifecycle},
    discovery::Discovery,
    flow::{Fairness, FlowPage},
    health::Health,
    hooks::{self, HookBoard},
    informers::Informers,
    kubelets::Kubelets,
    logs::Logs,
    loopback::{Loopback, LoopbackError},
    managed_fields::Schemas,
    metrics::{Metrics, MetricsPage},
    openapi::{OpenApi, Swagger},
    options::{Backend, Options, REGISTRY},
    pipeline::{Modes, Pages, Pipeline, Seats},
    registry::Leases,
    version::Version,
    watch_cache::Caches,
    zpages::ZPages,
};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file that a flag names cannot be used.
    #[error("--{flag} {}: {why}", path.display())]
    File {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The port is taken, or the address is not ours.
    #[error("failed to create listener: failed to listen on {}: {error}", error.at)]
    Listen {
        /// The evidence.
        #[source]
        error: ListenError,
    },
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The loopback client.
    #[error("{0}")]
    Loopback(#[from] LoopbackError),
    /// Flags that do not go together, or name what does not exist.
    #[error("{0}")]
    Flags(String),
}

/// A running apiserver. Dropping the handle lets it run on; it dies with its process.
pub struct Server {
    ctx: Ctx,
    wire: wire::Server,
    local: SocketAddr,
    loopback: Loopback,
    process: world::Process,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.local)
    }
}

impl Server {
    /// Starts a server on `host`. Returns as soon as it listens; [`Server::ready`] waits for the
    /// rest. With `store` given, the backend that the options name is not opened.
    ///
    /// # Errors
    /// What is wrong with the flags, the files, the port or the store. Nothing is left running.
    pub async fn start(
        host: &Host,
        options: Options,
        store: Option<Arc<dyn Store>>,
    ) -> Result<Self, StartError> {
        // A process of its own, so that a start that fails leaves nothing behind.
        let process = host.process(host.actor());
        match Box::pin(start(process.host(), &process, options, store)).await {
            Ok(server) => Ok(server),
            Err(error) => {
                process.kill().await;
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The loopback certificate, for display.
    pub fn loopback_certificate(&self) -> Option<&pki::Certificate> {
        self.loopback.certificate()
    }

    /// What all requests share: for tests and for what is built around the server.
    pub fn context(&self) -> &Ctx {
        &self.ctx
    }

    /// Waits until `/readyz` is ok.
    ///
    /// # Errors
    /// A hook failed, which is the end of the server.
    pub async fn ready(&self) -> Result<(), String> {
        let hooks = &self.ctx.hooks;
        hooks.wait_until(|board| board.all_done() || board.failure().is_some()).await;
        if let Some(failure) = hooks.failure() {
            return Err(failure);
        }
        while !self.ctx.health.is_ready(&self.ctx).await {
            // Hooks are done; what may be left is the store, and it can only be asked again.
            self.ctx.host.clock().sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Waits until a hook fails, for those who must then end.
    pub async fn failed(&self) -> String {
        let hooks = &self.ctx.hooks;
        hooks.wait_until(|board| board.failure().is_some()).await;
        hooks.failure().unwrap_or_default()
    }

    /// Ends gracefully: not ready, out of the endpoints, no new requests, those in progress finish,
    /// everything closed. Watches end as soon as nothing new is taken.
    pub async fn shutdown(self) {
        let ctx = &self.ctx;
        tracing::info!("[graceful-termination] shutdown event name=\"ShutdownInitiated\"");
        ctx.lifecycle.set_stopping();
        let withdraw = async {
            hooks::kubernetes_service::withdraw(ctx).await;
            hooks::identity_lease::release(ctx).await;
        };
        let clock = ctx.host.clock();
        let delay = clock.sleep(ctx.options.shutdown_delay);
        let ((), _) = futures::join!(delay, clock.timeout(Duration::from_secs(2), withdraw));
        tracing::info!("[graceful-termination] shutdown event name=\"NotAcceptingNewRequest\"");
        ctx.lifecycle.set_draining();
        if !ctx.options.shutdown_send_retry_after {
            self.wire.stop_listening();
        }
        let requests = clock.timeout(ctx.options.request_timeout, ctx.lifecycle.idle());
        let ((), _) = futures::join!(end_watches(ctx), requests);
        tracing::info!("[graceful-termination] shutdown event name=\"InFlightRequestsDrained\"");
        if let Some(audit) = &ctx.audit {
            audit.shutdown().await;
        }
        ctx.rest.http().close_connections();
        self.wire.shutdown(&ctx.host, DRAIN).await;
        tracing::info!("[graceful-termination] apiserver is exiting");
        self.process.kill().await;
    }
}

/// Watches end at this pace at least while the server ends.
const WATCHES_PER_SECOND: f64 = 200.0;
/// Where they end one after the other, some end at once.
const STEP: Duration = Duration::from_millis(100);

/// Ends the watches: at once, or by `--shutdown-watch-termination-grace-period` one after the other, so that
/// their clients do not all come at the same moment to the servers that are left.
async fn end_watches(ctx: &Ctx) {
    let grace = ctx.options.shutdown_watch_termination_grace_period;
    if grace.is_zero() {
        ctx.caches.end_watches(usize::MAX);
        return;
    }
    let rate = (ctx.lifecycle.watches() as f64 / grace.as_secs_f64()).max(WATCHES_PER_SECOND);
    let some = (rate * STEP.as_secs_f64()).ceil() as usize;
    let clock = ctx.host.clock();
    let drained = async {
        while ctx.caches.end_watches(some) > 0 {
            clock.sleep(STEP).await;
        }
        ctx.lifecycle.watches_over().await;
    };
    if clock.timeout(grace, drained).await.is_err() {
        let left = ctx.lifecycle.watches();
        tracing::info!("[graceful-termination] {left} active watch request(s) have not drained in {grace:?}");
    }
}

/// Other streams do not end by themselves, so this is what a shutdown costs when clients do not go.
const DRAIN: Duration = Duration::from_secs(2);

async fn start(
    host: &Host,
    process: &world::Process,
    options: Options,
    store: Option<Arc<dyn Store>>,
) -> Result<Server, StartError> {
    let (now, started) = (host.clock().wall(), host.clock().monotonic());
    let options = Arc::new(options);
    let authorizers = Configuration::load(host.disk(), &options).map_err(StartError::Flags)?;
    let plugins = plugins(host, &options)?;
    let at = SocketAddr::new(options.bind_address, options.secure_port);
    let listener = host.net().listen(at).await.map_err(|error| StartError::Listen { error })?;
    let local = listener.local_addr();
    let loopback = Loopback::new(host, &options, local.port(), now)?;
    let tls = tls::serving(host, &options, &loopback)?;
    let (authentication, keys) = authentication::config(host, &options, loopback.token())?;
    let proxies = authentication.request_headers.as_ref().map(|front| &front.ca);
    let authorities: Vec<_> = authentication.client_ca.iter().chain(proxies).cloned().collect();
    let store = match store {
        Some(store) => store,
        None => open(host, &options).await?,
    };

    let audit = Audit::from_options(host, &options)
        .map_err(|(flag, path, why)| StartError::File { flag, path, why })?
        .map(Arc::new);
    let total = options.max_requests_inflight + options.max_mutating_requests_inflight;
    let fairness =
        (options.enable_priority_and_fairness && total > 0).then(|| Arc::new(Fairness::new(total)));
    let metrics = Metrics::new(host, loopback.tally.clone());
    let store = metrics.store(host, store);
    let runtime = options.runtime_config.clone();
    let catalog = Catalog::builtin().only(|group, version| runtime.serves(group, version));
    let caches = Caches::start(host, store.clone(), &catalog.all());
    let rest = loopback.rest.clone();
    let informers = Arc::new(Informers::start(host, &rest, |group, version| runtime.serves(group, version)));
    let authz = Authz::start(host, &options, authorizers, &informers).map_err(StartError::Flags)?;
    let authn = Authn::new(host, authentication, &informers, &rest);
    let facts = options.profile.loopback();
    let setup = Setup { catalog: catalog.clone(), ..plugins };
    let callouts = Callouts::new(host, options.profile.go(), Services::new(host, &informers));
    let admission = Admission::new(host, &informers, &rest, authz.clone(), setup)
        .map_err(|e| StartError::Flags(e.to_string()))?
        .calling(&callouts);
    let ctx: Ctx = Arc::new(Context {
        admission,
        callouts,
        allocator: Allocator::new(host, &options, store.clone(), &rest, informers.clone()),
        kubelets: Kubelets::new(host, &options, informers.clone()),
        schemas: Schemas::default(),
        leases: Leases::new(options.event_ttl),
        fairness: fairness.clone(),
        seats: Seats::new(options.max_requests_inflight, options.max_mutating_requests_inflight),
        health: Health::new(
            options.profile.health_paths(),
            facts.livez_check.then_some(facts.max_age),
            options.livez_grace_period,
        ),
        metrics,
        audit,
        hooks: HookBoard::default(),
        lifecycle: Lifecycle::default(),
        endpoints_turn: tokio::sync::Mutex::default(),
        pages: OnceLock::new(),
        delegate: OnceLock::new(),
        host: host.clone(),
        options: options.clone(),
        verbosity: options.verbosity.into(),
        port: local.port(),
        started,
        store,
        catalog,
        caches,
        authn,
        authz,
        modes: Modes::default(),
        informers,
        rest,
    });
    let aggregator = Aggregator::new(host, &ctx.options, ctx.informers.clone());
    let _ = ctx.pages.set(pages(&ctx, &keys, &aggregator));
    let _ = ctx.delegate.set(Arc::new(Delegation::new(host, aggregator.backends.clone())));
    ctx.lifecycle.set_installed();
    let mut serve = ServeOptions::tls_at(move |local| tls::for_handshake(&tls, &authorities, local));
    serve.max_streams = options.http2_max_streams;
    serve.go = options.profile.go();
    serve.handshake_errors = ctx.metrics.handshake_errors.clone();
    let wire = wire::Server::spawn(host, listener, serve, Arc::new(Pipeline(ctx.clone())));
    if options.insecure_port != 0 {
        let at = SocketAddr::new(options.insecure_bind_address, options.insecure_port);
        let listener = host.net().listen(at).await.map_err(|error| StartError::Listen { error })?;
        tracing::info!("Serving insecurely on {at}");
        // It dies with the process; nobody takes leave of those who came without a name.
        wire::Server::spawn(host, listener, ServeOptions::plain(), Arc::new(Pipeline(ctx.clone())));
    }
    hooks::start(&ctx);
    aggregator::start(&ctx, &aggregator);
    tracing::info!("Serving securely on {local}");
    Ok(Server { ctx, wire, local, loopback, process: process.clone() })
}

/// Which admission plugins are on, and what their configuration says.
fn plugins(host: &Host, options: &Options) -> Result<Setup, StartError> {
    let flags = PluginFlags {
        enable: &options.enable_admission_plugins,
        disable: &options.disable_admission_plugins,
        list: options.admission_control.as_deref(),
    };
    let enabled = Enabled::of(options.profile, flags).map_err(|e| StartError::Flags(e.to_string()))?;
    let enabled = enabled.for_profile(options);
    let config = ConfigFile::read(host, options.admission_config_file.as_deref(), enabled.names())
        .map_err(|e| StartError::Flags(e.to_string()))?;
    let gates = options.feature_gates.iter().filter_map(|gate| gate.split_once('='));
    Ok(Setup {
        config,
        profile: options.profile,
        gates: gates.map(|(gate, open)| (gate.to_owned(), open == "true")).collect(),
        tolerations: options.default_toleration_seconds,
        ..Setup::from(enabled)
    })
}

/// Who answers what is no resource.
fn pages(ctx: &Ctx, keys: &[PublicKey], aggregator: &Aggregator) -> Vec<Arc<dyn Pages>> {
    let address = SocketAddr::new(ctx.options.advertised(ctx.host.net().address()), ctx.port).to_string();
    let jwks = ctx.options.service_account_jwks_uri.clone().unwrap_or_else(|| {
        let external = ctx.options.external_hostname.as_ref().map(|name| format!("{name}:{}", ctx.port));
        format!("https://{}{}", external.as_ref().unwrap_or(&address), issuer::KEYS)
    });
    let open_api = OpenApi::new(ctx.catalog.clone(), ctx.options.profile).merging(aggregator.clone());
    let open_api = Arc::new(open_api);
    let mut pages: Vec<Arc<dyn Pages>> = vec![
        Arc::new(Discovery::new(
            ctx.catalog.clone(),
            ctx.informers.clone(),
            aggregator.remotes.clone(),
            address,
        )),
        Arc::new(open_api.clone()),
        Arc::new(ZPages::new(&ctx.options, ctx.host.clock())),
        Arc::new(Version::new(ctx.options.profile)),
        Arc::new(MetricsPage(Arc::downgrade(ctx))),
        Arc::new(Issuer::new(&ctx.options.service_account_issuers, &jwks, keys)),
    ];
    if let Some(fairness) = &ctx.fairness {
        pages.push(Arc::new(FlowPage(fairness.clone())));
    }
    if let Some(swagger) = Swagger::of_profile(ctx.options.profile, ctx.catalog.clone(), open_api) {
        pages.push(Arc::new(swagger));
    }
    if ctx.options.enable_logs_handler {
        pages.push(Arc::new(Logs(ctx.host.disk().clone())));
    }
    pages
}

async fn open(host: &Host, options: &Options) -> Result<Arc<dyn Store>, StartError> {
    let store = match &options.backend {
        Backend::Memory => store::memory(host),
        Backend::Sled(dir) => store::sled(host, dir).await?,
        Backend::Etcd { endpoints, ca, certificate, key } => store::etcd(
            host,
            &store::EtcdOptions {
                endpoints: endpoints.clone(),
                ca: ca.clone(),
                cert: certificate.clone(),
                key: key.clone(),
                go: options.profile.go(),
            },
        )?,
    };
    let prefix = &options.etcd_prefix;
    Ok(if prefix == REGISTRY { store } else { store::moved(store, REGISTRY, prefix.clone()) })
}

/// kube-apiserver as a program: flags in, exit status out.
pub async fn run(host: Host, args: Vec<String>) -> Exit {
    run_until(host, args, std::future::pending()).await
}

/// As [`run`], until `stop` says that it is to end, which it then does gracefully.
pub async fn run_until(host: Host, args: Vec<String>, stop: impl Future<Output = ()>) -> Exit {
    let options = match Options::parse(&args) {
        Ok(options) => options,
        Err(error) => return Exit::Failure(error.to_string()),
    };
    let server = match Server::start(&host, options, None).await {
        Ok(server) => server,
        Err(error) => return Exit::Failure(error.to_string()),
    };
    host.started();
    let failure = async {
        if server.ready().await.is_ok() {
            host.notify("READY=1");
        }
        server.failed().await
    };
    tokio::select! {
        biased;
        why = failure => return Exit::Failure(why),
        () = stop => {}
    }
    server.shutdown().await;
    Exit::Success
}
