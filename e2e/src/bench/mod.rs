//! Figures: how fast, how many, how heavy. Printed, never asserted.
//!
//! * [`api`]: requests, lists and watches of any API server.
//! * [`boot`]: until a control plane is ready.
//! * [`bootstrap`]: kubelets that become Ready in a second, from a token to a signed certificate.
//! * [`engines`]: the store's engines, and etcd beside them.
//! * [`planes`]: many control planes in one process, each in a world of its own.
//! * [`heartbeats`]: how many kubelets one process carries, and what each of them weighs.
//! * [`time`]: simulated time per real time.
//! * [`fleet`]: the control plane and the kubelets that the middle two measure, in either gear.

pub mod api;
pub mod boot;
pub mod bootstrap;
pub mod engines;
pub mod fleet;
pub mod heartbeats;
pub mod planes;
pub mod time;

mod process;
mod server;
pub mod watcher;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::{
    cli::{Output, Refusal},
    progress::Progress,
};

/// `chronoplane bench`.
#[derive(Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
    /// How to print the figures
    #[arg(long, value_enum, global = true, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Subcommand)]
enum What {
    /// Requests, lists and watches a second, with percentiles, and memory; of any server
    Api(api::Plan),
    /// From process start to /readyz, and resident memory
    Boot,
    /// Full TLS bootstraps a second: token, request, approval, signature, certificate, Node, Ready
    Bootstrap(bootstrap::Plan),
    /// Many kubelets heart-beating in one process, and the memory of each
    Heartbeats(heartbeats::Plan),
    /// Control planes side by side in one process, as tests have them: until each answers, and the memory of each
    Planes(planes::Plan),
    /// The store's engines: durable creates, lists, watches, restarts, bytes; etcd beside them where it is installed
    Store(engines::Plan),
    /// Simulated time per real time of a cluster
    Time(time::Plan),
}

/// Algorithm of the cluster's keys, as kubeadm's encryptionAlgorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Keys {
    /// ECDSA on P-256.
    EcdsaP256,
    /// RSA of 2048 bits, kubeadm's own default.
    #[value(name = "rsa-2048")]
    Rsa2048,
}

impl From<Keys> for pki::KeyAlgorithm {
    fn from(keys: Keys) -> Self {
        match keys {
            Keys::EcdsaP256 => Self::EcdsaP256,
            Keys::Rsa2048 => Self::Rsa2048,
        }
    }
}

/// Measures and prints.
///
/// # Errors
/// What was to be measured did not come about.
pub fn run(args: BenchArgs) -> Result<ExitCode, Refusal> {
    let _progress = Progress::of("measuring");
    match args.what {
        What::Api(plan) => api::run(&plan, args.output),
        What::Boot => boot::run(args.output),
        What::Bootstrap(plan) => bootstrap::run(&plan, args.output),
        What::Heartbeats(plan) => heartbeats::run(&plan, args.output),
        What::Planes(plan) => planes::run(&plan, args.output),
        What::Store(plan) => engines::run(&plan, args.output),
        What::Time(plan) => time::run(&plan, args.output),
    }
}
