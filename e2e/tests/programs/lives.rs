//! The lives of one `chronoplane up --data-dir`: it is started, looked at, killed, and started again.

use std::{
    io::{BufRead, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use api::profile::Profile;
use client::Rest;
use pki::kubeconfig::Kubeconfig;
use world::{Disk, Host};

pub const NODES: usize = 2;
/// How long a cluster may take until it has noticed that it was away.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often one looks for what comes and stays.
const LOOK: Duration = Duration::from_millis(100);
/// And for what is there for half a second.
pub const GLANCE: Duration = Duration::from_millis(5);

/// `chronoplane up`; killed when dropped.
pub struct Up {
    pub child: Child,
    pub said: Vec<String>,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Up {
    pub fn spawn(dir: &Path, flags: &[String]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
            .args(["up", &format!("--nodes={NODES}"), "--data-dir"])
            .arg(dir)
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, said: Vec::new() }
    }

    /// Starts it and waits until it says that all nodes are Ready.
    pub fn start(dir: &Path, flags: &[String]) -> Self {
        let mut up = Self::spawn(dir, flags);
        for line in BufReader::new(up.child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            let ready = line.contains(" Ready at ");
            up.said.push(line);
            if ready {
                return up;
            }
        }
        panic!("it ended: {:#?}", up.said);
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it; gives what it had said.
    pub fn silence(mut self) -> String {
        let mut said = String::new();
        self.child.kill().unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

/// The administrator of the cluster in `dir`.
pub fn admin(dir: &Path, host: &Host) -> Rest {
    let path = dir.join("cp1/etc/kubernetes/admin.conf");
    let config = Kubeconfig::load(&Disk::real("/".into()), path).unwrap();
    Rest::from_kubeconfig(host, &config, Profile::default().go(), "comeback").unwrap()
}

/// Looks until `look` finds something.
pub async fn until<T>(host: &Host, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    until_every(LOOK, host, what, look).await
}

/// As [`until`], so often.
pub async fn until_every<T>(
    every: Duration,
    host: &Host,
    what: &str,
    look: impl AsyncFn() -> Option<T>,
) -> T {
    let clock = host.clock();
    let found = clock.timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            clock.sleep(every).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("never: {what}"))
}

pub fn on_threads(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}
