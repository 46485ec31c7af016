//! The engines that the suite runs on: each gives a fresh store, restarts it, and says what is its own.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use store::{EtcdOptions, Medium, Range, Store, StoreError, memory_on, server};
use tokio::runtime::Runtime;
use world::{
    Host, Process,
    real::{Block, Real},
    sim,
};

use crate::{
    common::{
        model::Leniency,
        picture,
        tls::{EtcdCa, client, manifest},
    },
    etcd::Members,
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What the suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In memory, in the simulated gear.
    Memory,
    /// In memory, below a prefix of somebody else's.
    Moved,
    /// In memory, on the threads of this machine.
    MemoryOnThreads,
    /// On disk.
    Sled,
    /// `store::server` over mutual TLS, in the simulated gear.
    Server,
    /// `store::server` over mutual TLS and TCP, on sled.
    ServerOnSled,
    /// So many members of etcd itself, over mutual TLS.
    Etcd(usize),
}

impl Engine {
    /// Whether it is in the simulated gear, where time passes as the story wants it.
    pub fn is_simulated(self) -> bool {
        matches!(self, Self::Memory | Self::Moved | Self::Server)
    }

    /// Whether revisions from before a restart can be read and watched after it.
    pub fn keeps_history(self) -> bool {
        matches!(self, Self::Server | Self::Etcd(_))
    }

    /// Whether a connection lies between it and who uses it.
    pub fn is_remote(self) -> bool {
        matches!(self, Self::Server | Self::ServerOnSled | Self::Etcd(_))
    }

    /// What of the contract is not asked of it.
    pub fn lenient(self) -> Leniency {
        match self {
            Self::Etcd(_) => {
                Leniency { watch_after_compaction_only: true, forgets_prev: true, no_marks: true }
            }
            _ => Leniency::default(),
        }
    }
}

/// Says a line that a test that passes says too: the test program keeps `print!` to itself.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Where stores of one engine are made, one after the other.
pub struct Stage {
    engine: Engine,
    /// Of the real gear.
    runtime: Option<Runtime>,
    etcd: Option<Members>,
}

impl Stage {
    /// `None` if this machine has no such engine, and nobody requires it; that is said aloud.
    pub fn of(engine: Engine) -> Option<Self> {
        let runtime = (!engine.is_simulated()).then(|| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
        });
        let etcd = match (engine, &runtime) {
            (Engine::Etcd(members), Some(runtime)) => Some(runtime.block_on(Members::start(members))?),
            _ => None,
        };
        Some(Self { engine, runtime, etcd })
    }

    /// Runs `check` on a fresh store.
    pub fn play<T>(&mut self, seed: u64, check: impl AsyncFnOnce(&mut Bench<'_>) -> T) -> T {
        if let (Some(runtime), Some(members)) = (&self.runtime, &mut self.etcd) {
            runtime.block_on(members.renew());
        }
        self.play_on(seed, check)
    }

    /// Runs `check` on a store that is empty, but may have had a life before: where a fresh one takes its time.
    pub fn play_on<T>(&mut self, seed: u64, check: impl AsyncFnOnce(&mut Bench<'_>) -> T) -> T {
        let (engine, etcd) = (self.engine, &mut self.etcd);
        match &self.runtime {
            Some(runtime) => runtime.block_on(async {
                let mut bench = Bench::open(engine, None, etcd.as_mut()).await;
                let done = check(&mut bench).await;
                bench.close().await;
                done
            }),
            None => {
                let config = sim::Config { seed, ..sim::Config::default() };
                let story = |sim: sim::Sim| async move {
                    let mut bench = Bench::open(engine, Some(&sim), None).await;
                    check(&mut bench).await
                };
                sim::run(config, story).unwrap()
            }
        }
    }
}

/// A store, empty but for its revision, and who uses it.
pub struct Bench<'a> {
    pub engine: Engine,
    /// Where those who use the store live.
    pub host: Host,
    pub store: Arc<dyn Store>,
    /// The store's revision at the beginning; what was before is compacted.
    pub first: i64,
    behind: Behind<'a>,
    /// Its addresses are nobody else's while it is kept.
    _world: Option<Real>,
    _root: Option<tempfile::TempDir>,
}

