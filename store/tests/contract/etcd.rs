//! etcd itself as processes of this machine, over mutual TLS between clients and members and among members.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use store::{Store, StoreError};
use world::{
    Host,
    real::{Block, Real},
};

use crate::{
    common::tls::EtcdCa,
    engines::{answers, endpoints, say},
};

/// All members of one cluster. Killed when dropped.
pub struct Members {
    program: PathBuf,
    root: tempfile::TempDir,
    hosts: Vec<Host>,
    client: Host,
    running: Vec<Child>,
    /// Its addresses are nobody else's while it is kept.
    _world: Real,
}

impl Drop for Members {
    fn drop(&mut self) {
        self.kill();
    }
}

/// etcd's program: what `ETCD` names, else the one on PATH.
///
/// # Panics
/// There is none, and `CHRONOPLANE_REQUIRE` names etcd.
fn program() -> Option<PathBuf> {
    let program = std::env::var_os("ETCD").map_or_else(|| "etcd".into(), PathBuf::from);
    let found = Command::new(&program).arg("--version").output().is_ok_and(|said| said.status.success());
    let required =
        std::env::var("CHRONOPLANE_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "etcd"));
    assert!(found || !required, "CHRONOPLANE_REQUIRE names etcd, and {} is no program", program.display());
    if !found {
        say("SKIPPED: no `etcd` on PATH; Debian has it in etcd-server, ETCD=/path names one");
    }
    found.then_some(program)
}

impl Members {
    /// Starts a cluster of so many members; `None` if there is no etcd here, which is said aloud.
    pub async fn start(count: usize) -> Option<Self> {
        let program = program()?;
        let root = tempfile::tempdir().unwrap();
        let world = Real::new(root.path().to_owned(), Block::reserve().unwrap());
        let client = world.host("cp1").unwrap();
        let hosts: Vec<Host> = (1..=count).map(|n| world.host(&format!("etcd{n}")).unwrap()).collect();
        let (ca, day) = (EtcdCa::new(&client), Duration::from_secs(86_400));
        hosts.iter().for_each(|host| ca.kubeadm(host, day));
        ca.apiserver(&client, day);
        let mut this = Self { program, root, hosts, client, running: Vec::new(), _world: world };
        this.start_again().await;
        Some(this)
    }

    /// Who uses it.
    pub fn client(&self) -> &Host {
        &self.client
    }

    /// A client that knows all members.
    pub fn store(&self) -> Arc<dyn Store> {
        store::etcd(&self.client, &endpoints(&self.hosts.iter().collect::<Vec<_>>())).unwrap()
    }

    /// A cluster that nothing was ever written to. etcd before 3.4.32 and 3.5.14 forgets revisions when it is killed
    /// after a compaction to a deletion (etcd-io/etcd#17780): who kills must not have emptied before.
    pub async fn renew(&mut self) {
        let fresh = self.store().revision().await.is_ok_and(|revision| revision == 1);
        if !fresh {
            self.kill();
            for host in &self.hosts {
                std::fs::remove_dir_all(self.root.path().join(host.name()).join("etcd-data")).unwrap();
            }
            self.start_again().await;
        }
    }

    /// SIGKILL for all.
    pub fn kill(&mut self) {
        for mut member in self.running.drain(..) {
            let _ = member.kill();
            let _ = member.wait();
        }
    }

    /// All members on what they left.
    pub async fn start_again(&mut self) {
        self.spawn();
        self.ready().await;
    }

    fn spawn(&mut self) {
        let peer = |host: &Host| format!("https://{}:2380", host.net().address());
        let names = self.hosts.iter().map(|host| format!("{}={}", host.name(), peer(host)));
        let cluster = names.collect::<Vec<_>>().join(",");
        // On a busy machine a leader must not pass for one that is gone. Who is alone has none to miss, and would only be
        // longer without itself after each restart.
        let patience: &[&str] = match self.hosts.len() {
            1 => &[],
            _ => &["--heartbeat-interval=200", "--election-timeout=2000"],
        };
        for host in &self.hosts {
            let files = self.root.path().join(host.name());
            let url = format!("https://{}:2379", host.net().address());
            let log = std::fs::File::create(files.join("etcd.log")).unwrap();
            let member = Command::new(&self.program)
                .arg(format!("--name={}", host.name()))
                .arg(format!("--data-dir={}", files.join("etcd-data").display()))
                .arg(format!("--listen-client-urls={url}"))
                .arg(format!("--advertise-client-urls={url}"))
                .arg(format!("--listen-peer-urls={}", peer(host)))
                .arg(format!("--initial-advertise-peer-urls={}", peer(host)))
                .arg(format!("--initial-cluster={cluster}"))
                .args(tls(&files, "", "server"))
                .args(tls(&files, "peer-", "peer"))
                // Processes are killed, power is not: what was written is there without waiting for a busy disk.
                .arg("--unsafe-no-fsync")
                .args(patience)
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            self.running.push(member.unwrap());
        }
    }

    async fn ready(&self) {
        let store = self.store();
        // The servers may be up, and their cluster still be without a leader.
        let ready =
            self.client.clock().timeout(Duration::from_secs(60), answers(&self.client, &*store)).await;
        if ready.is_err() {
            let log = self.root.path().join("etcd1/etcd.log");
            panic!("etcd does not answer: {}", std::fs::read_to_string(log).unwrap_or_default());
        }
    }
}

/// One side's files, as [`EtcdCa::kubeadm`] makes them.
fn tls(files: &Path, side: &str, name: &str) -> [String; 4] {
    let pki = files.join("etc/kubernetes/pki/etcd");
    let file = |name: String| pki.join(name).display().to_string();
    [
        format!("--{side}cert-file={}", file(format!("{name}.crt"))),
        format!("--{side}key-file={}", file(format!("{name}.key"))),
        format!("--{side}trusted-ca-file={}", file("ca.crt".into())),
        format!("--{side}client-cert-auth"),
    ]
}

/// While etcd is away its clients hear so; what they watched goes on when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_outlives_the_servers_that_it_watched() {
    let Some(mut members) = Members::start(1).await else { return };
    let (store, clock) = (members.store(), members.client().clock().clone());
    assert!(store.status().await.unwrap().engine.starts_with("etcd 3."));
    let before = store.put("/k/1".into(), "before".into()).await.unwrap();
    let mut watch = store.watch(store::Range::key("/k/1"), before, Default::default()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, before);
    members.kill();
    let down = store.put("/k/1".into(), "down".into()).await.unwrap_err();
    assert!(matches!(down, StoreError::Transport(_)), "{down:?}");
    assert!(down.to_string().starts_with("rpc error: code = Unavailable desc = "), "{down}");
    members.start_again().await;
    let after = store.put("/k/1".into(), "after".into()).await.unwrap();
    let batch = clock.timeout(Duration::from_secs(30), watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((batch.revision, batch.events[0].kv.value.as_ref()), (after, &b"after"[..]));
}
