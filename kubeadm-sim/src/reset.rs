//! `kubeadm reset`: takes from this host what init or join put there (`cmd/kubeadm/app/cmd/phases/reset`).
//!
//! The cluster's objects stay, this host's Node among them, as do CNI's files and people's kubeconfigs.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use world::FileKind;

use crate::{
    cli::ignored_checks,
    documents::{ConfigError, Documents, text, texts},
    etcd_join,
    kubelet::UNIT,
    paths::{
        ADMIN_CONF, API_CALL_TIMEOUT, APISERVER_PORT, BOOTSTRAP_KUBELET_CONF, CONTROLLER_MANAGER_CONF,
        CONTROLLER_MANAGER_PORT, KUBELET_CONF, KUBELET_DIR, KUBERNETES_DIR, MANIFESTS_DIR, PKI_DIR,
        SCHEDULER_CONF, SCHEDULER_PORT, SUPER_ADMIN_CONF,
    },
    phases::{Plan, Workflow},
    preflight::{in_use, root},
    session::{Failure, Result, Session, poll},
    stored,
};

/// How often it is looked whether the containers have ended.
const CONTAINER_POLL: Duration = Duration::from_millis(100);

/// How the slices of pods begin.
const POD_SLICES: &str = "kubepods-pod";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    pub flags: ResetFlags,
    /// Phases to leave out
    #[arg(long, value_delimiter = ',')]
    pub skip_phases: Vec<String>,
    #[command(subcommand)]
    pub only: Option<ResetCommand>,
}

#[derive(Subcommand)]
pub(crate) enum ResetCommand {
    /// Run a single phase of the reset workflow
    Phase {
        /// The phase
        phase: String,
        #[command(flatten)]
        flags: ResetFlags,
    },
}

#[derive(Args)]
pub(crate) struct ResetFlags {
    /// Where certificates are kept
    #[arg(long)]
    cert_dir: Option<String>,
    /// Clean /etc/kubernetes/tmp too
    #[arg(long)]
    cleanup_tmp_dir: bool,
    /// kubeadm configuration file with a ResetConfiguration
    #[arg(long)]
    config: Option<String>,
    /// Where the container runtime listens
    #[arg(long)]
    cri_socket: Option<String>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Checks whose failure is only a warning
    #[arg(long, value_delimiter = ',')]
    ignore_preflight_errors: Vec<String>,
    /// The kubeconfig file to use when talking to the cluster
    #[arg(long, default_value = ADMIN_CONF)]
    kubeconfig: String,
}

/// Runs the command, or one of its phases.
pub(crate) async fn run(s: &mut Session<'_>, args: ResetArgs) -> Result<()> {
    let (mut flags, phase) = match args.only {
        None => (args.flags, None),
        Some(ResetCommand::Phase { phase, flags }) => (flags, Some(phase)),
    };
    let mut skip = args.skip_phases;
    if let Some(path) = flags.config.take() {
        let configured = apply_file(s, &mut flags, &path)?;
        if skip.is_empty() {
            skip = configured;
        }
    }
    let plan = match &phase {
        None => Plan::whole(Workflow::Reset, s.profile, &skip)?,
        Some(phase) => Plan::single(Workflow::Reset, s.profile, phase, None)?,
    };
    let certificates = match &flags.cert_dir {
        Some(dir) => dir.clone(),
        None => certificates_dir(s, &flags.kubeconfig).await,
    };
    for (phase, _) in plan.iter() {
        let done = match *phase {
            "preflight" => preflight(s, &flags),
            "remove-etcd-member" => {
                remove_etcd_member(s, &flags).await;
                Ok(())
            }
            _ => {
                cleanup_node(s, &flags, &certificates).await;
                Ok(())
            }
        };
        done.map_err(|e| e.within(&format!("error execution phase {phase}")))?;
    }
    if phase.is_none() {
        s.say(
            "\nThe reset process does not perform cleanup of CNI plugin configuration,\n\
             network filtering rules and kubeconfig files.\n\n\
             For information on how to perform this cleanup manually, please see:\n    \
             https://k8s.io/docs/reference/setup-tools/kubeadm/kubeadm-reset/\n",
        );
    }
    Ok(())
}