/// What a restart restarts.
enum Behind<'a> {
    Memory(Medium, Process),
    Moved(Medium, Process),
    Sled(Process),
    Server(Host, Process),
    Etcd(&'a mut Members),
}

impl<'a> Bench<'a> {
    async fn open(engine: Engine, sim: Option<&sim::Sim>, etcd: Option<&'a mut Members>) -> Self {
        let root = sim.is_none().then(|| tempfile::tempdir().unwrap());
        let world = root.as_ref().map(|root| Real::new(root.path().to_owned(), Block::reserve().unwrap()));
        let hosts = |names: [&str; 2]| match (sim, &world) {
            (Some(sim), _) => names.map(|name| sim.host(name)),
            (None, Some(world)) => names.map(|name| world.host(name).unwrap()),
            (None, None) => unreachable!("one of the two gears"),
        };
        let (host, store, first, behind) = match (engine, etcd) {
            (Engine::Memory | Engine::MemoryOnThreads, _) => {
                let [host, _] = hosts(["cp1", "cp2"]);
                let (medium, process) = (Medium::default(), host.process("store"));
                let store = memory_on(process.host(), &medium);
                (host, store, 1, Behind::Memory(medium, process))
            }
            (Engine::Moved, _) => {
                let [host, _] = hosts(["cp1", "cp2"]);
                let (medium, stranger) = (Medium::default(), host.process("stranger"));
                let all = memory_on(stranger.host(), &medium);
                // Keys before, among and after ours, which are none of ours.
                for key in ["/", "/els", "/elsewher", "/elsewherf", "/k/0", "z"] {
                    all.put(key.into(), "a stranger's".into()).await.unwrap();
                }
                let first = all.revision().await.unwrap();
                stranger.kill().await;
                let process = host.process("store");
                let store = elsewhere(memory_on(process.host(), &medium));
                (host, store, first, Behind::Moved(medium, process))
            }
            (Engine::Server | Engine::ServerOnSled, _) => {
                let [server, host] = hosts(["etcd1", "cp1"]);
                let ca = EtcdCa::new(&server);
                ca.kubeadm(&server, YEAR);
                ca.apiserver(&host, YEAR);
                let process = serve(&server).await;
                let store = store::etcd(&host, &endpoints(&[&server])).unwrap();
                (host, store, 1, Behind::Server(server, process))
            }
            (Engine::Etcd(_), Some(members)) => {
                let (host, store) = (members.client().clone(), members.store());
                let first = empty(&*store).await;
                (host, store, first, Behind::Etcd(members))
            }
            (Engine::Etcd(_), None) => unreachable!("a stage of etcd has its members"),
            (Engine::Sled, _) => {
                let [host, _] = hosts(["cp1", "cp2"]);
                let process = host.process("store");
                let store = store::sled(process.host(), "/data").await.unwrap();
                (host, store, 1, Behind::Sled(process))
            }
        };
        Self { engine, host, store, first, behind, _world: world, _root: root }
    }

    /// Kills the store while nobody writes, and starts it again on what it left.
    pub async fn restart(&mut self) {
        // A process of this one that is killed closes its sled in good order; what one of its own would leave, a journal
        // that sled lacks, is what is there now.
        let left = self.data().map(|dir| Left::of(&dir));
        self.kill().await;
        if let (Some(left), Some(dir)) = (left, self.data()) {
            // Its end may still be under way.
            while let Err(StoreError::Locked { .. }) = store::offline::load(&self.host, &dir).await {
                self.host.clock().sleep(Duration::from_millis(20)).await;
            }
            left.put_back(&dir);
        }
        self.start().await;
    }

