//! `chronoplane balancer`: a layer-4 balancer in front of apiservers, as HAProxy is one in kubeadm's guide to high
//! availability. TLS ends at the apiservers, so that clients' certificates arrive.

use std::{net::SocketAddr, process::ExitCode};

use chronoplane::balancer::Balancer;
use clap::Args;

use crate::{
    cli::Refusal,
    components::{self, Place},
};

/// `chronoplane balancer`.
#[derive(Args)]
pub struct BalancerArgs {
    /// Where it listens
    #[arg(long, default_value_t = 6443)]
    port: u16,
    /// The apiservers, ADDRESS:PORT. Asked for /healthz every two seconds; two answers in a row decide
    #[arg(required = true)]
    backends: Vec<SocketAddr>,
}

/// Carries connections until it is told to end.
///
/// # Errors
/// The port is taken.
pub fn run(args: &BalancerArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("warn");
    let host = Place::of_this_process()?.host();
    let runtime = components::runtime()?;
    let ended = runtime.block_on(async {
        let balancer = Balancer::layer4(&host, args.port, &args.backends).await?;
        eprintln!("balancing {} over {} apiservers", balancer.address(), args.backends.len());
        components::told_to_end().await;
        balancer.stop().await;
        Ok(ExitCode::SUCCESS)
    });
    runtime.shutdown_background();
    ended
}