fn preflight(s: &Session<'_>, flags: &ResetFlags) -> Result<()> {
    if !flags.force && !flags.dry_run {
        s.say(
            "[reset] WARNING: Changes made to this host by 'kubeadm init' or 'kubeadm join' will be reverted.\n\
             [reset] Are you sure you want to proceed? [y/N]: ",
        );
        // A simulated host has no terminal on which somebody could answer.
        return Err(Failure::new("aborted reset operation; repeat it with --force"));
    }
    // Of kubeadm's checks only the user's is asked here.
    s.say("[preflight] Running pre-flight checks");
    root(s, &ignored_checks(&flags.ignore_preflight_errors)?)
}

/// Fills in what the flags leave open; returns the phases to skip.
fn apply_file(s: &Session<'_>, flags: &mut ResetFlags, path: &str) -> Result<Vec<String>> {
    let documents = Documents::read(s.profile, path, &s.disk().read_to_string(path)?)?;
    let Some(doc) = documents.own("ResetConfiguration") else {
        return Err(ConfigError::NoKind("no ResetConfiguration found in the supplied config").into());
    };
    documents.said().iter().for_each(|warning| s.say(warning));
    let on = |field: &str| doc.get(field).and_then(Value::as_bool).unwrap_or(false);
    flags.cleanup_tmp_dir |= on("cleanupTmpDir");
    flags.dry_run |= on("dryRun");
    flags.force |= on("force");
    let owned = |at: &str| text(doc, at).map(str::to_owned);
    flags.cert_dir = flags.cert_dir.take().or_else(|| owned("/certificatesDir"));
    flags.cri_socket = flags.cri_socket.take().or_else(|| owned("/criSocket"));
    flags.ignore_preflight_errors.extend(texts(doc.get("ignorePreflightErrors")));
    Ok(texts(doc.get("skipPhases")))
}

/// The directory of certificates as the cluster remembers it, where it can be asked.
async fn certificates_dir(s: &mut Session<'_>, kubeconfig: &str) -> String {
    if !s.disk().exists(kubeconfig) {
        return PKI_DIR.to_owned();
    }
    let sources = stored::Sources { config: None, kubeconfig: kubeconfig.to_owned(), cert_dir: None };
    match stored::load(s, "reset", &sources, true).await {
        Ok(config) => config.cluster.certificates_dir,
        Err(_) => PKI_DIR.to_owned(),
    }
}

/// Takes the member out of its cluster and empties its directory, before its pod is stopped as upstream does. The
/// only member of a cluster cannot leave it.
async fn remove_etcd_member(s: &Session<'_>, args: &ResetFlags) {
    let Some(dir) = etcd_data_dir(s) else {
        s.say("[reset] No etcd config found. Assuming external etcd");
        s.say("[reset] Please, manually reset etcd to prevent further issues");
        return;
    };
    if args.dry_run {
        s.say("[reset] Would remove the etcd member on this node from the etcd cluster");
        s.say(format!("[reset] Would delete contents of the etcd data directory: {dir}"));
        return;
    }
    if let Err(e) = etcd_join::leave(s, &args.kubeconfig).await {
        s.say(format!(
            "[reset] Failed to remove etcd member: {e}, please manually remove this etcd member using etcdctl"
        ));
    }
    match clean(s, &dir) {
        Ok(()) => s.say(format!("[reset] Deleted contents of the etcd data directory: {dir}")),
        Err(e) => {
            s.say(format!("[reset] Failed to delete contents of the etcd directory: {dir:?}, error: {e}"))
        }
    }
}