    /// Kills the store. Whoever holds a store of this process must let go of it, and take [`Bench::store`] instead,
    /// before it can be started again.
    pub async fn kill(&mut self) {
        if !self.engine.is_remote() {
            let process = self.host.process("gone");
            self.store = store::memory(process.host());
            process.kill().await;
        }
        match &mut self.behind {
            Behind::Memory(_, process)
            | Behind::Moved(_, process)
            | Behind::Sled(process)
            | Behind::Server(_, process) => process.kill().await,
            Behind::Etcd(members) => members.kill(),
        }
    }

    /// The directory of a sled.
    fn data(&self) -> Option<PathBuf> {
        match &self.behind {
            Behind::Sled(_) => self.host.disk().real_path(Path::new("/data")),
            _ => None,
        }
    }

    /// Starts the store on what it left, and waits until it answers.
    pub async fn start(&mut self) {
        match &mut self.behind {
            Behind::Memory(medium, process) => {
                *process = self.host.process("store");
                self.store = memory_on(process.host(), medium);
            }
            Behind::Moved(medium, process) => {
                *process = self.host.process("store");
                self.store = elsewhere(memory_on(process.host(), medium));
            }
            Behind::Sled(process) => {
                *process = self.host.process("store");
                self.store = store::sled(process.host(), "/data").await.unwrap();
            }
            Behind::Server(server, process) => *process = serve(server).await,
            Behind::Etcd(members) => members.start_again().await,
        }
        // A client may first have to find out that its connection is gone.
        self.soon("an answer after the restart", answers(&self.host, &*self.store)).await;
    }

    async fn close(self) {
        let Self { store, behind, .. } = self;
        drop(store);
        match behind {
            Behind::Memory(_, process)
            | Behind::Moved(_, process)
            | Behind::Sled(process)
            | Behind::Server(_, process) => process.kill().await,
            Behind::Etcd(_) => {}
        }
    }

    /// The next item of what comes to be within half a minute of this host.
    pub async fn soon<F: Future>(&self, what: &str, coming: F) -> F::Output {
        let waited = self.host.clock().timeout(Duration::from_secs(30), coming).await;
        waited.unwrap_or_else(|_| panic!("{what} came within half a minute"))
    }
}

/// The files of a directory as they were at one moment.
struct Left(BTreeMap<PathBuf, Vec<u8>>);

impl Left {
    /// Taken until nothing has changed while it was: a killed process stops all at once.
    fn of(dir: &Path) -> Self {
        let mut last = picture(dir);
        loop {
            let now = picture(dir);
            if now == last {
                return Self(now);
            }
            last = now;
        }
    }

    fn put_back(self, dir: &Path) {
        fs::remove_dir_all(dir).unwrap();
        for (file, bytes) in self.0 {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        fs::create_dir_all(dir.join("sled/blobs")).unwrap();
    }
}

fn elsewhere(store: Arc<dyn Store>) -> Arc<dyn Store> {
    store::moved(store, "", "/elsewhere")
}

async fn serve(server: &Host) -> Process {
    let process = server.process("etcd");
    server::start(process.host(), &manifest(server)).await.unwrap();
    process
}

/// Waits until the store answers.
pub async fn answers(host: &Host, store: &dyn Store) {
    while store.revision().await.is_err() {
        host.clock().sleep(Duration::from_millis(20)).await;
    }
}

/// The apiserver's client of these servers.
pub fn endpoints(servers: &[&Host]) -> EtcdOptions {
    client(servers.iter().map(|server| format!("https://{}:2379", server.net().address())).collect())
}

/// Empties a store, compacts it to its revision, and gives that; a fresh one stays as it is.
async fn empty(store: &dyn Store) -> i64 {
    let revision = store.revision().await.unwrap();
    if revision == 1 {
        return revision;
    }
    for id in 101..110 {
        let _ = store.lease_revoke(id).await;
    }
    // Something to delete, so that there is a revision to compact to.
    store.put("/k/0".into(), "x".into()).await.unwrap();
    let (revision, _) = store.delete(Range::all()).await.unwrap();
    store.compact(revision).await.unwrap();
    revision
}
