//! The components as programs of their own, on a host of the real gear.
//!
//! `up --processes` says by environment on which of its hosts a component runs. Without that, the
//! host is this machine: its files as they are, listening on 127.0.0.1.

use std::{
    future::Future,
    io::{Read, Write as _},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::Arc,
};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use world::{
    Exit, Host,
    real::{Block, Real},
};

use crate::{cli::Refusal, up::process::ProcessLauncher};

/// Environment variable with a [`Place`] in JSON.
pub const PLACE: &str = "CHRONOPLANE_HOST";
/// Set for a child whose host's clock other processes see and set.
pub const SHARED_CLOCKS: &str = "CHRONOPLANE_SHARED_CLOCKS";
/// Set for a child that writes what happens into the file [`RECORD_FILE`] of its host, for its parent to read.
pub const RECORDS: &str = "CHRONOPLANE_RECORDS";
/// Below the root of a host.
pub const RECORD_FILE: &str = "var/log/chronoplane-record";
/// Set for a child that ends when its parent's end of its standard input closes.
pub const ENDS_WITH_PARENT: &str = "CHRONOPLANE_ENDS_WITH_PARENT";

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as what they are")]
pub enum Component {
    Apiserver,
    Etcd,
    Controllers,
    Scheduler,
    Kubelet,
    Kubeadm,
}

impl Component {
    /// The subcommand.
    pub fn command(self) -> &'static str {
        match self {
            Self::Apiserver => "apiserver",
            Self::Etcd => "etcd",
            Self::Controllers => "controllers",
            Self::Scheduler => "scheduler",
            Self::Kubelet => "kubelet",
            Self::Kubeadm => "kubeadm",
        }
    }
}

impl Component {
    /// What upstream calls the program.
    fn program(self) -> &'static str {
        match self {
            Self::Apiserver => "kube-apiserver",
            Self::Etcd => "etcd",
            Self::Controllers => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Kubeadm => "kubeadm",
        }
    }

    /// What it says of its own flags; `None` for kubeadm, which has commands and tells of each.
    /// The apiserver's depends on the release that the other flags name.
    fn help(self, args: &[String]) -> Option<String> {
        Some(match self {
            Self::Apiserver => apiserver::options::help_of(args),
            Self::Etcd => store::server::help(),
            Self::Controllers => controllers::ManagerOptions::help(),
            Self::Scheduler => controllers::SchedulerOptions::help(),
            Self::Kubelet => kubelet_sim::help(),
            Self::Kubeadm => return None,
        })
    }
}

/// A host of a world that another process made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Its address in 127.0.0.0/8.
    pub address: Ipv4Addr,
    /// Where its files are.
    pub root: PathBuf,
}

impl Place {
    pub(crate) fn of_this_process() -> Result<Self, Refusal> {
        match std::env::var(PLACE) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|e| Refusal(format!("{PLACE} is not the description of a host: {e}"))),
            Err(_) => {
                let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
                    .unwrap_or_else(|_| "localhost".into());
                Ok(Self {
                    name: name.trim().to_lowercase(),
                    address: Ipv4Addr::LOCALHOST,
                    root: PathBuf::from("/"),
                })
            }
        }
    }

    /// The host as this process sees it. `root` is the host's own: no name is added to it.
    pub fn host(&self) -> Host {
        self.world().host_at(&self.name, self.address)
    }

    /// [`Place::host`] whose connections are on threads of their own: for a process that serves or loads a server.
    ///
    /// # Errors
    /// There are no threads.
    pub(crate) fn serving_host(&self) -> std::io::Result<Host> {
        let world = self.world();
        world.open_lanes(cores())?;
        Ok(world.host_at(&self.name, self.address))
    }

    fn world(&self) -> Real {
        let world = Real::rooted(self.root.clone(), Block::joined(self.address));
        if std::env::var_os(SHARED_CLOCKS).is_some() {
            world.share_clocks();
        }
        if std::env::var_os(RECORDS).is_some()
            && let Err(error) = world.record_into(&self.root.join(RECORD_FILE))
        {
            tracing::error!("what happens is not recorded: {error}");
        }
        world
    }
}

/// A runtime of the real gear.
///
/// # Errors
/// The operating system gives none.
pub fn runtime() -> Result<tokio::runtime::Runtime, Refusal> {
    runtime_of(cores())
}

/// How many threads are of use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(4)
}

/// A runtime with so many threads.
///
/// # Errors
/// The operating system gives none.
pub(crate) fn runtime_of(threads: usize) -> Result<tokio::runtime::Runtime, Refusal> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_stack_size(8 << 20)
        .enable_all()
        .build();
    built.map_err(|e| Refusal(format!("cannot start a runtime: {e}")))
}

/// Logs of components go to standard error; `RUST_LOG` chooses.
pub fn log_to_stderr(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
}

/// Logs of components go to the file at `path`, or to standard error if `RUST_LOG` chooses some.
///
/// # Errors
/// The file cannot be written.
pub fn log_to_file(path: &Path, default: &str) -> Result<(), Refusal> {
    if std::env::var_os("RUST_LOG").is_some() {
        log_to_stderr(default);
        return Ok(());
    }
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|e| Refusal(format!("cannot write the log {}: {e}", path.display())))?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(default)
        .with_writer(std::sync::Mutex::new(file))
        .with_ansi(false)
        .without_time()
        .try_init();
    Ok(())
}

