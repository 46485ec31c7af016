//! `kubeadm upgrade node`: this host, worker or further control plane, to the release that the cluster has already
//! (`cmd/kubeadm/app/cmd/phases/upgrade/node`).

use clap::Args;
use client::Rest;

use super::{
    apply::{addon, dry_run_manifests, kubeconfig, pull_images},
    cluster,
    configuration::UpgradeConfig,
    flags::{self, HostFlags, Only, Settings},
    kubelet_config,
    phases::Plan,
    staticpods::Exchange,
};
use crate::{
    config::InitConfig,
    patches::Patches,
    paths::{ADMIN_CONF, KUBELET_CONF, MANIFESTS_DIR},
    preflight,
    session::{Result, Session},
};

/// `kubeadm upgrade node`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct NodeArgs {
    #[command(flatten)]
    flags: HostFlags,
    /// Phases to leave out, as `phase` or `phase/part`
    #[arg(long, value_delimiter = ',')]
    skip_phases: Vec<String>,
    #[command(subcommand)]
    only: Option<Only<HostFlags>>,
}

/// Runs the command.
pub(super) async fn run(s: &mut Session<'_>, own_version: bool, args: NodeArgs) -> Result<()> {
    let flags = flags::of_phase(&args.flags, args.only.as_ref());
    let control_plane = s.disk().exists(format!("{MANIFESTS_DIR}/kube-apiserver.yaml"));
    let default = if control_plane { ADMIN_CONF } else { KUBELET_CONF };
    let rest = cluster::client(s, flags.common.kubeconfig.as_deref().unwrap_or(default))?;
    let stored = cluster::stored_release(s, &rest).await?;
    if !own_version {
        s.profile = stored;
    }
    let kubeadm = s.profile;
    let file = UpgradeConfig::read(s, flags.common.config.as_deref())?;
    let section = file.section("node");
    let settings = flags.settings(&section)?;
    let plan = match &args.only {
        Some(Only::Phase { phase, part, .. }) => Plan::of_node(kubeadm, phase, part.as_deref())?,
        None => Plan::node(kubeadm, &flags::skipped(&args.skip_phases, &section))?,
    };
    let mut config = cluster::configuration(s, &rest, "upgrade", control_plane).await?;
    // The cluster's release, whichever kubeadm this is.
    config.cluster.profile = stored;
    s.profile = stored;
    file.apply(s, &mut config)?;
    if let Some(dir) = &settings.patches {
        s.patches = Patches::read(s, dir)?;
    }
    let node = Node { settings, rest, kubeadm, config, control_plane };
    for (phase, parts) in plan.iter() {
        node.phase(s, phase, parts).await.map_err(|e| e.within(&format!("error execution phase {phase}")))?;
    }
    if args.only.is_none() && !kubeadm.upgrade_phases() {
        s.say("[upgrade] The configuration for this node was successfully updated!");
        s.say(
            "[upgrade] Now you should go ahead and upgrade the kubelet package using your package manager.",
        );
    }
    Ok(())
}

struct Node {
    settings: Settings,
    rest: Rest,
    /// The release of this kubeadm, whose words are spoken.
    kubeadm: api::profile::Profile,
    config: InitConfig,
    control_plane: bool,
}

impl Node {
    async fn phase(&self, s: &mut Session<'_>, phase: &str, parts: &[&'static str]) -> Result<()> {
        let dry_run = self.settings.dry_run;
        let phases = self.kubeadm.upgrade_phases();
        match phase {
            "preflight" => self.preflight(s),
            "control-plane" if self.control_plane => self.control_plane(s).await,
            "kubeconfig" if self.control_plane => kubeconfig(s, &self.config, dry_run).await,
            "control-plane" | "kubeconfig" if phases => {
                s.say(format!("[upgrade/{phase}] Skipping phase. Not a control plane node."));
                Ok(())
            }
            "control-plane" => {
                s.say("[upgrade] Skipping phase. Not a control plane node.");
                Ok(())
            }
            "kubelet-config" => {
                kubelet_config::write(s, &self.rest, &self.config, dry_run).await?;
                if phases {
                    s.say(
                        "[upgrade/kubelet-config] The kubelet configuration for this node was successfully upgraded!",
                    );
                }
                Ok(())
            }
            "addon" if !self.kubeadm.upgrade_words_of_131() => Ok(()),
            "addon" if self.control_plane => addon(s, &self.rest, &self.config, parts, dry_run).await,
            "addon" if phases => {
                for part in parts {
                    s.say(format!(
                        "[upgrade/addon] Skipping the addon/{part} phase. Not a control plane node."
                    ));
                }
                Ok(())
            }
            "addon" => {
                s.say("[upgrade] Skipping phase. Not a control plane node.");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Of kubeadm's checks only the user's is asked here.
    fn preflight(&self, s: &mut Session<'_>) -> Result<()> {
        let who = if self.kubeadm.upgrade_phases() { "upgrade/preflight" } else { "preflight" };
        s.say(format!("[{who}] Running pre-flight checks"));
        preflight::root(s, &self.settings.ignore)?;
        if self.control_plane {
            pull_images(s, self.kubeadm, who, self.settings.dry_run);
        } else {
            s.say(format!("[{who}] Skipping prepull. Not a control plane node."));
        }
        Ok(())
    }

    async fn control_plane(&self, s: &mut Session<'_>) -> Result<()> {
        let settings = &self.settings;
        let version = s.profile.git_version();
        let phases = self.kubeadm.upgrade_phases();
        if settings.dry_run {
            s.say(format!(
                "[dryrun] Would upgrade your static Pod-hosted control plane to version {version:?}"
            ));
            return dry_run_manifests(s, &self.config);
        }
        s.say(if phases {
            format!(
                "[upgrade/control-plane] Upgrading your Static Pod-hosted control plane instance to version {version:?}..."
            )
        } else {
            format!("[upgrade] Upgrading your Static Pod-hosted control plane instance to version {version:?}...")
        });
        let exchange =
            Exchange { rest: &self.rest, config: &self.config, renew: settings.renew, etcd: settings.etcd };
        exchange.run(s).await.map_err(|e| e.within("couldn't complete the static pod upgrade"))?;
        s.say(if phases {
            "[upgrade/control-plane] The control plane instance for this node was successfully upgraded!"
        } else {
            "[upgrade] The control plane instance for this node was successfully updated!"
        });
        Ok(())
    }
}