/// The volume `etcd-data` of etcd's manifest, if this host has one.
fn etcd_data_dir(s: &Session<'_>) -> Option<String> {
    let text = s.disk().read_to_string(format!("{MANIFESTS_DIR}/etcd.yaml")).ok()?;
    let pod: Value = serde_saphyr::from_str(&text).ok()?;
    let volumes = pod.pointer("/spec/volumes")?.as_array()?;
    let data = volumes.iter().find(|v| v.get("name").and_then(Value::as_str) == Some("etcd-data"))?;
    data.pointer("/hostPath/path").and_then(Value::as_str).map(str::to_owned)
}

async fn cleanup_node(s: &mut Session<'_>, args: &ResetFlags, certificates: &str) {
    let mut directories = vec![MANIFESTS_DIR.to_owned(), KUBELET_DIR.to_owned(), certificates.to_owned()];
    if args.cleanup_tmp_dir {
        directories.push(format!("{KUBERNETES_DIR}/tmp"));
    }
    let mut files = vec![ADMIN_CONF];
    if s.profile.super_admin_conf() {
        files.push(SUPER_ADMIN_CONF);
    }
    files.extend([KUBELET_CONF, BOOTSTRAP_KUBELET_CONF, CONTROLLER_MANAGER_CONF, SCHEDULER_CONF]);
    if args.dry_run {
        s.say("[reset] Would stop the kubelet service");
        s.say(format!("[reset] Would unmount mounted directories in {KUBELET_DIR:?}"));
        s.say("[reset] Would remove Kubernetes-managed containers");
        s.say(format!("[reset] Would delete contents of directories: [{}]", directories.join(" ")));
        s.say(format!("[reset] Would delete files: [{}]", files.join(" ")));
        return;
    }
    s.say("[reset] Stopping the kubelet service");
    s.host.services().stop(UNIT).await;
    s.say(format!("[reset] Unmounting mounted directories in {KUBELET_DIR:?}"));
    remove_pods(s).await;
    if let Err(e) = ports_free(s).await {
        s.say(format!("[reset] Failed to remove containers: {e}"));
    }
    if certificates != PKI_DIR {
        s.say(format!("[reset] WARNING: Cleaning a non-default certificates directory: {certificates:?}"));
    }
    s.say(format!("[reset] Deleting contents of directories: [{}]", directories.join(" ")));
    for dir in &directories {
        if let Err(e) = clean(s, dir) {
            s.say(format!("[reset] Failed to delete contents of {dir:?} directory: {e}"));
        }
    }
    s.say(format!("[reset] Deleting files: [{}]", files.join(" ")));
    for path in files {
        if let Err(e) = s.disk().remove_all(path) {
            s.say(format!("[reset] Failed to remove file: {path:?} [{e}]"));
        }
    }
}

/// Removes what kubelets have left running: a pod is a slice of its host's processes.
async fn remove_pods(s: &Session<'_>) {
    let services = s.host.services();
    for slice in services.names().iter().filter(|name| name.starts_with(POD_SLICES)) {
        services.remove(slice).await;
    }
}

/// What served on a port of the control plane has ended when the port is free.
async fn ports_free(s: &Session<'_>) -> Result<()> {
    poll(s.host, CONTAINER_POLL, API_CALL_TIMEOUT, async || {
        for port in [APISERVER_PORT, CONTROLLER_MANAGER_PORT, SCHEDULER_PORT, 2379, 2380] {
            if in_use(s, port).await {
                return Err(Failure::new(format!("port {port} is still in use")));
            }
        }
        Ok(())
    })
    .await
}

/// Removes everything in a directory, but not the directory itself; fine if it is not there.
fn clean(s: &Session<'_>, dir: &str) -> Result<()> {
    if s.disk().stat(dir).is_none() {
        return Ok(());
    }
    for name in s.disk().list(dir)? {
        let path = format!("{dir}/{name}");
        match s.disk().stat(&path).map(|stat| stat.kind) {
            Some(FileKind::Dir) => s.disk().remove_all(&path)?,
            Some(_) => s.disk().remove(&path)?,
            None => {}
        }
    }
    Ok(())
}
