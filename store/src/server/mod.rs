//! The etcd pod: etcd's v3 API over mutual TLS, on any [`Store`], with etcd's own flags.
//!
//! In the simulated gear the members of one `--initial-cluster` share one history: `server::cluster` says what
//! that model holds and what it leaves out (elections most of all). In the real gear a member is alone:
//! `--initial-cluster` may name others, nobody asks them. On the peer URLs it tells who the members are, and nothing else.

mod api;
mod cluster;
mod flags;
mod given;
mod health;
mod help;
mod kv;
mod lease;
mod members;
mod rpc;
mod tls;
mod watch;
mod window;

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use wire::{Body, Handler, Peer, ServeOptions, Server};
use world::{Exit, Host, ListenError};

use crate::{Store, StoreError};
use api::Api;
use cluster::Member;
pub use flags::{Options, Tls, Url, UsageError};
pub use help::help;
pub use window::Window;

/// Why a member did not start. Each is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The flags.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The data directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A port.
    #[error("{0}; {hint}", hint = if .0.in_use { "another program serves there: stop it, or use another port" } else { "name an address of this host, and a port that it may use" })]
    Listen(ListenError),
    /// A certificate, key or CA file.
    #[error("open {file}: {why}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A TLS setting that cannot be had.
    #[error(transparent)]
    Tls(#[from] pki::UnsupportedTls),
    /// The member and its cluster do not fit together.
    #[error(
        "{0}; look at --initial-cluster and --initial-cluster-state, or add the member anew and empty --data-dir"
    )]
    Membership(String),
}

/// A running member. Dropping the handle lets it run on; it dies with its process.
#[derive(Debug)]
pub struct Running {
    servers: Vec<Server>,
    clients: Vec<SocketAddr>,
    member: Weak<Member>,
}

impl Running {
    /// Where it serves clients.
    pub fn client_addresses(&self) -> &[SocketAddr] {
        &self.clients
    }

    /// Stops serving; waits at most `grace` for requests in progress.
    pub async fn shutdown(self, host: &Host, grace: Duration) {
        let servers = self.servers.into_iter().map(|server| server.shutdown(host, grace));
        futures::future::join_all(servers).await;
    }
}

/// How long a removed member serves on (`stopWithDelay` of ten heartbeats).
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Upstream's words (server/etcdserver/raft.go), and the system's.
const SYNC_FAILED: &str = "failed to save Raft hard state and entries: sync: input/output error";

/// The program: reads the flags, opens the data directory, serves until its process is killed or its member is
/// removed from the cluster.
///
/// In the real gear the data is in sled below `<data-dir>/member`. In the simulated gear it is in memory,
/// kept by the disks of all members at the same path: a restarted pod finds it; when the last member's directory is
/// removed, it is gone.
pub async fn run(host: Host, args: Vec<String>) -> Exit {
    match start(&host, &args).await {
        Ok(running) => {
            host.started();
            tokio::select! {
                biased;
                () = running.sync_failed() => return Exit::Failure(SYNC_FAILED.to_owned()),
                () = running.removed() => {}
            }
            // Whoever asked for it still gets an answer.
            host.clock().sleep(LAST_WORDS).await;
            tracing::error!("{}", cluster::REMOVED);
            Exit::Success
        }
        Err(e) => Exit::Failure(e.to_string()),
    }
}

