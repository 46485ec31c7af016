//! `kubeadm upgrade apply`: the first control plane of a cluster to another release, and the cluster's own objects with
//! it (`cmd/kubeadm/app/cmd/phases/upgrade/apply`).

use api::duration;
use clap::Args;
use client::Rest;
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;

use super::{
    cluster::{self, tag},
    configuration::UpgradeConfig,
    flags::{self, Choice, ChoiceFlags, HostFlags, Only, Settings},
    health, kubelet_config, marks,
    phases::Plan,
    policy::{self, Skew},
    staticpods::Exchange,
    version::Version,
};
use crate::{
    addons, bootstrap_token,
    config::InitConfig,
    kubelet::UNIT,
    manifests,
    patches::Patches,
    paths::{ADMIN_CONF, KUBELET_CONF, MANIFESTS_DIR},
    phases::Parts,
    preflight,
    session::{Failure, Result, Session, yaml},
    upload,
};

/// `kubeadm upgrade apply`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ApplyArgs {
    /// The version to upgrade to
    version: Option<String>,
    #[command(flatten)]
    flags: ApplyFlags,
    /// Phases to leave out, as `phase` or `phase/part`
    #[arg(long, value_delimiter = ',')]
    skip_phases: Vec<String>,
    #[command(subcommand)]
    only: Option<Only<ApplyFlags>>,
}

#[derive(Args)]
struct ApplyFlags {
    #[command(flatten)]
    host: HostFlags,
    #[command(flatten)]
    choice: ChoiceFlags,
    /// Force upgrading although some requirements might not be met; implies non-interactive mode
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    force: Option<bool>,
    /// Perform the upgrade and do not prompt for confirmation
    #[arg(short, long)]
    yes: bool,
}

/// Runs the command.
pub(super) async fn run(s: &mut Session<'_>, own_version: bool, args: ApplyArgs) -> Result<()> {
    let flags = flags::of_phase(&args.flags, args.only.as_ref());
    let named = args.version.as_deref().map(Version::parse).transpose()?;
    let own = s.profile;
    if let (Some(named), false) = (&named, own_version) {
        s.profile = named.release;
    }
    let file = UpgradeConfig::read(s, flags.host.common.config.as_deref())?;
    let section = file.section("apply");
    let named = match (named, section.version()) {
        (None, Some(text)) => Some(Version::parse(&text)?),
        (named, _) => named,
    };
    let settings = flags.host.settings(&section)?;
    let rest = cluster::client(s, flags.host.common.kubeconfig.as_deref().unwrap_or(ADMIN_CONF))?;
    let wanted = match (named, &args.only) {
        (Some(named), _) => Some(named),
        (None, Some(_)) if !own_version => Some(cluster::stored_release(s, &rest).await?.into()),
        (None, Some(_)) => Some(own.into()),
        (None, None) => None,
    };
    let Some(wanted) = wanted else {
        return Err(Failure::new("missing one or more required arguments. Required arguments: [version]"));
    };
    if !own_version {
        s.profile = wanted.release;
    }
    let kubeadm = if own_version { own } else { wanted.release };
    let plan = match &args.only {
        Some(Only::Phase { phase, part, .. }) => Plan::of_apply(kubeadm, phase, part.as_deref())?,
        None => Plan::apply(kubeadm, &flags::skipped(&args.skip_phases, &section))?,
    };
    if let Some(dir) = &settings.patches {
        s.patches = Patches::read(s, dir)?;
    }
    let mut apply = Apply {
        force: match flags.force {
            Some(given) => given,
            None => section.flag("forceUpgrade", false)?,
        },
        choice: flags.choice.choice(&section)?,
        yes: flags.yes,
        settings,
        file,
        rest,
        wanted,
        kubeadm,
        config: None,
        from: None,
    };
    apply.begin(s).await?;
    for (phase, parts) in plan.iter() {
        apply.phase(s, phase, parts).await.map_err(|e| within(kubeadm.upgrade_phases(), phase, e))?;
    }
    if args.only.is_none() {
        apply.farewell(s);
    }
    Ok(())
}

