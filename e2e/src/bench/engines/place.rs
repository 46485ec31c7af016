//! An engine where it lives: its directory, its process if it has one, and how it is opened again.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use store::{EtcdOptions, Medium, Store};
use world::{Host, Process, real::Real};

use super::Engine;
use crate::{
    cli::Refusal,
    components::{PLACE, Place as HostPlace},
};

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module. A server's process ends with this.
pub(super) struct Place {
    engine: Engine,
    name: String,
    host: Host,
    server: Host,
    dir: PathBuf,
    medium: Medium,
    /// Of an engine in this process.
    inner: Option<Process>,
    child: Option<Child>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether etcd's program is there.
pub(super) fn has_etcd() -> bool {
    Command::new("etcd").arg("--version").output().is_ok_and(|said| said.status.success())
}

impl Place {
    /// A place for an empty store called `name`, on an address of its own.
    ///
    /// # Errors
    /// The world has no more addresses.
    pub(super) fn new(engine: Engine, name: &str, world: &Real, root: &Path) -> Result<Self, Refusal> {
        let server = world.host(name)?;
        Ok(Self {
            engine,
            name: name.to_owned(),
            host: world.host("client")?,
            dir: root.join(name).join("data"),
            server,
            medium: Medium::default(),
            inner: None,
            child: None,
        })
    }

    /// The host of the store's users.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The engine's own process; this one for an engine of this process.
    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().map_or_else(std::process::id, Child::id)
    }

    /// Opens the store, and waits until it answers.
    ///
    /// # Errors
    /// It does not open.
    pub(super) async fn open(&mut self) -> Result<Arc<dyn Store>, Refusal> {
        let url = format!("http://{}:2379", self.server.net().address());
        let process = self.server.process("store");
        let store: Arc<dyn Store> = match self.engine {
            Engine::Memory => store::memory_on(process.host(), &self.medium),
            Engine::Sled => store::sled(process.host(), "/data").await?,
            Engine::Server | Engine::Etcd => {
                self.child = Some(self.spawn(&url)?);
                let options =
                    EtcdOptions { endpoints: vec![url], ca: None, cert: None, key: None, go: (1, 26) };
                store::etcd(&self.host, &options)?
            }
        };
        self.inner = Some(process);
        let clock = self.host.clock();
        let answered = clock.timeout(PATIENCE, async {
            while store.revision().await.is_err() {
                clock.sleep(Duration::from_millis(1)).await;
            }
        });
        answered.await.map_err(|_| Refusal(format!("{:?} does not answer", self.engine)))?;
        Ok(store)
    }

    fn spawn(&self, url: &str) -> Result<Child, Refusal> {
        let peer = url.replace(":2379", ":2380");
        let flags = [
            format!("--name={}", self.name),
            format!(
                "--data-dir={}",
                if self.engine == Engine::Etcd { self.dir.display().to_string() } else { "/data".into() }
            ),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={}={peer}", self.name),
        ];
        let mut command = match self.engine {
            Engine::Etcd => {
                let mut etcd = Command::new("etcd");
                // More than etcd's default of 2 GB is not needed, less than its history would be refused.
                etcd.arg("--quota-backend-bytes=8589934592");
                etcd
            }
            _ => {
                let std::net::IpAddr::V4(address) = self.server.net().address() else {
                    return Err(Refusal("a host of the real gear has an IPv4 address".into()));
                };
                let root = self.dir.parent().unwrap_or(&self.dir).to_owned();
                let place = HostPlace { name: self.name.clone(), address, root };
                let mut ours = Command::new(std::env::current_exe()?);
                ours.args(["etcd", "--"]).env(PLACE, serde_json::to_string(&place)?);
                ours
            }
        };
        let spawned =
            command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        spawned.map_err(|e| Refusal(format!("cannot start {:?}: {e}", self.engine)))
    }

    /// Ends the engine as SIGKILL does.
    ///
    /// # Errors
    /// Its process cannot be killed.
    pub(super) async fn kill(&mut self) -> Result<(), Refusal> {
        if let Some(process) = self.inner.take() {
            process.kill().await;
        }
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Bytes that its files take on the disk; `None` if it has none.
    pub(super) fn disk(&self) -> Option<u64> {
        (self.engine != Engine::Memory).then(|| taken(&self.dir))
    }
}

/// What a directory takes on the disk, as `du` counts.
fn taken(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => taken(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
