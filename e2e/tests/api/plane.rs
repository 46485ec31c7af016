//! One apiserver, in either gear, and clients of it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use apiserver::{Options, Server};
use client::{Auth, Rest};
use pki::{
    ClientTls,
    kubeconfig::{Cluster, Kubeconfig, User},
};
use wire::HttpClient;
use world::{
    Host,
    real::{Block, Real},
    sim::Sim,
};

/// The administrator's bearer token.
pub const ADMIN: &str = "admin-token";

/// The program that can run beside the server, as [`Setup::needs`] names it.
const MANAGER: &str = "kube-controller-manager";

/// What a server is started with.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Flags, each in place of ours of the same name; a name without dashes is a program beside it.
    pub needs: &'a [&'a str],
    /// Files that flags name, by path.
    pub files: Option<&'a BTreeMap<String, String>>,
}

impl Setup<'_> {
    /// Ours, with what it needs in their place or beside them.
    fn args(&self) -> Vec<String> {
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let asked: Vec<&str> = self.needs.iter().copied().filter(|need| need.starts_with("--")).collect();
        let ours = [
            "--storage-backend=memory",
            "--token-auth-file=/etc/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--service-account-key-file=/etc/sa.key",
            "--service-account-signing-key-file=/etc/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
        ];
        let ours = ours.into_iter().filter(|flag| !asked.iter().any(|other| name(other) == name(flag)));
        ours.chain(asked.iter().copied()).map(str::to_owned).collect()
    }
}

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
    async fn start(server: &Host, client: Host, address: &str, setup: Setup<'_>) -> Self {
        let disk = server.disk();
        disk.create_dir_all("/etc").unwrap();
        disk.write("/etc/tokens.csv", format!("{ADMIN},admin,1,\"system:masters\"\n"), 0o600).unwrap();
        let key = pki::PrivateKey::generate(pki::KeyAlgorithm::EcdsaP256).unwrap();
        disk.write("/etc/sa.key", key.to_pem(), 0o600).unwrap();
        for (path, text) in setup.files.into_iter().flatten() {
            disk.write(path, text.clone(), 0o600).unwrap();
        }
        let plane = Server::start(server, Options::parse(setup.args()).unwrap(), None).await.unwrap();
        plane.ready().await.unwrap();
        let url = format!("https://{address}:6443");
        if setup.needs.contains(&MANAGER) {
            manage(server, &url);
        }
        Self { _server: plane, client, url, _world: None }
    }

    /// On two hosts of a simulated world.
    pub async fn simulated(sim: &Sim, setup: Setup<'_>) -> Self {
        Self::start(&sim.host("cp"), sim.host("laptop"), "cp", setup).await
    }

    /// On two addresses of this machine; files are kept in `dir`.
    pub async fn real(dir: &Path, setup: Setup<'_>) -> Self {
        let world = Real::new(dir.to_owned(), Block::reserve().unwrap());
        let (server, client) = (world.host("cp").unwrap(), world.host("laptop").unwrap());
        let address = world.addresses()["cp"].to_string();
        let plane = Self::start(&server, client, &address, setup).await;
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

/// Runs the loop of kube-controller-manager that writes tokens into secrets.
fn manage(host: &Host, url: &str) {
    let cluster = Cluster { server: url.to_owned(), insecure_skip_tls_verify: true, ..Cluster::default() };
    let config = Kubeconfig::new("case", cluster, "admin", User::with_token(ADMIN));
    config.save(host.disk(), "/etc/manager.conf").unwrap();
    let args = [
        "--kubeconfig=/etc/manager.conf",
        "--service-account-private-key-file=/etc/sa.key",
        "--controllers=serviceaccount-token",
        "--leader-elect=false",
        "--secure-port=0",
    ];
    host.spawn(controllers::manager::run(host.clone(), args.map(str::to_owned).to_vec()));
}

/// Runs a test against a server of the real gear.
pub fn in_real_gear<F, Fut>(setup: Setup<'_>, test: F)
where
    F: FnOnce(Arc<Plane>) -> Fut,
    Fut: Future<Output = ()>,
{
    let dir = tempfile::tempdir().unwrap();
    let runtime = chronoplane_cli::components::runtime().unwrap();
    runtime.block_on(async {
        let plane = Arc::new(Plane::real(dir.path(), setup).await);
        test(plane).await;
    });
    runtime.shutdown_background();
}