/// What stands before a failure: the phase, or before there were phases the step.
fn within(phases: bool, phase: &str, e: Failure) -> Failure {
    match (phases, phase) {
        (true, _) => e.within(&format!("error execution phase {phase}")),
        // Its steps have names of their own.
        (false, "preflight") => e,
        (false, "control-plane") => e.within("[upgrade/apply] FATAL"),
        (false, _) => e.within("[upgrade/postupgrade] FATAL post-upgrade error"),
    }
}

struct Apply {
    settings: Settings,
    choice: Choice,
    force: bool,
    yes: bool,
    file: UpgradeConfig,
    rest: Rest,
    wanted: Version,
    /// The release of this kubeadm, whose words are spoken.
    kubeadm: api::profile::Profile,
    config: Option<InitConfig>,
    /// What the cluster's control plane was before.
    from: Option<api::profile::Profile>,
}

impl Apply {
    fn config(&self) -> Result<&InitConfig> {
        self.config.as_ref().ok_or_else(|| Failure::new("the cluster's configuration was not read"))
    }

    /// Reads what the cluster remembers.
    async fn begin(&mut self, s: &mut Session<'_>) -> Result<()> {
        let mut config = if self.kubeadm.upgrade_phases() {
            cluster::configuration(s, &self.rest, "upgrade", true).await?
        } else {
            preflight_words(s, self.kubeadm, async |s: &mut Session<'_>| {
                cluster::configuration(s, &self.rest, "upgrade/config", true).await
            })
            .await?
        };
        config.cluster.profile = self.wanted.release;
        self.file.apply(s, &mut config)?;
        if self.choice.print_config {
            s.say("[upgrade/config] Configuration used:");
            kubelet_config::print_indented(s, &yaml("the configuration", &config.cluster.to_value())?);
        }
        self.config = Some(config);
        Ok(())
    }

    async fn phase(&mut self, s: &mut Session<'_>, phase: &str, parts: &[&'static str]) -> Result<()> {
        let dry_run = self.settings.dry_run;
        match phase {
            "preflight" => self.preflight(s).await,
            "control-plane" => self.control_plane(s).await,
            "upload-config" => self.upload_config(s, parts).await,
            "kubeconfig" => kubeconfig(s, self.config()?, dry_run).await,
            "kubelet-config" => self.kubelet_config(s).await,
            "bootstrap-token" => self.bootstrap_token(s).await,
            "addon" => addon(s, &self.rest, self.config()?, parts, dry_run).await,
            _ => Ok(()),
        }
    }

    async fn preflight(&mut self, s: &mut Session<'_>) -> Result<()> {
        let (phases, dry_run) = (self.kubeadm.upgrade_phases(), self.settings.dry_run);
        if phases {
            s.say("[upgrade/preflight] Running preflight checks");
        }
        preflight::root(s, &self.settings.ignore)?;
        let step =
            |name: &str, e: Failure| if phases { e } else { e.within(&format!("[upgrade/{name}] FATAL")) };
        health::check(s, &self.rest, self.config()?, &self.settings.ignore, dry_run)
            .await
            .map_err(|e| step("health", e))?;
        let cluster = cluster::version(&self.rest).await?;
        self.from = Some(cluster.release);
        let skew = Skew {
            wanted: &self.wanted,
            cluster,
            kubeadm: self.kubeadm.into(),
            kubelets: cluster::kubelets(&self.rest).await?.into_keys().collect(),
            allow_experimental: self.choice.experimental,
            allow_release_candidates: self.choice.release_candidates,
        };
        policy::enforce(s, &skew, self.force).map_err(|e| step("version", e))?;
        // From here on the target's facts hold.
        s.profile = self.wanted.profile()?;
        if !(self.yes || self.force || dry_run) {
            s.say("[upgrade] Are you sure you want to proceed? [y/N]: ");
            // A simulated host has no terminal on which somebody could answer.
            return Err(Failure::new(
                "won't proceed; the user didn't answer (Y|y) in order to continue; repeat it with --yes",
            ));
        }
        let who = if phases { "upgrade/preflight" } else { "upgrade/prepull" };
        pull_images(s, self.kubeadm, who, dry_run);
        Ok(())
    }

    async fn control_plane(&self, s: &mut Session<'_>) -> Result<()> {
        let (config, settings) = (self.config()?, &self.settings);
        let version = s.profile.git_version();
        if settings.dry_run {
            s.say(format!(
                "[dryrun] Would upgrade your static Pod-hosted control plane to version {version:?}"
            ));
            return dry_run_manifests(s, config);
        }
        let patience = duration::format(config.timeouts.upgrade_manifests);
        s.say(if self.kubeadm.upgrade_phases() {
            format!(
                "[upgrade/control-plane] Upgrading your static Pod-hosted control plane to version {version:?} (timeout: \
                 {patience})..."
            )
        } else {
            format!(
                "[upgrade/apply] Upgrading your Static Pod-hosted control plane to version {version:?} (timeout: \
                 {patience})..."
            )
        });
        let exchange = Exchange { rest: &self.rest, config, renew: settings.renew, etcd: settings.etcd };
        let done = exchange.run(s).await;
        if !self.kubeadm.upgrade_phases() {
            return done;
        }
        done.map_err(|e| e.within("couldn't complete the static pod upgrade"))?;
        s.say("[upgrade/control-plane] The control plane instance for this node was successfully upgraded!");
        Ok(())
    }

    async fn upload_config(&self, s: &mut Session<'_>, parts: &[&'static str]) -> Result<()> {
        if self.settings.dry_run {
            if parts.contains(&"kubeadm") {
                s.say("[dryrun] Would upload the kubeadm ClusterConfiguration to a ConfigMap");
            }
            if parts.contains(&"kubelet") {
                s.say("[dryrun] Would upload the kubelet component config to a ConfigMap");
            }
            return Ok(());
        }
        if let Some(from) = self.from {
            marks::renew(s, &self.rest, from, s.profile).await?;
        }
        let kubelet = kubelet_config::stored(s, &self.rest).await?;
        upload::run(s, &self.rest, self.config()?, &kubelet.unwrap_or(Value::Null), &Parts::of(parts)).await
    }

    async fn kubelet_config(&self, s: &mut Session<'_>) -> Result<()> {
        kubelet_config::write(s, &self.rest, self.config()?, self.settings.dry_run).await?;
        if self.kubeadm.upgrade_phases() {
            s.say(
                "[upgrade/kubelet-config] The kubelet configuration for this node was successfully upgraded!",
            );
        }
        Ok(())
    }

    async fn bootstrap_token(&self, s: &mut Session<'_>) -> Result<()> {
        if self.settings.dry_run {
            s.say("[dryrun] Would configure bootstrap token and cluster-info RBAC rules");
            return Ok(());
        }
        if self.kubeadm.upgrade_phases() {
            s.say("[upgrade/bootstrap-token] Configuring bootstrap token and cluster-info RBAC rules");
        }
        bootstrap_token::allow(s, &self.rest).await?;
        bootstrap_token::publish(s, &self.rest).await
    }

    fn farewell(&self, s: &mut Session<'_>) {
        let version = s.profile.git_version();
        let words = match (self.settings.dry_run, self.kubeadm.upgrade_phases()) {
            (true, _) => "[upgrade/successful] Finished dryrunning successfully!".to_owned(),
            (false, true) => format!(
                "\n[upgrade] SUCCESS! A control plane node of your cluster was upgraded to {version:?}.\n\n\
                 [upgrade] Now please proceed with upgrading the rest of the nodes by following the right order."
            ),
            (false, false) => format!(
                "\n[upgrade/successful] SUCCESS! Your cluster was upgraded to {version:?}. Enjoy!\n\n\
                 [upgrade/kubelet] Now that your control plane is upgraded, please proceed with upgrading your kubelets if \
                 you haven't already done so."
            ),
        };
        s.say(words);
    }
}

