//! One apiserver, in either gear, and clients of it.

use std::{path::Path, sync::Arc};

use apiserver::{Options, Server};
use client::{Auth, Rest};
use pki::ClientTls;
use wire::HttpClient;
use world::{
    Host,
    real::{Block, Real},
    sim::Sim,
};

/// The administrator's bearer token.
pub const ADMIN: &str = "admin-token";

/// A server and a host from which clients reach it.
pub struct Plane {
    /// Serves while it is kept.
    _server: Server,
    /// Where clients run.
    pub client: Host,
    /// `https://…`.
    pub url: String,
    /// Its addresses are nobody else's while it is kept.
    _world: Option<Real>,
}

impl Plane {
    async fn start(server: &Host, client: Host, address: &str, flags: &[&str]) -> Self {
        let disk = server.disk();
        disk.create_dir_all("/etc").unwrap();
        disk.write("/etc/tokens.csv", format!("{ADMIN},admin,1,\"system:masters\"\n"), 0o600).unwrap();
        let key = pki::PrivateKey::generate(pki::KeyAlgorithm::EcdsaP256).unwrap();
        disk.write("/etc/sa.key", key.to_pem(), 0o600).unwrap();
        let mut args = vec![
            "--storage-backend=memory",
            "--token-auth-file=/etc/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--service-account-key-file=/etc/sa.key",
            "--service-account-signing-key-file=/etc/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
        ];
        args.extend(flags);
        let plane = Server::start(server, Options::parse(args).unwrap(), None).await.unwrap();
        plane.ready().await.unwrap();
        Self { _server: plane, client, url: format!("https://{address}:6443"), _world: None }
    }

    /// On two hosts of a simulated world.
    pub async fn simulated(sim: &Sim, flags: &[&str]) -> Self {
        Self::start(&sim.host("cp"), sim.host("laptop"), "cp", flags).await
    }

    /// On two addresses of this machine; files are kept in `dir`.
    pub async fn real(dir: &Path, flags: &[&str]) -> Self {
        let world = Real::new(dir.to_owned(), Block::reserve().unwrap());
        let (server, client) = (world.host("cp").unwrap(), world.host("laptop").unwrap());
        let address = world.addresses()["cp"].to_string();
        let plane = Self::start(&server, client, &address, flags).await;
        Self { _world: Some(world), ..plane }
    }

    /// A connection of its own to the server.
    pub fn http(&self) -> HttpClient {
        let tls = ClientTls::new(&self.client, (1, 26)).insecure();
        HttpClient::new(&self.client, &self.url, Some(tls)).unwrap()
    }

    /// The administrator, on a connection of its own.
    pub fn admin(&self) -> Rest {
        Rest::new(self.http(), Auth::bearer(ADMIN), "test/1")
    }

    /// The administrator as a `kube::Client`.
    pub fn kube(&self) -> kube::Client {
        client::kube_client_over(self.http(), Auth::bearer(ADMIN), "default")
    }
}

/// Runs a test against a server of the real gear.
pub fn in_real_gear<F, Fut>(flags: &'static [&'static str], test: F)
where
    F: FnOnce(Arc<Plane>) -> Fut,
    Fut: Future<Output = ()>,
{
    let dir = tempfile::tempdir().unwrap();
    let runtime = chronoplane_cli::components::runtime().unwrap();
    runtime.block_on(async {
        let plane = Arc::new(Plane::real(dir.path(), flags).await);
        test(plane).await;
    });
    runtime.shutdown_background();
}
