//! The server side: one listener, HTTP/1.1 and HTTP/2, TLS or not, until it is shut down.
//!
//! ```text
//!   accept ─► handshake (TLS, ALPN) ─► connection (hyper) ─► service ─► Handler
//!   mod.rs    handshake.rs             connection.rs         service.rs
//! ```
//!
//! Nothing that a client sends ends more than its own connection.

mod connection;
mod control;
mod handshake;
mod service;

use std::{
    convert::Infallible,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use http::{Request, Response};
use tokio::sync::mpsc;
use world::{Host, Listener};

use crate::Body;
use control::{Control, Phase};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The client's address.
    pub remote: SocketAddr,
    /// The address that it reached.
    pub local: SocketAddr,
    /// Whether TLS is in between.
    pub secure: bool,
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// What the client presented, leaf first; nobody has verified it but its signature.
    pub certificates: Vec<pki::Certificate>,
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one. Dropped when the client gives up.
    fn call(
        &self,
        peer: Arc<Peer>,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
}

impl<F, Fut> Handler for F
where
    F: Fn(Arc<Peer>, Request<Body>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    fn call(
        &self,
        peer: Arc<Peer>,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(self(peer, request))
    }
}

/// Asked at each handshake, so that replaced certificates take effect; told which of the server's
/// addresses was reached, because a certificate may be configured for one.
/// Without one the handshake fails: the words go to the log, and the client is told `internal error`,
/// as when Go's GetCertificate fails.
pub type TlsSource = Arc<dyn Fn(IpAddr) -> Result<Arc<rustls::ServerConfig>, String> + Send + Sync>;

/// How to serve. The defaults are kube-apiserver's.
#[derive(Clone)]
pub struct ServeOptions {
    /// TLS; without it plain HTTP is served.
    pub tls: Option<TlsSource>,
    /// Requests in progress on one HTTP/2 connection.
    pub max_streams: u32,
    /// Unread bytes of one request's body before its client must wait.
    pub stream_window: u32,
    /// A connection without requests is closed after this long (stretched as all recurring work is).
    pub idle: Duration,
    /// For a handshake, and for the head of an HTTP/1.1 request.
    pub header_timeout: Duration,
    /// A longer head is refused with 431.
    pub max_header_bytes: u32,
    /// Whose words the log uses for what clients do wrong.
    pub go: pki::GoVersion,
    /// Without TLS: speak HTTP/2 to clients that start with it (gRPC).
    pub prior_knowledge: bool,
    /// Counts the handshakes that failed.
    pub handshake_errors: Arc<AtomicU64>,
}

impl ServeOptions {
    /// Plain HTTP.
    pub fn plain() -> Self {
        Self {
            tls: None,
            max_streams: 100,
            stream_window: 256 << 10,
            idle: Duration::from_secs(90),
            header_timeout: Duration::from_secs(32),
            max_header_bytes: 1 << 20,
            go: (1, 26),
            prior_knowledge: false,
            handshake_errors: Arc::default(),
        }
    }

    /// HTTPS with what `source` says at each handshake.
    pub fn tls(source: impl Fn() -> Arc<rustls::ServerConfig> + Send + Sync + 'static) -> Self {
        Self::tls_at(move |_| source())
    }

    /// HTTPS with what `source` says at each handshake about the address that was reached.
    pub fn tls_at(source: impl Fn(IpAddr) -> Arc<rustls::ServerConfig> + Send + Sync + 'static) -> Self {
        Self { tls: Some(Arc::new(move |local| Ok(source(local)))), ..Self::plain() }
    }

    /// HTTPS with what `source` says at each handshake; while it has nothing to serve, handshakes fail.
    pub fn tls_when(
        source: impl Fn() -> Result<Arc<rustls::ServerConfig>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { tls: Some(Arc::new(move |_| source())), ..Self::plain() }
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self::plain()
    }
}

impl std::fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeOptions")
            .field("tls", &self.tls.is_some())
            .field("max_streams", &self.max_streams)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

/// A running server. Dropping the handle lets it run on; it dies with its process.
#[derive(Debug)]
pub struct Server {
    local: SocketAddr,
    control: Arc<Control>,
    /// Yields `None` when the listener and the last connection are gone.
    alive: mpsc::Receiver<Infallible>,
}

impl Server {
    /// Serves `handler` on `listener`, in tasks of `host`'s process.
    pub fn spawn(host: &Host, listener: Listener, options: ServeOptions, handler: Arc<dyn Handler>) -> Self {
        let local = listener.local_addr();
        let control = Arc::<Control>::default();
        let (token, alive) = mpsc::channel(1);
        let shared = Arc::new(connection::Shared::new(host, options, handler, control.clone()));
        host.spawn(accept(shared, token, listener));
        Self { local, control, alive }
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes no more connections; those that are open go on.
    pub fn stop_listening(&self) {
        self.control.advance(Phase::Deaf);
    }

    /// Stops accepting, tells every client to go (GOAWAY, `Connection: close`), waits at most
    /// `grace` for the requests in progress, and cuts what is left.
    pub async fn shutdown(mut self, host: &Host, grace: Duration) {
        self.control.advance(Phase::Draining);
        if host.clock().timeout(grace, self.alive.recv()).await.is_err() {
            self.control.advance(Phase::Closing);
            self.alive.recv().await;
        }
    }
}

/// Go's server waits this long after a failed accept, doubling up to a second.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(5);

/// What it is given is dropped from the last to the first: who has waited for the token finds the port free.
async fn accept(shared: Arc<connection::Shared>, token: mpsc::Sender<Infallible>, mut listener: Listener) {
    let mut backoff = ACCEPT_BACKOFF;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.control.reached(Phase::Deaf) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                backoff = ACCEPT_BACKOFF;
                shared.host.spawn_on_lane(connection::serve(shared.clone(), stream, token.clone()));
            }
            Err(e) => {
                tracing::debug!("http: Accept error: {e}; retrying in {backoff:?}");
                shared.host.clock().sleep(backoff).await;
                backoff = (backoff * 2).min(Duration::from_secs(1));
            }
        }
    }
}
