//! `chronoplane machine`: what a host does by itself from when it is switched on. The first program of a container or of
//! a virtual machine that is a node of its own.
//!
//! ```text
//! first start   kubeadm with the given arguments, once, as cloud-init would run it; that starts the kubelet
//! later ones    the kubelet, which finds its files and runs what they say
//! ```
//!
//! The kubelet is started again ten seconds after it has ended, as its unit in kubeadm's packages says. The components of
//! its static pods are processes. Which host this is says the environment, as for every component ([`PLACE`]).

use std::{process::ExitCode, sync::Arc};

use api::profile::Profile;
use chronoplane::Machinery;
use clap::Args;
use world::{Exit, Host};

use crate::{
    cli::Refusal,
    components::{self, PLACE, Place},
    milestone::Milestone,
    up::process::{self, ProcessLauncher},
};

/// `chronoplane machine`.
#[derive(Args)]
pub struct MachineArgs {
    /// Behave as this Kubernetes release
    #[arg(long, value_parser = Profile::parse)]
    kubernetes_version: Option<Profile>,
    /// What kubeadm is to do with a new host: `-- init …` or `-- join …`
    #[arg(last = true)]
    kubeadm: Vec<String>,
}

/// Lives until it is told to end.
///
/// # Errors
/// kubeadm gave up, now or earlier; or the host's files cannot be written.
pub fn run(args: MachineArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("warn");
    let place = Place::of_this_process()?;
    if place.address.is_loopback() && std::env::var_os(PLACE).is_none() {
        return Err(Refusal(format!(
            "a host of its own has an address that others reach; say who it is: \
             {PLACE}='{{\"name\":\"cp1\",\"address\":\"10.0.0.11\",\"root\":\"/\"}}'"
        )));
    }
    let runtime = components::runtime()?;
    let host = place.host();
    let ended = runtime.block_on(async {
        let ended = tokio::select! {
            biased;
            _ = components::told_to_end() => Ok(()),
            ended = live(&host, place.clone(), args) => ended,
        };
        host.halt().await;
        process::end_all().await;
        ended
    });
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn live(host: &Host, place: Place, args: MachineArgs) -> Result<(), Refusal> {
    let profile = args.kubernetes_version.unwrap_or_default();
    let machinery = Machinery::with_launcher(Arc::new(ProcessLauncher::new(place)));
    machinery.install(host, profile);
    match Milestone::of(host)? {
        Milestone::Done => host.services().start(host, "kubelet"),
        Milestone::New => kubeadm(host, profile, args.kubeadm).await?,
        Milestone::CutShort => {
            return Err(Refusal(format!(
                "kubeadm was cut short on {}, and does not go on from there; begin again with a new host, or empty \
                 /etc/kubernetes, /var/lib/kubelet, /var/lib/etcd and /var/lib/chronoplane on this one",
                host.name()
            )));
        }
    }
    std::future::pending().await
}

async fn kubeadm(host: &Host, profile: Profile, mut args: Vec<String>) -> Result<(), Refusal> {
    if args.is_empty() {
        return Err(Refusal(format!(
            "{} is no node yet; say what kubeadm is to do: `chronoplane machine -- init`, or `-- join …`",
            host.name()
        )));
    }
    args.push(format!("--kubernetes-version={}", profile.git_version()));
    Milestone::begin(host)?;
    let process = host.process("kubeadm");
    match kubeadm_sim::run(process.host().clone(), args, &mut std::io::stdout()).await {
        Exit::Success => Ok(Milestone::done(host)?),
        Exit::Failure(why) => Err(Refusal(why)),
    }
}