/// The words before and after reading the configuration, of a kubeadm before there were phases and of `plan`.
pub(super) async fn preflight_words<'s, T>(
    s: &mut Session<'s>,
    kubeadm: api::profile::Profile,
    read: impl AsyncFnOnce(&mut Session<'s>) -> Result<T>,
) -> Result<T> {
    const CHECKS: &str = "[preflight] Running pre-flight checks.";
    if !kubeadm.upgrade_words_of_131() {
        s.say("[upgrade/config] Making sure the configuration is correct:");
    }
    let first = kubeadm.upgrade_plan_names_nodes();
    if first {
        s.say(CHECKS);
    }
    let read = read(s).await.map_err(|e| e.within("[upgrade/config] FATAL"))?;
    if !first {
        s.say(CHECKS);
    }
    Ok(read)
}

/// What kubeadm says of images: those of a simulated host are there as soon as somebody wants them.
pub(super) fn pull_images(s: &mut Session<'_>, kubeadm: api::profile::Profile, who: &str, dry_run: bool) {
    if dry_run {
        let who = if kubeadm.upgrade_phases() { "dryrun" } else { who };
        s.say(format!("[{who}] Would pull the required images (like 'kubeadm config images pull')"));
        return;
    }
    let when = if kubeadm.upgrade_words_of_131() { "beforehand" } else { "in beforehand" };
    s.say(format!("[{who}] Pulling images required for setting up a Kubernetes cluster"));
    s.say(format!(
        "[{who}] This might take a minute or two, depending on the speed of your internet connection"
    ));
    s.say(format!("[{who}] You can also perform this action {when} using 'kubeadm config images pull'"));
}

