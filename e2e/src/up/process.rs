//! `up --processes`: kubelets as processes, and each component that a kubelet runs as well.
//!
//! A child ends when its parent does, however that ends: it reads its standard input, and nobody
//! else holds the other end.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::LazyLock,
    time::Duration,
};

use async_trait::async_trait;
use chronoplane::{Machinery, machinery::kubelet_args};
use kubelet_sim::{Behind, Container, Launcher, Running, interpret};
use parking_lot::Mutex;
use tokio::{
    process::{Child, ChildStdin, Command},
    sync::{oneshot, watch},
};
use world::{Clock, Exit, Host, Unit};

use crate::components::{Component, ENDS_WITH_PARENT, PLACE, Place, RECORDS, SHARED_CLOCKS};

/// Kubelets as child processes; `dir` holds the hosts' files. Whether they and the components that they run record what
/// happens, each host in a file.
pub fn machinery(dir: PathBuf, records: bool) -> Machinery {
    Machinery::units(move |profile| {
        let dir = dir.clone();
        Unit::new(move |host: Host| {
            let dir = dir.clone();
            async move {
                let args = match kubelet_args(&host, profile) {
                    Ok(args) => args,
                    Err(why) => return Exit::Failure(why),
                };
                let address = match host.net().address() {
                    std::net::IpAddr::V4(address) => address,
                    std::net::IpAddr::V6(_) => {
                        return Exit::Failure("a host of the real gear has an IPv4 address".into());
                    }
                };
                let place = Place { name: host.name().to_owned(), address, root: dir.join(host.name()) };
                // One that was stopped has its ports for a moment longer, and so has what it started.
                gone(&log_of(&place.root, KUBELET)).await;
                if let Err(why) = until_deserted(host.clock(), &place.root).await {
                    return Exit::Failure(why);
                }
                let records = records.then_some((RECORDS, "1"));
                match spawn(&place, Component::Kubelet, KUBELET, args, records) {
                    Ok(kubelet) => match kubelet.ended().await {
                        Ok(status) if status.success() => Exit::Success,
                        Ok(status) => Exit::Failure(format!(
                            "kubelet ended with {status}: {}; see {}",
                            last_words(&kubelet.log),
                            kubelet.log.display()
                        )),
                        Err(why) => Exit::Failure(why),
                    },
                    Err(why) => Exit::Failure(why),
                }
            }
        })
    })
}

const KUBELET: &str = "kubelet";

/// What a kubelet runs as processes, by the names of their programs.
const STARTED_BY_KUBELET: [(&str, Component); 4] = [
    ("etcd", Component::Etcd),
    ("kube-apiserver", Component::Apiserver),
    ("kube-controller-manager", Component::Controllers),
    ("kube-scheduler", Component::Scheduler),
];