/// Runs `component` with its own flags until it exits or is told to end.
///
/// # Errors
/// What is wrong with flags, files or ports. What ends a component that had started is told on standard error, and is
/// exit code 1.
pub fn run(component: Component, args: Vec<String>) -> Result<ExitCode, Refusal> {
    if args.iter().any(|arg| arg == "-h" || arg == "--help")
        && let Some(text) = component.help(&args)
    {
        // Whoever pages through it may close the pipe early.
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    log_to_stderr("warn");
    let mut place = Place::of_this_process()?;
    let args = match component {
        Component::Kubeadm => rooted(args, &mut place)?,
        _ => args,
    };
    // An API server's connections are on lanes; what is left needs no two threads that wake each other.
    let serves = component == Component::Apiserver;
    let runtime = if serves { runtime_of(1)? } else { runtime()? };
    let host = if serves { place.serving_host()? } else { place.host() };
    let (exit, started) = runtime.block_on(async {
        let process = host.process(component.program());
        let inner = process.host().clone();
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut main: Pin<Box<dyn Future<Output = Option<Exit>>>> = match component {
            Component::Apiserver => {
                let stop = async {
                    if told.await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                Box::pin(process.host().spawn(apiserver::run_until(inner, args, stop)).join())
            }
            Component::Etcd => Box::pin(process.host().spawn(store::server::run(inner, args)).join()),
            Component::Controllers => {
                Box::pin(process.host().spawn(controllers::manager::run(inner, args)).join())
            }
            Component::Scheduler => {
                Box::pin(process.host().spawn(controllers::scheduler::run(inner, args)).join())
            }
            Component::Kubelet => {
                let launcher = Arc::new(ProcessLauncher::new(place.clone()));
                Box::pin(process.host().spawn(kubelet_sim::run(inner, args, launcher)).join())
            }
            // A program that starts nothing and ends by itself: it is its own main task.
            Component::Kubeadm => Box::pin(async move {
                let mut out = std::io::stdout();
                Some(kubeadm_sim::run(inner, args, &mut out).await)
            }),
        };
        let exit = tokio::select! {
            biased;
            _ = told_to_end() => {
                // The API server has clients to take leave of; a second signal is an order.
                let exit = if component == Component::Apiserver && tell.send(()).is_ok() {
                    tokio::select! {
                        biased;
                        _ = signalled() => std::process::exit(1),
                        exit = &mut main => exit,
                    }
                } else {
                    None
                };
                process.kill().await;
                crate::up::process::end_all().await;
                exit
            }
            // Nobody has killed it: a panic, whose words stand on standard error.
            exit = &mut main => exit.or_else(|| Some(Exit::Failure("its main task panicked".into()))),
        };
        (exit, process.has_started())
    });
    runtime.shutdown_background();
    match exit {
        None | Some(Exit::Success) => Ok(ExitCode::SUCCESS),
        Some(Exit::Failure(_)) if component == Component::Kubeadm => Ok(ExitCode::FAILURE),
        Some(Exit::Failure(why)) if started => {
            eprintln!("error: {why}");
            Ok(ExitCode::FAILURE)
        }
        Some(Exit::Failure(why)) => Err(Refusal(why)),
    }
}

/// Takes kubeadm's `--rootfs` out of its arguments: every path of the host is below that directory.
fn rooted(args: Vec<String>, place: &mut Place) -> Result<Vec<String>, Refusal> {
    let mut kept = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let given = match arg.strip_prefix("--rootfs") {
            Some("") => args.next(),
            Some(value) => value.strip_prefix('=').map(str::to_owned),
            None => {
                kept.push(arg);
                continue;
            }
        };
        let Some(dir) = given.filter(|dir| !dir.is_empty()) else {
            return Err(Refusal("--rootfs wants a directory: --rootfs=DIR".into()));
        };
        let root = std::path::absolute(&dir).map_err(|e| Refusal(format!("--rootfs {dir}: {e}")))?;
        if !root.is_dir() {
            return Err(Refusal(format!("--rootfs {dir}: there is no such directory; make it first")));
        }
        place.root = root;
    }
    Ok(kept)
}

/// SIGINT, SIGTERM, or the end of the parent for a child of ours, which counts as SIGTERM.
pub async fn told_to_end() -> Signal {
    let (sender, parent) = tokio::sync::oneshot::channel::<()>();
    if std::env::var_os(ENDS_WITH_PARENT).is_some() {
        std::thread::spawn(move || {
            // Nothing is ever written: the read ends when the parent's end closes.
            let _ = std::io::stdin().read(&mut [0; 1]);
            let _ = sender.send(());
        });
    } else {
        // Kept alive: an unsent channel never resolves.
        std::mem::forget(sender);
    }
    tokio::select! {
        biased;
        signal = signalled() => signal,
        _ = parent => Signal::TERM,
    }
}

/// SIGINT or SIGTERM.
async fn signalled() -> Signal {
    let signal = |kind| async move {
        match tokio::signal::unix::signal(kind) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = signal(tokio::signal::unix::SignalKind::interrupt()) => Signal::INT,
        () = signal(tokio::signal::unix::SignalKind::terminate()) => Signal::TERM,
    }
}
