//! One apiserver on a simulated host, and clients on another.

use std::{future::Future, sync::Arc};

use apiserver::{Options, Server};
use client::{Auth, Rest};
use pki::ClientTls;
use serde_json::Value;
use store::Store;
use wire::{HttpClient, body};
use world::{
    Host, Periods,
    sim::{Config, Sim},
};

pub const ADMIN: &str = "admin-token";
pub const BOB: &str = "bob-token";

pub struct Plane {
    #[allow(dead_code, reason = "not every test moves time")]
    pub sim: Sim,
    pub server: Server,
    pub admin: Rest,
    pub bob: Rest,
    client_host: Host,
}

/// The text of a response.
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

pub fn options(extra: &[&str]) -> Options {
    let mut args = vec![
        "--storage-backend=memory",
        "--token-auth-file=/etc/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--service-cluster-ip-range=10.96.0.0/12",
        "--service-account-issuer=https://kubernetes.default.svc",
    ];
    args.extend(extra);
    Options::parse(args).unwrap()
}

impl Plane {
    pub async fn start(sim: &Sim, extra: &[&str]) -> Self {
        Self::start_on(sim, extra, None).await
    }

    /// A server that issues tokens of service accounts.
    pub async fn issuing(sim: &Sim) -> Self {
        let key = pki::PrivateKey::generate(pki::KeyAlgorithm::EcdsaP256).unwrap();
        let disk = sim.host("cp").disk().clone();
        disk.create_dir_all("/etc").unwrap();
        disk.write("/etc/sa.key", key.to_pem(), 0o600).unwrap();
        Self::start(sim, &["--service-account-signing-key-file=/etc/sa.key"]).await
    }

    pub async fn start_on(sim: &Sim, extra: &[&str], store: Option<Arc<dyn Store>>) -> Self {
        let host = sim.host("cp");
        let tokens = format!("{ADMIN},admin,1,\"system:masters\"\n{BOB},bob,2\n");
        host.disk().create_dir_all("/etc").unwrap();
        host.disk().write("/etc/tokens.csv", tokens, 0o600).unwrap();
        let server = Server::start(&host, options(extra), store).await.unwrap();
        server.ready().await.unwrap();
        let client_host = sim.host("laptop");
        let rest = |auth: Auth| {
            let tls = ClientTls::new(&client_host, (1, 26)).insecure();
            let http = HttpClient::new(&client_host, "https://cp:6443", Some(tls)).unwrap();
            Rest::new(http, auth, "test/1")
        };
        Self {
            sim: sim.clone(),
            server,
            admin: rest(Auth::bearer(ADMIN)),
            bob: rest(Auth::bearer(BOB)),
            client_host,
        }
    }

    pub async fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        text: &str,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let http = self.http();
        let response = http.send(request.body(body::full(text.to_owned())).unwrap()).await.unwrap();
        let (parts, content) = response.into_parts();
        let bytes = body::collect(content, 64 << 20).await.unwrap();
        Answer {
            code: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// A client's connection of its own.
    pub fn http(&self) -> HttpClient {
        let tls = ClientTls::new(&self.client_host, (1, 26)).insecure();
        HttpClient::new(&self.client_host, "https://cp:6443", Some(tls)).unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(ADMIN, "GET", path, &[], "").await
    }
}

/// Runs a test on a fresh plane.
pub fn with_plane<F, Fut>(extra: &'static [&'static str], test: F)
where
    F: FnOnce(Plane) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    run(Config::default(), extra, test);
}

/// As [`with_plane`], on one that issues tokens of service accounts.
pub fn with_issuing_plane<F, Fut>(test: F)
where
    F: FnOnce(Plane) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    world::sim::run(Config::default(), |sim| async move {
        let plane = Plane::issuing(&sim).await;
        test(plane).await;
    })
    .unwrap();
}

/// As [`with_plane`], with recurring work so rare that years are affordable.
pub fn with_sparse_plane<F, Fut>(extra: &'static [&'static str], test: F)
where
    F: FnOnce(Plane) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    run(Config { periods: Periods::sparse(), ..Config::default() }, extra, test);
}

fn run<F, Fut>(config: Config, extra: &'static [&'static str], test: F)
where
    F: FnOnce(Plane) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    world::sim::run(config, |sim| async move {
        let plane = Plane::start(&sim, extra).await;
        test(plane).await;
    })
    .unwrap();
}
