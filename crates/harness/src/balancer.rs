//! Load balancers in front of apiservers, as hosts of the world have them: a layer-4 one that carries bytes, and a
//! layer-7 one that ends TLS and carries requests.
//!
//! ```text
//!   client ── TLS ─────────────────────────> apiserver      layer 4: the client's certificate arrives
//!   client ── TLS ── balancer ── TLS ──────> apiserver      layer 7: tokens arrive, certificates do not
//! ```
//!
//! Both ask their backends for health as HAProxy does in kubeadm's HA guide: `GET /healthz` by HTTPS, two answers in a
//! row decide. What runs through a backend that has gone down is closed, so that clients come again. Looks at a backend
//! that is well recur, at the pace of the world. While one is down, or has just answered otherwise than it is believed to
//! be, a look is a wait for something that does not answer yet: backoff, which no pace stretches.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Body as _;
use parking_lot::Mutex;
pub use pki::{CertifiedKey, Roots};
use pki::{ClientTls, ServerTls, StaticIdentity};
use tokio::sync::Notify;
use wire::{Body, Handler, HttpClient, Peer, ServeOptions, Server, body};
use world::{Host, Listener, Process, Stream};

use crate::HarnessError;

/// How often a backend is asked (`inter`).
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How long its answer and a dial may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// So many answers in a row change the mind (`rise`, `fall`).
const ROWS: u32 = 2;
/// Go of the checks' words in the trace; no profile's, for a balancer is none of Kubernetes' programs.
const GO: pki::GoVersion = (1, 26);
/// What HAProxy says when nobody is there.
const NOBODY: &str = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n\
                      </body></html>\n";

/// How a layer-7 balancer meets both sides.
#[derive(Clone)]
pub struct Termination {
    /// What it shows to clients.
    pub certificate: CertifiedKey,
    /// Who signed the backends' certificates.
    pub backends: Roots,
}

/// A running balancer. Dropping the handle lets it run on; it dies with its host's process.
#[derive(Debug)]
pub struct Balancer {
    process: Process,
    address: SocketAddr,
    pool: Arc<Pool>,
}

impl Balancer {
    /// Carries connections on `port` of `host` to the backends, byte by byte.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn layer4(host: &Host, port: u16, backends: &[SocketAddr]) -> Result<Self, HarnessError> {
        let (process, listener, pool) = begin(host, "balancer-l4", port, backends).await?;
        let address = SocketAddr::new(host.net().address(), port);
        process.host().spawn(carry(process.host().clone(), listener, pool.clone()));
        Ok(Self { process, address, pool })
    }

    /// Ends TLS on `port` of `host` and carries requests to the backends by HTTPS of its own. Without a client
    /// certificate: what a client showed of itself at its handshake stays here.
    ///
    /// # Errors
    /// The port is taken, or the certificate cannot serve.
    pub async fn layer7(
        host: &Host,
        port: u16,
        backends: &[SocketAddr],
        termination: Termination,
    ) -> Result<Self, HarnessError> {
        let identity = StaticIdentity::new(&termination.certificate).map_err(HarnessError::new)?;
        let (process, listener, pool) = begin(host, "balancer-l7", port, backends).await?;
        let address = SocketAddr::new(host.net().address(), port);
        let tls = ServerTls::new(process.host()).default_cert(Arc::new(identity)).config();
        let clients = backends
            .iter()
            .map(|backend| {
                let tls = ClientTls::new(process.host(), GO).roots(termination.backends.clone());
                HttpClient::new(process.host(), &format!("https://{backend}"), Some(tls))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(HarnessError::new)?;
        let proxy = Arc::new(Proxy { host: process.host().clone(), pool: pool.clone(), clients });
        let options = ServeOptions::tls(move || tls.clone());
        Server::spawn(process.host(), listener, options, Arc::new(Requests(proxy)));
        Ok(Self { process, address, pool })
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The backends that its checks found well, in their order.
    pub fn healthy(&self) -> Vec<SocketAddr> {
        self.pool.backends.iter().filter(|b| b.state.lock().up).map(|b| b.address).collect()
    }

    /// Ends it and everything that runs through it.
    pub async fn stop(&self) {
        self.process.kill().await;
    }
}

async fn begin(
    host: &Host,
    name: &str,
    port: u16,
    backends: &[SocketAddr],
) -> Result<(Process, Listener, Arc<Pool>), HarnessError> {
    let listener =
        host.net().listen(SocketAddr::new([0, 0, 0, 0].into(), port)).await.map_err(HarnessError::new)?;
    let process = host.process(name);
    let pool = Arc::new(Pool {
        backends: backends.iter().map(|address| Arc::new(Backend::new(*address))).collect(),
        next: AtomicUsize::new(0),
    });
    for backend in &pool.backends {
        process.host().spawn(backend.clone().check(process.host().clone()));
    }
    Ok((process, listener, pool))
}

/// The backends, taken in turn.
struct Pool {
    backends: Vec<Arc<Backend>>,
    next: AtomicUsize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.backends.iter().map(|b| b.address)).finish()
    }
}