/// What a program said last, without the program's own `error: `.
fn last_words(log: &Path) -> String {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Where a component writes what it says, below the root of its host.
pub(crate) fn log_of(root: &Path, name: &str) -> PathBuf {
    root.join("var/log").join(format!("{name}.log"))
}

/// Whether no program of an earlier `up` runs on the host whose root that is. Each holds a lock on its log from before it
/// begins until it is gone: its output goes there.
///
/// # Errors
/// A log cannot be opened or locked.
fn is_deserted(root: &Path) -> io::Result<bool> {
    // A kubelet starts the others: after it there are no new ones.
    let mut logs = vec![log_of(root, KUBELET)];
    logs.extend(STARTED_BY_KUBELET.map(|(name, _)| log_of(root, name)));
    for log in logs {
        // To write as well: over NFS there is no exclusive lock on what is only read.
        let file = match OpenOptions::new().read(true).write(true).open(&log) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        match file.try_lock() {
            // By hand: a child that another thread starts at this moment has the file too, until it has begun.
            Ok(()) => file.unlock()?,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
    Ok(true)
}

/// So long a program may take that an earlier kubelet has left; and how often one looks whether it is gone.
const LEAVES: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(50);

/// Returns when no program runs any more on the host whose root that is: what a kubelet leaves that was killed ends by
/// itself, and writes and has its ports until then.
///
/// # Errors
/// One does not end within five minutes, or a log cannot be locked.
pub(crate) async fn until_deserted(clock: &Clock, root: &Path) -> Result<(), String> {
    let logs = root.join("var/log");
    let deadline = clock.monotonic() + LEAVES;
    loop {
        match is_deserted(root) {
            Ok(true) => return Ok(()),
            Ok(false) if clock.monotonic() < deadline => clock.sleep(LOOK).await,
            Ok(false) => {
                return Err(format!(
                    "what was left running there still writes to the logs in {}; end it",
                    logs.display()
                ));
            }
            Err(e) => return Err(format!("cannot lock the logs in {}: {e}", logs.display())),
        }
    }
}

/// The children that there are, by their logs, and that they shall end: [`end_all`] must see each of them gone.
static LIVE: LazyLock<watch::Sender<BTreeSet<(PathBuf, u64)>>> = LazyLock::new(<_>::default);
static ENDING: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// After its standard input closed, a child has so long to end before it is killed; a kubelet, which has to see its own
/// children gone, three times as long.
const FAREWELL: Duration = Duration::from_secs(5);

/// Tells every child of this process to end, and returns when the last is gone.
pub async fn end_all() {
    ENDING.send_replace(true);
    let mut live = LIVE.subscribe();
    // The sender is a static: this cannot fail.
    let _ = live.wait_for(BTreeSet::is_empty).await;
    ENDING.send_replace(false);
}

/// Returns when no child with that log is there.
pub(crate) async fn gone(log: &Path) {
    let mut live = LIVE.subscribe();
    // As above.
    let _ = live.wait_for(|live| live.iter().all(|(one, _)| one != log)).await;
}

/// A child process. It ends when this is dropped.
struct Program {
    kill: Mutex<Option<oneshot::Sender<()>>>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<Result<ExitStatus, String>>>>,
    log: PathBuf,
}

impl Program {
    async fn ended(&self) -> Result<ExitStatus, String> {
        match self.ended.lock().await.take() {
            Some(ended) => ended.await.unwrap_or_else(|_| Err("nobody waits for it".into())),
            None => std::future::pending().await,
        }
    }
}

/// `more`: of the environment.
fn spawn(
    place: &Place,
    component: Component,
    name: &str,
    args: Vec<String>,
    more: Option<(&str, &str)>,
) -> Result<Program, String> {
    let log = log_of(&place.root, name);
    let open = || -> io::Result<File> {
        if let Some(dir) = log.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        // The child gets the lock together with the file: see `is_deserted`.
        file.lock_shared()?;
        Ok(file)
    };
    let out = open().map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let err = out.try_clone().map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let program = std::env::current_exe().map_err(|e| format!("cannot find this program again: {e}"))?;
    let place = serde_json::to_string(place).map_err(|e| e.to_string())?;
    let mut child = Command::new(program)
        .arg(component.command())
        .arg("--")
        .args(args)
        .env(PLACE, place)
        .env(ENDS_WITH_PARENT, "1")
        .env(SHARED_CLOCKS, "1")
        .envs(more)
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(err)
        // Ctrl-C at a terminal reaches whole groups; who ends first is for us to say.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot start {name}: {e}"))?;
    // tokio's `Child::wait` would close this end at once, and the child would end.
    let mut input = child.stdin.take();
    let farewell = if component == Component::Kubelet { 3 * FAREWELL } else { FAREWELL };
    let (kill, mut killed) = oneshot::channel::<()>();
    let (tell, ended) = oneshot::channel();
    let mut entry = (log.clone(), 0);
    LIVE.send_modify(|live| {
        while !live.insert(entry.clone()) {
            entry.1 += 1;
        }
    });
    // It outlives the host's process, whose end is one of the things it waits for.
    #[allow(clippy::disallowed_methods, reason = "waits for an operating system's process")]
    tokio::spawn(async move {
        let told = async {
            let _ = ENDING.subscribe().wait_for(|ending| *ending).await;
        };
        let ended = tokio::select! {
            biased;
            status = child.wait() => Some(status),
            _ = &mut killed => None,
            () = told => None,
        };
        let status = match ended {
            Some(status) => status,
            None => say_goodbye(&mut child, input.take(), farewell).await,
        };
        let _ = tell.send(status.map_err(|e| e.to_string()));
        LIVE.send_modify(|live| {
            live.remove(&entry);
        });
    });
    Ok(Program { kill: Mutex::new(Some(kill)), ended: tokio::sync::Mutex::new(Some(ended)), log })
}

#[allow(clippy::disallowed_methods, reason = "the child lives in real time")]
async fn say_goodbye(
    child: &mut Child,
    input: Option<ChildStdin>,
    farewell: Duration,
) -> io::Result<ExitStatus> {
    drop(input);
    match tokio::time::timeout(farewell, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            child.kill().await?;
            child.wait().await
        }
    }
}

/// Runs the components that it knows by their image as processes; everything else is interpreted in the kubelet's own.
pub struct ProcessLauncher {
    place: Place,
}

impl ProcessLauncher {
    /// For the kubelet of the host at `place`.
    pub fn new(place: Place) -> Self {
        Self { place }
    }
}

#[async_trait]
impl Launcher for ProcessLauncher {
    async fn launch(&self, host: &Host, container: &Container) -> Result<Box<dyn Running>, String> {
        let (name, tag) = container.program();
        let Some((_, component)) = STARTED_BY_KUBELET.into_iter().find(|(known, _)| *known == name) else {
            return Ok(interpret(host, container));
        };
        let mut args = container.arguments();
        if component != Component::Etcd && !tag.is_empty() {
            args.push(format!("--kubernetes-version={tag}"));
        }
        Ok(Box::new(spawn(&self.place, component, name, args, None)?))
    }
}

#[async_trait]
impl Running for Program {
    async fn wait(&self) -> (i32, String) {
        match self.ended().await {
            Ok(status) => {
                let words = format!("{}; see {}", last_words(&self.log), self.log.display());
                (status.code().unwrap_or(137), words)
            }
            Err(why) => (1, why),
        }
    }

    async fn kill(&self) {
        if let Some(kill) = self.kill.lock().take() {
            let _ = kill.send(());
        }
    }

    fn behind(&self) -> Behind {
        Behind::Program
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    /// A program with its output in `log`, as [`spawn`] starts one.
    fn started(log: &Path) -> process::Child {
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        let out = OpenOptions::new().create(true).append(true).open(log).unwrap();
        out.lock_shared().unwrap();
        process::Command::new("sleep").arg("600").stdout(out).spawn().unwrap()
    }

    #[test]
    fn a_host_is_deserted_when_the_last_program_is_gone() {
        for name in ["kubelet", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
            let root = tempfile::tempdir().unwrap();
            assert!(is_deserted(root.path()).unwrap(), "nothing ever ran there");
            let mut first = started(&log_of(root.path(), name));
            let mut second = started(&log_of(root.path(), name));
            assert!(!is_deserted(root.path()).unwrap(), "{name} twice");
            for (child, left) in [(&mut first, 1), (&mut second, 0)] {
                child.kill().unwrap();
                child.wait().unwrap();
                assert_eq!(is_deserted(root.path()).unwrap(), left == 0, "{name}, {left} left");
            }
        }
    }
}
