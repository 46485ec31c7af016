//! The etcd pod: etcd's v3 API over mutual TLS, on any [`Store`], with etcd's own flags.
//!
//! Not modelled: Raft. A member serves alone; `--initial-cluster` may name others, nobody asks them.
//! On the peer URLs it answers what etcd answers to a stranger.

mod api;
mod flags;
mod given;
mod health;
mod kv;
mod lease;
mod members;
mod rpc;
mod tls;
mod watch;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::StatusCode;
use wire::{Body, Handler, Peer, ServeOptions, Server, body};
use world::{Exit, Gear, Host, ListenError};

use crate::{Medium, Store, StoreError};
use api::Api;
pub use flags::{Options, Tls, Url, UsageError};

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
}

/// A running member. Dropping the handle lets it run on; it dies with its process.
#[derive(Debug)]
pub struct Running {
    servers: Vec<Server>,
    clients: Vec<SocketAddr>,
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

/// The program: reads the flags, opens the data directory, serves until its process is killed.
///
/// In the real gear the data is in sled below `<data-dir>/member`. In the simulated gear it is in memory,
/// kept by the host's disk at the same path: a restarted pod finds it, who removes the directory removes it.
pub async fn run(host: Host, args: Vec<String>) -> Exit {
    match start(&host, &args).await {
        Ok(_running) => std::future::pending().await,
        Err(e) => Exit::Failure(e.to_string()),
    }
}

/// [`run`] up to the point where it serves.
///
/// # Errors
/// See [`StartError`].
pub async fn start(host: &Host, args: &[String]) -> Result<Running, StartError> {
    let options = Options::parse(args)?;
    let store = open(host, &options).await?;
    serve(host, options, store).await
}

async fn open(host: &Host, options: &Options) -> Result<Arc<dyn Store>, StoreError> {
    let member = options.data_dir.join("member");
    match host.gear() {
        Gear::Real => crate::sled_with(host, member, options.limits).await,
        Gear::Simulated => {
            let medium = Medium::on_disk(host.disk(), &member)?;
            Ok(medium.store(host, options.limits))
        }
    }
}

/// Serves `store` as the flags say.
///
/// # Errors
/// A port is taken, or a file cannot be used.
pub async fn serve(host: &Host, options: Options, store: Arc<dyn Store>) -> Result<Running, StartError> {
    let client_tls = tls::source(host, &options.client_tls, &options)?;
    let peer_tls = tls::source(host, &options.peer_tls, &options)?;
    let api = Arc::new(Api::new(host, options, store));
    let mut running = Running { servers: Vec::new(), clients: Vec::new() };
    let clients = Clients(api.clone());
    let client_handler: Arc<dyn Handler> = Arc::new(clients);
    let metrics: Arc<dyn Handler> = Arc::new(Plain(Some(api.clone())));
    let strangers: Arc<dyn Handler> = Arc::new(Plain(None));
    let sides = [
        (&api.options.listen_client, &client_tls, client_handler),
        (&api.options.listen_peer, &peer_tls, strangers),
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

/// Health without gRPC, or nothing at all (`None`).
struct Plain(Option<Arc<Api>>);

type Answer = std::pin::Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

impl Handler for Plain {
    fn call(&self, _: Arc<Peer>, request: http::Request<Body>) -> Answer {
        let api = self.0.clone();
        Box::pin(async move {
            match api {
                Some(api) => health::answer(&api, request.method(), request.uri()).await,
                None => {
                    let mut response = http::Response::new(body::full("404 page not found\n"));
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    response
                }
            }
        })
    }
}
