//! `kubeadm upgrade diff`: what another release would change in the manifests of this host
//! (`cmd/kubeadm/app/cmd/upgrade/diff.go`).

use clap::Args;
use similar::TextDiff;

use super::{cluster, configuration::UpgradeConfig, staticpods::CONTROL_PLANE, version::Version};
use crate::{
    manifests,
    paths::{ADMIN_CONF, MANIFESTS_DIR},
    session::{Failure, Result, Session},
};

/// Lines around a change.
const CONTEXT: usize = 3;

/// `kubeadm upgrade diff`.
#[derive(Args)]
pub(super) struct DiffArgs {
    /// The version to compare with
    version: Option<String>,
    /// kubeadm configuration file with an UpgradeConfiguration
    #[arg(long)]
    config: Option<String>,
    /// How many lines of context in the diff; default 3
    #[arg(short, long)]
    context_lines: Option<usize>,
    /// The kubeconfig file to use when talking to the cluster
    #[arg(long, default_value = ADMIN_CONF)]
    kubeconfig: String,
}

/// Runs the command.
pub(super) async fn run(s: &mut Session<'_>, own_version: bool, args: DiffArgs) -> Result<()> {
    let named = args.version.as_deref().map(Version::parse).transpose()?;
    if let (Some(named), false) = (&named, own_version) {
        s.profile = named.release;
    }
    for component in CONTROL_PLANE {
        let path = format!("{MANIFESTS_DIR}/{component}.yaml");
        if !s.disk().exists(&path) {
            return Err(Failure::new(format!(
                "the manifest file {path:?} does not exist: stat {path}: no such file or directory"
            )));
        }
    }
    let file = UpgradeConfig::read(s, args.config.as_deref())?;
    let section = file.section("diff");
    let context =
        args.context_lines.map_or_else(|| section.count("contextLines"), |lines| Ok(Some(lines)))?;
    let rest = cluster::client(s, &args.kubeconfig)?;
    let wanted = match (named, section.version()) {
        (Some(named), _) => named.profile()?,
        (None, Some(text)) => Version::parse(&text)?.profile()?,
        // Without anything else the cluster's own.
        (None, None) => cluster::stored_release(s, &rest).await?,
    };
    if !own_version {
        s.profile = wanted;
    }
    let mut config = cluster::configuration(s, &rest, "upgrade/diff", true).await?;
    config.cluster.profile = wanted;
    file.apply(s, &mut config)?;
    for (component, new) in manifests::control_plane_manifests(s, &config)? {
        let path = format!("{MANIFESTS_DIR}/{component}.yaml");
        let old = s.disk().read_to_string(&path)?;
        let diff = TextDiff::from_lines(&old, &new)
            .unified_diff()
            .context_radius(context.unwrap_or(CONTEXT))
            .header(&path, "new manifest")
            .to_string();
        if !diff.is_empty() {
            s.say(diff.trim_end_matches('\n'));
        }
    }
    Ok(())
}