impl Pool {
    /// The healthy ones with their places, beginning with the one whose turn it is.
    fn in_turn(&self) -> Vec<(usize, Arc<Backend>)> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.backends.len().max(1);
        let at = |n: usize| (first.wrapping_add(n)) % count;
        let all = (0..self.backends.len()).filter_map(|n| Some((at(n), self.backends.get(at(n))?.clone())));
        all.filter(|(_, backend)| backend.state.lock().up).collect()
    }
}

struct Backend {
    address: SocketAddr,
    state: Mutex<Health>,
    went_down: Notify,
}

/// What the last checks said; down until they said otherwise.
#[derive(Default)]
struct Health {
    up: bool,
    /// Answers in a row that contradict `up`.
    against: u32,
}

impl Backend {
    fn new(address: SocketAddr) -> Self {
        Self { address, state: Mutex::default(), went_down: Notify::new() }
    }

    async fn check(self: Arc<Self>, host: Host) {
        let mut soon = CHECK_EVERY;
        loop {
            let well = self.is_well(&host).await;
            let (turned, settled) = {
                let mut state = self.state.lock();
                state.against = if well == state.up { 0 } else { state.against + 1 };
                let turned = state.against >= ROWS;
                if turned {
                    *state = Health { up: well, against: 0 };
                }
                (turned, state.up && state.against == 0)
            };
            if turned || well {
                soon = CHECK_EVERY;
            }
            if turned {
                let to = if well { "up" } else { "down" };
                host.record("balancer", vec![("backend", self.address.to_string()), ("is", to.to_owned())]);
                if !well {
                    self.went_down.notify_waiters();
                }
            }
            if settled {
                host.recur(CHECK_EVERY).await;
                continue;
            }
            tokio::select! {
                biased;
                () = host.recur(CHECK_EVERY) => {}
                () = host.clock().sleep(soon) => {}
            }
            soon = soon.saturating_mul(2);
        }
    }

    /// A new connection for each look: one that is kept open says nothing of the next client's.
    async fn is_well(&self, host: &Host) -> bool {
        let tls = ClientTls::new(host, GO).insecure();
        let Ok(client) = HttpClient::new(host, &format!("https://{}", self.address), Some(tls)) else {
            return false;
        };
        let Ok(request) = Request::get("/healthz").body(body::empty()) else { return false };
        let answer = client.send_within(CHECK_TIMEOUT, request).await;
        answer.is_ok_and(|response| response.status() == StatusCode::OK)
    }
}

/// Accepts for layer 4.
async fn carry(host: Host, mut listener: Listener, pool: Arc<Pool>) {
    loop {
        match listener.accept().await {
            Ok(client) => drop(host.spawn(connection(host.clone(), client, pool.clone()))),
            // One connection failed before it was one.
            Err(_) => host.clock().sleep(Duration::from_millis(5)).await,
        }
    }
}

