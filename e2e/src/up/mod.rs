//! `chronoplane up`: a cluster on this machine, until Ctrl-C or for as long as a given command runs.

mod beginning;
mod command;
mod etcd;
mod page;
pub(crate) mod pause;
pub mod process;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use api::profile::Profile;
use chronoplane::{
    ClusterOptions, Machinery, TaskLauncher,
    cluster::{self, CONTROL_PLANE},
};
use client::{DeleteParams, Resource, Rest};
use pki::{KeyAlgorithm, token::BootstrapToken};
use serde::{Deserialize, Serialize};
use world::{
    Host,
    real::{Block, Real},
};

use crate::{cli::Refusal, components, milestone::Milestone, progress::Progress};
pub use etcd::EtcdArgs;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Workers.
    pub nodes: usize,
    /// Where everything is kept; `None` for a temporary directory.
    pub data_dir: Option<PathBuf>,
    /// Each component a process of its own.
    pub processes: bool,
    /// The release.
    pub profile: Profile,
    /// Of all keys.
    pub algorithm: KeyAlgorithm,
    /// What to run with the cluster, for a shell; the cluster ends with it.
    pub exec: Option<String>,
    /// An etcd that runs already, if any is named.
    pub etcd: EtcdArgs,
    /// Whether the timeline is served.
    pub page: bool,
}

/// What a data directory remembers of its cluster.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    format: u32,
    kubernetes_version: String,
    base: Ipv4Addr,
    nodes: usize,
}

const FORMAT: u32 = 1;
const FILE: &str = "chronoplane.json";
const PARTIAL: &str = "chronoplane.json.partial";
/// What the components say, unless `RUST_LOG` sends it to standard error.
const LOG: &str = "chronoplane.log";

/// Brings the cluster up, prints how to reach it, and takes it down when told to end.
///
/// # Errors
/// The directory is not ours, is in use, or a component did not start.
pub fn run(plan: Plan) -> Result<ExitCode, Refusal> {
    if plan.page && plan.processes {
        return Err(Refusal(
            "--page shows and sets what happens in this process; leave --processes away, or --page".into(),
        ));
    }
    let runtime = components::runtime()?;
    let temporary = match &plan.data_dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("chronoplane-")
                .tempdir()
                .map_err(|e| Refusal(format!("cannot make a temporary directory: {e}")))?,
        ),
    };
    let dir = match (&plan.data_dir, &temporary) {
        (Some(dir), _) => std::path::absolute(dir)?,
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => return Err(Refusal("no directory".into())),
    };
    let outcome = runtime.block_on(async {
        let (memory, block) = open(&dir, &plan)?;
        components::log_to_file(&dir.join(LOG), "warn")?;
        let world = Real::new(dir.clone(), block);
        world.share_clocks();
        if plan.page {
            page::prepare(&world);
        }
        let pauses = pause::serve(&world, &dir, hosts(memory.nodes).collect(), plan.processes);
        let ended = tokio::select! {
            biased;
            () = components::told_to_end() => Ok(ExitCode::SUCCESS),
            never = pauses => match never {},
            ended = serve(&world, &dir, &plan, &memory) => ended,
        };
        for name in hosts(memory.nodes) {
            world.host(&name)?.halt().await;
        }
        process::end_all().await;
        ended
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    drop(temporary);
    outcome
}

fn hosts(nodes: usize) -> impl Iterator<Item = String> {
    std::iter::once(CONTROL_PLANE.to_owned()).chain((1..=nodes).map(|n| format!("node{n}")))
}

/// A new directory gets a block of addresses; a known one gets its own again.
fn open(dir: &Path, plan: &Plan) -> Result<(Memory, Block), Refusal> {
    let file = dir.join(FILE);
    if !dir.exists() {
        std::fs::create_dir_all(dir)
            .map_err(|e| Refusal(format!("cannot make the data directory {}: {e}", dir.display())))?;
    }
    if file.exists() {
        let memory = remembered(&file)?;
        let block = Block::reopen(memory.base).map_err(|_| {
            Refusal(format!(
                "{} is in use by another chronoplane; stop it first, or name another --data-dir",
                dir.display()
            ))
        })?;
        return Ok((memory, block));
    }
    let stranger = std::fs::read_dir(dir)?.flatten().find(|entry| entry.file_name() != PARTIAL);
    if let Some(entry) = stranger {
        return Err(Refusal(format!(
            "{} holds {:?} but no cluster of chronoplane; name an empty or a new directory",
            dir.display(),
            entry.file_name()
        )));
    }
    let block = Block::reserve()?;
    let memory = Memory {
        format: FORMAT,
        kubernetes_version: plan.profile.git_version(),
        base: block.base(),
        nodes: plan.nodes,
    };
    // All of it or nothing: whoever comes after a kill must not find half.
    std::fs::write(dir.join(PARTIAL), serde_json::to_string_pretty(&memory)?)?;
    std::fs::rename(dir.join(PARTIAL), &file)?;
    Ok((memory, block))
}

fn remembered(file: &Path) -> Result<Memory, Refusal> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Refusal(format!("cannot read {}: {e}; name another --data-dir", file.display())))?;
    let memory: Memory = serde_json::from_str(&text).map_err(|e| {
        Refusal(format!(
            "{} was not written by this version of chronoplane ({e}); name another --data-dir",
            file.display()
        ))
    })?;
    if memory.format != FORMAT {
        return Err(Refusal(format!(
            "{} has format {}, this version writes {FORMAT}; name another --data-dir",
            file.display(),
            memory.format
        )));
    }
    Ok(memory)
}

/// A data directory with a cluster, as other commands look at it.
pub(crate) struct Kept {
    /// The directory.
    pub dir: PathBuf,
    /// Its hosts' names.
    pub hosts: Vec<String>,
    base: Ipv4Addr,
}

