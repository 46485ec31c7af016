//! `kubeadm upgrade diff`: what another release would change in the manifests of this host
//! (`cmd/kubeadm/app/cmd/upgrade/diff.go`).

use clap::Args;
use similar::TextDiff;

use super::{cluster, version::Version};
use crate::{
    manifests,
    paths::{ADMIN_CONF, MANIFESTS_DIR},
    session::{Failure, Result, Session},
};

/// `kubeadm upgrade diff`.
#[derive(Args)]
pub(super) struct DiffArgs {
    /// The version to compare with
    version: Option<String>,
    /// How many lines of context in the diff
    #[arg(short, long, default_value_t = 3)]
    context_lines: usize,
    /// The kubeconfig file to use when talking to the cluster
    #[arg(long, default_value = ADMIN_CONF)]
    kubeconfig: String,
}

/// Runs the command.
pub(super) async fn run(s: &mut Session<'_>, own_version: bool, args: DiffArgs) -> Result<()> {
    let Some(text) = &args.version else {
        return Err(Failure::new("missing one or more required arguments. Required arguments: [version]"));
    };
    let wanted = Version::parse(text)?.profile()?;
    if !own_version {
        s.profile = wanted;
    }
    let rest = cluster::client(s, &args.kubeconfig)?;
    let mut config = cluster::configuration(s, &rest, "upgrade/diff", true).await?;
    config.cluster.profile = wanted;
    for (component, new) in manifests::control_plane_manifests(s, &config)? {
        let path = format!("{MANIFESTS_DIR}/{component}.yaml");
        let old = s.disk().read_to_string(&path)?;
        let diff = TextDiff::from_lines(&old, &new)
            .unified_diff()
            .context_radius(args.context_lines)
            .header(&path, "new manifest")
            .to_string();
        if !diff.is_empty() {
            s.say(diff.trim_end_matches('\n'));
        }
    }
    Ok(())
}
