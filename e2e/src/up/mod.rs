//! `chronoplane up`: a cluster on this machine, until Ctrl-C or for as long as a given command runs.

mod beginning;
mod command;
mod etcd;
mod kept;
mod page;
pub(crate) mod pause;
pub mod process;

use std::{
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
};

use api::profile::Profile;
use chronoplane::{
    ClusterOptions, Machinery, TaskLauncher,
    cluster::{self, CONTROL_PLANE},
};
use client::{DeleteParams, Resource, Rest};
use pki::{KeyAlgorithm, token::BootstrapToken};
use serde_json::json;
use world::{Host, real::Real};

use crate::{
    cli::{Output, Refusal},
    components,
    milestone::Milestone,
    progress::Progress,
};
pub use etcd::EtcdArgs;
pub(crate) use kept::Kept;
use kept::{Memory, hosts};

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Workers; `None`: as many as the data directory has, or one.
    pub nodes: Option<usize>,
    /// Where everything is kept; `None` for a temporary directory.
    pub data_dir: Option<PathBuf>,
    /// Each component a process of its own.
    pub processes: bool,
    /// The release; `None`: the data directory's, or the newest.
    pub profile: Option<Profile>,
    /// Of all keys.
    pub algorithm: KeyAlgorithm,
    /// What to run with the cluster, for a shell; the cluster ends with it.
    pub exec: Option<String>,
    /// An etcd that runs already, if any is named.
    pub etcd: EtcdArgs,
    /// Whether the timeline is served.
    pub page: bool,
    /// How it says that it is ready.
    pub output: Output,
}

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
        let (memory, block) = kept::open(&dir, &plan)?;
        components::log_to_file(&dir.join(LOG), "warn")?;
        let world = Real::new(dir.clone(), block);
        world.share_clocks();
        if plan.page {
            page::prepare(&world);
        }
        let pauses = pause::serve(&world, &dir, hosts(memory.nodes).collect(), plan.processes);
        let ended = tokio::select! {
            biased;
            never = pauses => match never {},
            ended = live(&world, &dir, &plan, &memory) => ended,
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

/// From the first host's start until the plan's command has ended, or somebody tells it to end.
async fn live(world: &Real, dir: &Path, plan: &Plan, memory: &Memory) -> Result<ExitCode, Refusal> {
    // One listener from beginning to end: no signal falls between two.
    let mut told = pin!(components::told_to_end());
    let kubeconfig = tokio::select! {
        biased;
        // A command that never ran has not succeeded.
        signal = &mut told => return Ok(match plan.exec {
            Some(_) => command::ended_by(signal),
            None => ExitCode::SUCCESS,
        }),
        kubeconfig = serve(world, dir, plan, memory) => kubeconfig?,
    };
    match &plan.exec {
        Some(line) => command::run(line, &kubeconfig, world.host(CONTROL_PLANE)?.clock(), told).await,
        None => {
            told.await;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Bootstraps or restarts all hosts, until every node is Ready and that is said; the administrator's kubeconfig.
async fn serve(world: &Real, dir: &Path, plan: &Plan, memory: &Memory) -> Result<PathBuf, Refusal> {
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
    let Some((first, workers)) = all.split_first() else {
        return Err(Refusal("a cluster without hosts".into()));
    };
    let text = plan.output == Output::Text;
    let timeline = match plan.page {
        true => Some(page::serve(first, world, profile.git_version()).await?),
        false => None,
    };
    if let Some(url) = timeline.as_ref().filter(|_| text) {
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
    if plan.exec.is_none() && text {
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
    if plan.exec.is_some() {
        return Ok(kubeconfig);
    }
    if !text {
        let hosts: Vec<_> = all.iter().map(Host::name).collect();
        outln!(
            "{}",
            json!({
                "kubeconfig": kubeconfig,
                "server": config.server()?,
                "timeline": timeline,
                "hosts": hosts,
                "kubernetesVersion": profile.git_version(),
            })
        );
        return Ok(kubeconfig);
    }
    let nodes = memory.nodes + 1;
    eprintln!(
        "{nodes} node{} Ready at {} ({}); Ctrl-C ends it{}",
        if nodes == 1 { " is" } else { "s are" },
        config.server()?,
        profile.git_version(),
        if plan.data_dir.is_some() { " and keeps the data directory" } else { "" }
    );
    Ok(kubeconfig)
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