impl Kept {
    /// The cluster of `data_dir`; without one, the cluster whose kubeconfig `KUBECONFIG` names.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find(data_dir: Option<&Path>) -> Result<Self, Refusal> {
        let dir = match data_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => named_by_kubeconfig()?,
        };
        let file = dir.join(FILE);
        if !file.exists() {
            return Err(Refusal(format!(
                "{} holds no cluster; `chronoplane up --data-dir DIR` makes one, and --data-dir names it",
                dir.display()
            )));
        }
        let memory = remembered(&file)?;
        Ok(Self { dir, hosts: hosts(memory.nodes).collect(), base: memory.base })
    }

    /// Whether an `up` runs it now.
    pub(crate) fn runs(&self) -> bool {
        Block::reopen(self.base).is_err()
    }
}

/// `up` keeps the kubeconfig that it names below its data directory.
fn named_by_kubeconfig() -> Result<PathBuf, Refusal> {
    let refused = |why: &str| {
        Refusal(format!(
            "{why}; name the cluster with --data-dir, or take the KUBECONFIG that `chronoplane up` prints"
        ))
    };
    let named = std::env::var_os("KUBECONFIG").ok_or_else(|| refused("which cluster?"))?;
    let path = std::path::absolute(&named)?;
    let dir = path.ancestors().find(|dir| dir.join(FILE).exists());
    dir.map(Path::to_owned).ok_or_else(|| {
        refused(&format!("KUBECONFIG={} is no kubeconfig of `chronoplane up`", path.display()))
    })
}

/// Bootstraps or restarts all hosts, then runs the plan's command, or waits for ever.
async fn serve(world: &Real, dir: &Path, plan: &Plan, memory: &Memory) -> Result<ExitCode, Refusal> {
    let profile = Profile::parse(&memory.kubernetes_version)?;
    let machinery = if plan.processes {
        process::machinery(dir.to_owned(), false)
    } else {
        Machinery::tasks(TaskLauncher { key_algorithm: plan.algorithm, ..TaskLauncher::default() })
    };
    // Addresses are given in this order, on every start.
    let mut all: Vec<Host> = Vec::new();
    for name in hosts(memory.nodes) {
        all.push(world.host(&name)?);
    }
    let Some((first, workers)) = all.split_first() else { return Ok(ExitCode::SUCCESS) };
    if plan.page {
        let url = page::serve(first, world, profile.git_version()).await?;
        eprintln!("timeline: {url}");
    }
    let progress = Progress::of(format!("bringing up a control plane and {} nodes", memory.nodes));
    let kubeconfig = dir.join(CONTROL_PLANE).join("etc/kubernetes/admin.conf");
    let token = BootstrapToken::generate(first.entropy());
    let beginning = beginning::of(first, workers, dir).await?;
    let fresh = beginning.is_new;
    let options = ClusterOptions {
        profile,
        nodes: memory.nodes,
        algorithm: plan.algorithm,
        etcd: if fresh { plan.etcd.hand_over(first)? } else { None },
        ..ClusterOptions::default()
    };
    for host in &beginning.nodes {
        machinery.install(host, profile);
        host.services().start(host, "kubelet");
    }
    if fresh {
        Milestone::begin(first)?;
        cluster::init(first, &machinery, &options, &token).await?;
        Milestone::done(first)?;
    }
    let config = cluster::admin_config(first)?;
    let admin = Rest::from_kubeconfig(first, &config, profile.go(), "chronoplane-up")?;
    let ready = profile.ready_path();
    cluster::wait_for(first, "the apiserver is ready", async || {
        let (status, _) = admin.raw(http::Method::GET, ready, None).await.ok()?;
        status.is_success().then_some(())
    })
    .await?;
    // With a command, standard output is the command's.
    if plan.exec.is_none() {
        outln!("export KUBECONFIG={}", kubeconfig.display());
    }
    if !beginning.strangers.is_empty() {
        if !fresh {
            again(first, &admin, &beginning.strangers, &token).await?;
        }
        cluster::discoverable(first, &admin, &token).await?;
        let (machinery, options, token) = (&machinery, &options, &token);
        let joins = beginning.strangers.iter().map(|node| async move {
            Milestone::begin(node)?;
            cluster::join(first, node, machinery, options, token).await?;
            Ok::<_, Refusal>(Milestone::done(node)?)
        });
        for joined in futures::future::join_all(joins).await {
            joined?;
        }
    }
    cluster::nodes_ready(first, &admin, memory.nodes + 1).await?;
    drop(progress);
    if let Some(line) = &plan.exec {
        return command::run(line, &kubeconfig).await;
    }
    let nodes = memory.nodes + 1;
    eprintln!(
        "{nodes} node{} Ready at {} ({}); Ctrl-C ends it{}",
        if nodes == 1 { " is" } else { "s are" },
        config.server()?,
        profile.git_version(),
        if plan.data_dir.is_some() { " and keeps the data directory" } else { "" }
    );
    std::future::pending().await
}

/// Lets nodes join a cluster that is there already, whose first token is forgotten. kubeadm refuses one whose name it
/// finds among the Ready.
async fn again(
    first: &Host,
    admin: &Rest,
    strangers: &[Host],
    token: &BootstrapToken,
) -> Result<(), Refusal> {
    let nodes = Resource::core("nodes");
    for node in strangers {
        if admin.get_opt(&nodes, None, node.name()).await?.is_some() {
            admin.delete(&nodes, None, node.name(), &DeleteParams::default()).await?;
        }
    }
    let create = ["token", "create", &token.reveal()].map(str::to_owned);
    cluster::kubeadm(first, create.into()).await?;
    Ok(())
}