impl Running {
    /// Waits until the member is removed from its cluster; for ever where members are alone.
    async fn removed(&self) {
        match self.member.upgrade() {
            Some(member) => member.removed().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until a sync of the member's disk has failed; for ever where members are alone, whose store refuses to write
    /// from then on.
    async fn sync_failed(&self) {
        match self.member.upgrade() {
            Some(member) => member.sync_failed().await,
            None => std::future::pending().await,
        }
    }
}

/// [`run`] up to the point where it serves.
///
/// # Errors
/// See [`StartError`].
pub async fn start(host: &Host, args: &[String]) -> Result<Running, StartError> {
    let options = Options::parse(args)?;
    let Some(commons) = host.commons() else {
        let store = crate::sled_with(host, options.data_dir.join("member"), options.limits).await?;
        return serve(host, options, store).await;
    };
    let member = Arc::new(Member::boot(host, commons, &options).await?);
    serve_member(host, options, member.clone(), Some(member)).await
}

/// Serves `store` as the flags say, without other members.
///
/// # Errors
/// A port is taken, or a file cannot be used.
pub async fn serve(host: &Host, options: Options, store: Arc<dyn Store>) -> Result<Running, StartError> {
    serve_member(host, options, store, None).await
}

async fn serve_member(
    host: &Host,
    options: Options,
    store: Arc<dyn Store>,
    member: Option<Arc<Member>>,
) -> Result<Running, StartError> {
    let client_tls = tls::source(host, &options.client_tls, &options)?;
    let peer_tls = tls::source(host, &options.peer_tls, &options)?;
    let api = Arc::new(Api::new(host, options, store, member));
    let mut running = Running {
        servers: Vec::new(),
        clients: Vec::new(),
        member: api.member.as_ref().map_or_else(Weak::new, Arc::downgrade),
    };
    let clients = Clients(api.clone());
    let client_handler: Arc<dyn Handler> = Arc::new(clients);
    let metrics: Arc<dyn Handler> = Arc::new(Metrics(api.clone()));
    let peers: Arc<dyn Handler> = Arc::new(Peers(api.clone()));
    let sides = [
        (&api.options.listen_client, &client_tls, client_handler),
        (&api.options.listen_peer, &peer_tls, peers),
        (&api.options.listen_metrics, &client_tls, metrics),
    ];
    for (side, (urls, tls, handler)) in sides.into_iter().enumerate() {
        for url in urls {
            let listener = match host.net().listen(url.address).await {
                Ok(listener) => listener,
                // In the real gear a host has one address only, and kubeadm names it twice.
                Err(e) if e.in_use && running.servers.iter().any(|s| s.local_addr() == e.at) => continue,
                Err(e) => return Err(StartError::Listen(e)),
            };
            let serve = match tls.clone().filter(|_| url.secure) {
                Some(tls) => ServeOptions { tls: Some(tls), ..ServeOptions::plain() },
                None => ServeOptions::plain(),
            };
            // As etcd: streams without a limit, and no connection is closed for being idle.
            let serve = ServeOptions { max_streams: u32::MAX, idle: NEVER, ..wire::grpc::options(serve) };
            let server = Server::spawn(host, listener, serve, handler.clone());
            if side == 0 {
                running.clients.push(server.local_addr());
            }
            running.servers.push(server);
        }
    }
    if let Some(window) = api.options.window {
        host.spawn(window::keep(api.clone(), window));
    }
    if let Some(member) = &api.member {
        member.serve(&api.options.advertise_client);
    }
    tracing::info!(name = api.options.name, clients = ?running.clients, "ready to serve client requests");
    Ok(running)
}

/// Longer than any story, also when periods are stretched.
const NEVER: Duration = Duration::from_secs(1 << 33);

/// gRPC, and health beside it.
struct Clients(Arc<Api>);

impl Handler for Clients {
    fn call(&self, _: Arc<Peer>, request: http::Request<Body>) -> Answer {
        Box::pin(self.0.clone().answer(request))
    }
}

/// Health without gRPC.
struct Metrics(Arc<Api>);

/// What the other members may ask for.
struct Peers(Arc<Api>);

type Answer = std::pin::Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

impl Handler for Metrics {
    fn call(&self, _: Arc<Peer>, request: http::Request<Body>) -> Answer {
        let api = self.0.clone();
        Box::pin(async move { health::answer(&api, request.method(), request.uri()).await })
    }
}

impl Handler for Peers {
    fn call(&self, _: Arc<Peer>, request: http::Request<Body>) -> Answer {
        Box::pin(std::future::ready(self.0.answer_peer(request.uri().path())))
    }
}
