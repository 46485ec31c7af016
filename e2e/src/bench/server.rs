//! An apiserver of ours as a process of its own, on an address of its own, for benches to measure.

use std::{
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use client::Auth;
use pki::ClientTls;
use wire::HttpClient;
use world::{
    Host, Mono,
    real::{Block, Real},
};

use crate::{
    cli::Refusal,
    components::{self, PLACE, Place},
};

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(10);
const TOKEN: &str = "bench";

/// See the module. The process ends with this.
pub(super) struct OwnServer {
    child: Child,
    client: Host,
    url: String,
    dir: tempfile::TempDir,
    /// Its addresses are nobody else's while it is kept.
    _world: Real,
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl OwnServer {
    /// Starts one with `flags` besides those that every server needs; and how long it took until it was ready.
    ///
    /// # Errors
    /// It does not start, or is not ready in time.
    pub(super) async fn start(flags: &[&str]) -> Result<(Self, Duration), Refusal> {
        let dir = tempfile::Builder::new().prefix("chronoplane-bench-").tempdir()?;
        let block = Block::reserve()?;
        let address = Ipv4Addr::from(u32::from(block.base()) | 1);
        let root = dir.path().join("server");
        std::fs::create_dir_all(root.join("etc"))?;
        std::fs::write(root.join("etc/tokens.csv"), format!("{TOKEN},bench,1,\"system:masters\"\n"))?;
        let place = Place { name: "server".into(), address, root };
        let world = Real::new(dir.path().to_owned(), block);
        world.open_lanes(components::cores())?;
        // Takes the address that the process is given.
        let _server = world.host("server")?;
        let client = world.host("client")?;
        let began = client.clock().monotonic();
        let child = Command::new(std::env::current_exe()?)
            .arg("apiserver")
            .arg("--")
            .args(flags)
            .args([
                "--secure-port=6443",
                "--cert-dir=/var/run/kubernetes",
                "--token-auth-file=/etc/tokens.csv",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/12",
            ])
            .env(PLACE, serde_json::to_string(&place)?)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("server.log"))?)
            .spawn()?;
        let mut server = Self { child, client, url: format!("https://{address}:6443"), dir, _world: world };
        match server.ready(began).await? {
            Some(took) => Ok((server, took)),
            None => {
                let _ = server.child.kill();
                let words = std::fs::read_to_string(server.dir.path().join("server.log")).unwrap_or_default();
                Err(Refusal(format!(
                    "the apiserver was not ready within {} s: {}",
                    PATIENCE.as_secs(),
                    words.trim()
                )))
            }
        }
    }

    async fn ready(&self, began: Mono) -> Result<Option<Duration>, Refusal> {
        let (http, auth) = self.connection()?;
        let clock = self.client.clock();
        loop {
            let mut request = http::Request::get("/readyz").body(wire::body::empty())?;
            client::authorize(&mut request, &auth).await?;
            let ready = http.send(request).await.is_ok_and(|r| r.status().is_success());
            let took = clock.monotonic().since(began);
            if ready || took > PATIENCE {
                return Ok(ready.then_some(took));
            }
            clock.sleep(Duration::from_millis(1)).await;
        }
    }

    /// A client of its own, as administrator.
    ///
    /// # Errors
    /// None in practice: the address is ours.
    pub(super) fn connection(&self) -> Result<(HttpClient, Auth), Refusal> {
        let tls = ClientTls::new(&self.client, (1, 26)).insecure();
        Ok((HttpClient::new(&self.client, &self.url, Some(tls))?, Auth::bearer(TOKEN)))
    }

    /// The host of its clients.
    pub(super) fn client(&self) -> &Host {
        &self.client
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}
