//! What the tests share: an authority, servers and clients on the hosts of a simulated world.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use pki::{
    Authority, CertSpec, CertifiedKey, ClientTls, KeyAlgorithm, PrivateKey, Roots, ServerTls, StaticIdentity,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{Body, Error, Handler, HttpClient, Peer, ServeOptions, Server, body};
use world::{
    Host, Wall,
    sim::{Config, Sim},
};

pub const GO: pki::GoVersion = (1, 24);
pub const PORT: u16 = 6443;
pub const DAY: Duration = Duration::from_secs(86_400);

/// Runs a story in a simulated world of its own.
pub fn in_sim<F: Future<Output = ()>>(story: impl FnOnce(Sim) -> F) {
    world::sim::run(Config::default(), story).expect("a runtime");
}

/// A certificate authority and what it issued.
pub struct Trust {
    authority: Authority,
    not_before: Wall,
}

impl Trust {
    pub fn new(host: &Host) -> Self {
        let now = host.clock().wall();
        let algorithm = KeyAlgorithm::EcdsaP256;
        let authority =
            Authority::new_root(host.entropy(), algorithm, "kubernetes", &[], now, now + 3650 * DAY)
                .expect("an authority");
        Self { authority, not_before: now }
    }

    pub fn roots(&self) -> Roots {
        Roots::new(vec![self.authority.certificate.clone()])
    }

    pub fn issue(&self, host: &Host, name: &str, lasts: Duration) -> CertifiedKey {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let spec = CertSpec {
            common_name: name.to_owned(),
            organizations: vec![],
            dns_names: vec![name.to_owned()],
            ips: vec![host.net().address(), Ipv4Addr::LOCALHOST.into()],
            client_auth: true,
            server_auth: true,
            not_before: self.not_before,
            not_after: self.not_before + lasts,
        };
        let leaf = self.authority.issue(host.entropy(), &spec, &key.public()).expect("a certificate");
        CertifiedKey::new(vec![leaf], key).expect("a pair")
    }

    /// What a server called `name` on `host` serves; it asks clients for a certificate.
    pub fn server(&self, host: &Host, name: &str, lasts: Duration) -> ServeOptions {
        let pair = self.issue(host, name, lasts);
        let identity = Arc::new(StaticIdentity::new(&pair).expect("an identity"));
        let config =
            ServerTls::new(host).default_cert(identity).request_client_cert(Some(self.roots())).config();
        ServeOptions::tls(move || config.clone())
    }

    pub fn client(&self, host: &Host) -> ClientTls {
        ClientTls::new(host, GO).roots(self.roots())
    }
}

pub fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

pub async fn serve(host: &Host, options: ServeOptions, handler: impl Handler) -> Server {
    let listener = host.net().listen(any(PORT)).await.expect("the port is free");
    Server::spawn(host, listener, options, Arc::new(handler))
}

/// Answers with method and path; `/peer` says who asks.
/// A server on `server`, a client on `client`, TLS between them.
pub async fn pair(sim: &Sim, lasts: Duration, handler: impl Handler) -> (Trust, Server, HttpClient) {
    let (server, client) = (sim.host("server"), sim.host("client"));
    let trust = Trust::new(&server);
    let running = serve(&server, trust.server(&server, "server", lasts), handler).await;
    let http =
        HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
    (trust, running, http)
}

pub async fn echo(peer: Arc<Peer>, request: Request<Body>) -> Response<Body> {
    let text = match request.uri().path() {
        "/peer" => {
            let names: Vec<&str> = peer.certificates.iter().map(|c| c.subject_cn()).collect();
            format!("{:?} {} {}", peer.server_name, peer.secure, names.join(","))
        }
        path => format!("{} {path}", request.method()),
    };
    Response::new(body::full(text))
}

pub fn request(path: &str) -> Request<Body> {
    Request::get(path).body(body::empty()).expect("a request")
}

pub async fn text(response: Response<Body>) -> String {
    let bytes = body::collect(response.into_body(), 1 << 20).await.expect("a whole body");
    String::from_utf8_lossy(&bytes).into_owned()
}

pub async fn get(client: &HttpClient, path: &str) -> Result<String, Error> {
    Ok(text(client.send(request(path)).await?).await)
}

/// Writes `bytes` to `port` of `to` and reads until the other end closes.
pub async fn raw(from: &Host, to: &Host, port: u16, bytes: &[u8]) -> String {
    let mut stream = from.net().dial(to.name(), port).await.expect("somebody listens");
    // A server need not read to the end before it refuses.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Handshakes in the trace, as `side: result`.
pub fn handshakes(sim: &Sim) -> Vec<String> {
    let field = |e: &world::Event, name| {
        e.fields.iter().find(|(k, _)| *k == name).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    let all = sim.events();
    let all = all.iter().filter(|e| e.kind == "handshake");
    all.map(|e| format!("{}: {}", field(e, "side"), field(e, "result"))).collect()
}