/// Shows the manifests that an upgrade would write.
pub(super) fn dry_run_manifests(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    for (component, text) in manifests::control_plane_manifests(s, config)? {
        s.say(format!("[dryrun] Would write file \"{MANIFESTS_DIR}/{component}.yaml\" with content:"));
        kubelet_config::print_indented(s, &text);
    }
    Ok(())
}

/// The phase `kubeconfig`: where control planes' kubelets talk to their own apiserver, kubelet.conf is led there. Its
/// credentials are the kubelet's business.
pub(super) async fn kubeconfig(s: &mut Session<'_>, config: &InitConfig, dry_run: bool) -> Result<()> {
    if s.profile.join_etcd_before_bootstrap() {
        let mut kubelet = Kubeconfig::load(s.disk(), KUBELET_CONF)?;
        let everybodys = format!("https://{}", config.endpoint());
        let local = format!("https://{}", config.local_endpoint());
        let server = kubelet.cluster()?.1.server.clone();
        if server == everybodys && everybodys != local {
            if dry_run {
                s.say(format!(
                    "[dryrun] Would change the Server URL from {server:?} to {local:?} in {KUBELET_CONF} and try to restart \
                     kubelet"
                ));
            } else {
                for named in &mut kubelet.clusters {
                    named.cluster.server.clone_from(&local);
                }
                s.disk().write(KUBELET_CONF, kubelet.to_yaml(), 0o600)?;
                s.host.services().restart(s.host, UNIT).await;
            }
        }
    }
    if s.profile.upgrade_phases() && !dry_run {
        // 1.32 says it with this name.
        let who = if s.profile.join_etcd_before_bootstrap() { "upgrade" } else { "upgrad" };
        s.say(format!("[{who}/kubeconfig] The kubeconfig files for this node were successfully upgraded!"));
    }
    Ok(())
}

/// The phase `addon`: once every control plane is of the new release.
pub(super) async fn addon(
    s: &mut Session<'_>,
    rest: &Rest,
    config: &InitConfig,
    parts: &[&'static str],
    dry_run: bool,
) -> Result<()> {
    for part in parts {
        let behind = behind(rest, &config.node_name).await.map_err(|e| {
            e.within("failed to determine whether all the control plane instances have been upgraded")
        })?;
        if !behind.is_empty() {
            s.say(format!(
                "[upgrade/addon] Skipping upgrade of addons because control plane instances [{}] have not been upgraded",
                behind.join(" ")
            ));
            continue;
        }
        if dry_run {
            let name = if *part == "coredns" { "CoreDNS" } else { part };
            s.say(format!("[dryrun] Would apply the essential addon: {name}"));
            continue;
        }
        addons::run(s, rest, config, &Parts::of(&[part])).await?;
    }
    Ok(())
}

/// The control planes whose apiserver is of another version than this host's.
async fn behind(rest: &Rest, here: &str) -> Result<Vec<String>> {
    let text = |pod: &Value, at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found: Vec<(String, String)> = cluster::pods(rest, "component=kube-apiserver")
        .await?
        .iter()
        .map(|pod| (text(pod, "/spec/nodeName"), tag(&text(pod, "/spec/containers/0/image")).to_owned()))
        .collect();
    found.sort();
    let own = found.iter().find(|(node, _)| node == here).map(|(_, tag)| tag.clone()).unwrap_or_default();
    Ok(found.into_iter().filter(|(_, tag)| *tag != own).map(|(node, _)| node).collect())
}
