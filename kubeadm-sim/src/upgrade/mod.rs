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
mod diff;
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

use clap::{ArgAction, Args, Subcommand};

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

/// What `apply` and `node` do with a control plane.
#[derive(Args)]
struct ControlPlaneFlags {
    /// Perform the renewal of certificates used by component changed during upgrades
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    certificate_renewal: bool,
    /// Perform the upgrade of etcd
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    etcd_upgrade: bool,
    /// Do not change any state, just output what actions would be performed
    #[arg(long)]
    dry_run: bool,
}

/// Which unstable versions `apply` and `plan` may choose.
#[derive(Args)]
struct UnstableFlags {
    /// Allow alpha, beta and candidate versions, which have no profile here
    #[arg(long)]
    allow_experimental_upgrades: bool,
    /// Allow release candidates, which have no profile here
    #[arg(long)]
    allow_release_candidate_upgrades: bool,
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

fn lower(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.to_lowercase()).collect()
}