/// One connection: to the first healthy backend that takes it; closed when none does.
async fn connection(host: Host, mut client: Stream, pool: Arc<Pool>) {
    for (_, backend) in pool.in_turn() {
        let down = backend.went_down.notified();
        tokio::pin!(down);
        // Heard from before the dial: a backend that goes down meanwhile takes nobody.
        down.as_mut().enable();
        let (ip, port) = (backend.address.ip().to_string(), backend.address.port());
        let dial = host.net().dial(&ip, port);
        let Ok(Ok(mut server)) = host.clock().timeout(DIAL_TIMEOUT, dial).await else { continue };
        tokio::select! {
            biased;
            () = down => {}
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        }
        return;
    }
}

/// Carries requests.
struct Proxy {
    host: Host,
    pool: Arc<Pool>,
    /// One client a backend, in the backends' order.
    clients: Vec<HttpClient>,
}

struct Requests(Arc<Proxy>);

impl Handler for Requests {
    fn call(
        &self,
        peer: Arc<Peer>,
        request: Request<Body>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let proxy = self.0.clone();
        Box::pin(async move { proxy.forward(peer.remote.ip(), request).await })
    }
}

/// Of one connection, not of the request (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

impl Proxy {
    async fn forward(&self, from: IpAddr, mut request: Request<Body>) -> Response<Body> {
        let upgrades = request.headers().contains_key(header::UPGRADE);
        let theirs = upgrades.then(|| wire::upgrade::of_request(&mut request));
        let (mut head, mut content) = request.into_parts();
        if !upgrades {
            HOP_BY_HOP.iter().for_each(|name| drop(head.headers.remove(name)));
        }
        head.headers.remove(header::HOST);
        if let Ok(from) = HeaderValue::try_from(from.to_string()) {
            head.headers.append("x-forwarded-for", from);
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        // A body is there once; without one a safe request may be asked of the next backend.
        let repeatable =
            matches!(head.method, Method::GET | Method::HEAD) && content.is_end_stream() && !upgrades;
        let mut theirs = theirs;
        let mut last = None;
        for (at, _) in self.pool.in_turn() {
            let Some(client) = self.clients.get(at) else { continue };
            let sent = std::mem::replace(&mut content, body::empty());
            let mut onward = Request::new(sent);
            *onward.method_mut() = head.method.clone();
            *onward.headers_mut() = head.headers.clone();
            match path.parse() {
                Ok(uri) => *onward.uri_mut() = uri,
                Err(_) => return answer(StatusCode::BAD_REQUEST, "400 Bad request\n".into()),
            }
            let outcome = match theirs.take() {
                Some(theirs) => self.upgrade(client, onward, theirs).await,
                None => client.send(onward).await,
            };
            match outcome {
                Ok(mut response) => {
                    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                        HOP_BY_HOP.iter().for_each(|name| drop(response.headers_mut().remove(name)));
                    }
                    return response;
                }
                Err(e) => last = Some(e),
            }
            if !repeatable {
                break;
            }
        }
        match last {
            Some(e) => answer(StatusCode::BAD_GATEWAY, format!("502 Bad Gateway: {e}\n")),
            None => answer(StatusCode::SERVICE_UNAVAILABLE, NOBODY.to_owned()),
        }
    }

    /// Lets both sides leave HTTP, and carries what they say.
    async fn upgrade(
        &self,
        client: &HttpClient,
        request: Request<Body>,
        theirs: impl Future<Output = Option<wire::upgrade::Upgraded>> + Send + 'static,
    ) -> Result<Response<Body>, wire::Error> {
        let (response, stream) = client.upgrade(request).await?;
        if let Some(mut backend) = stream {
            self.host.spawn(async move {
                if let Some(mut theirs) = theirs.await {
                    let _ = tokio::io::copy_bidirectional(&mut theirs, &mut backend).await;
                }
            });
        }
        Ok(response)
    }
}

fn answer(status: StatusCode, said: String) -> Response<Body> {
    let mut response = Response::new(body::full(said));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
