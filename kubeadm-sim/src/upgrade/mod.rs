//! `kubeadm upgrade`: a running cluster to another release, component by component
//! (`cmd/kubeadm/app/cmd/upgrade`).
//!
//! ```text
//! plan    which releases there are to go to
//! apply   preflight (health, policy) → control-plane (staticpods) → upload-config → kubeconfig →
//!         kubelet-config → bootstrap-token → addon → post-upgrade
//! node    the same for every other host, without what concerns the whole cluster
//! diff    what would change in the manifests
//! ```
//!
//! kubeadm itself is of the release that the cluster shall have: whoever names no `--kubernetes-version` runs that
//! one. The kubelet is not upgraded here: its package is installed anew, and it is restarted.

mod apply;
mod cluster;
mod configuration;
mod diff;
mod flags;
mod health;
mod kubelet_config;
mod marks;
mod node;
mod phases;
mod plan;
mod policy;
mod renewal;
mod staticpods;
mod version;
mod waiter;

use clap::{Args, Subcommand};

use crate::session::{Result, Session};

#[derive(Args)]
pub(crate) struct UpgradeArgs {
    #[command(subcommand)]
    command: UpgradeCommand,
}

#[derive(Subcommand)]
enum UpgradeCommand {
    /// Upgrade your Kubernetes cluster to the specified version
    Apply(Box<apply::ApplyArgs>),
    /// Show what differences would be applied to existing static pod manifests
    Diff(diff::DiffArgs),
    /// Upgrade commands for a node in the cluster
    Node(Box<node::NodeArgs>),
    /// Check which versions are available to upgrade to and validate whether your current cluster is upgradeable
    Plan(plan::PlanArgs),
}

/// Runs the command; `own_version` says whether this kubeadm's release was named.
pub(crate) async fn run(s: &mut Session<'_>, own_version: bool, args: UpgradeArgs) -> Result<()> {
    match args.command {
        UpgradeCommand::Apply(args) => apply::run(s, own_version, *args).await,
        UpgradeCommand::Diff(args) => diff::run(s, own_version, args).await,
        UpgradeCommand::Node(args) => node::run(s, own_version, *args).await,
        UpgradeCommand::Plan(args) => plan::run(s, own_version, args).await,
    }
}
