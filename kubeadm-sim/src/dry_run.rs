//! `--dry-run`: the phases run as ever, on a copy of the host's files; requests that would change the cluster are
//! told instead of sent (`cmd/kubeadm/app/util/dryrun`, `util/apiclient/dryrun.go`).
//!
//! What was written lies in a directory of its own below /etc/kubernetes/tmp afterwards, flat as upstream has it:
//! certificates, kubeconfigs, manifests and the kubelet's files side by side.

use std::sync::Arc;

use client::Resource;
use serde_json::Value;
use world::{Disk, FileKind, Host, MemoryDisk};

use crate::{
    paths::{KUBELET_CONFIG, KUBELET_DIR, KUBELET_FLAGS, KUBERNETES_DIR, MANIFESTS_DIR, TMP_DIR},
    session::{Result, Session, yaml},
};

/// Directories whose files the phases read and write.
const COPIED: &[&str] = &[KUBERNETES_DIR, KUBELET_DIR];
/// Files larger than this are nobody's configuration and are left out of the copy.
const LARGEST: u64 = 1 << 20;
/// Directories below these are copied this deep.
const DEEPEST: usize = 4;

/// A run that changes nothing.
pub(crate) struct DryRun {
    disk: Disk,
    before: Disk,
    dir: String,
    roots: Vec<String>,
}

impl DryRun {
    /// Copies the host's files; `further` are directories besides kubeadm's own.
    pub(crate) fn begin(host: &Host, what: &str, further: &[&str]) -> Result<Self> {
        let scratch = || Disk::memory(Arc::new(MemoryDisk::default()));
        let (disk, before) = (scratch(), scratch());
        let roots: Vec<String> = COPIED.iter().chain(further).map(|root| (*root).to_owned()).collect();
        for root in &roots {
            copy(host.disk(), &disk, root, 0)?;
            copy(host.disk(), &before, root, 0)?;
        }
        // As os.MkdirTemp names it.
        let dir = format!("{TMP_DIR}/kubeadm-{what}-dryrun{}", host.entropy().below(1 << 32));
        host.disk()
            .create_dir_all(&dir)
            .map_err(|e| crate::session::Failure::from(e).within("couldn't create a temporary directory"))?;
        Ok(Self { disk, before, dir, roots })
    }

    /// The copy.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Where what was written can be looked at.
    pub(crate) fn dir(&self) -> &str {
        &self.dir
    }

    /// Brings what was written since the beginning to the directory.
    pub(crate) fn keep(&self, host: &Host, certificates_dir: &str) -> Result<()> {
        for path in self.roots.iter().flat_map(|root| files(&self.disk, root, 0)) {
            let contents = self.disk.read(&path)?;
            if self.before.read(&path).is_ok_and(|old| old == contents) {
                continue;
            }
            let mode = self.disk.stat(&path).map_or(0o600, |stat| stat.mode);
            host.disk().write(format!("{}/{}", self.dir, flat(&path, certificates_dir)), contents, mode)?;
        }
        Ok(())
    }
}

/// A file's name in the directory: what it is called below the directory that is its own.
fn flat<'p>(path: &'p str, certificates_dir: &str) -> &'p str {
    let homes = [certificates_dir, MANIFESTS_DIR, KUBERNETES_DIR, KUBELET_DIR];
    let below = homes.iter().find_map(|home| path.strip_prefix(home)?.strip_prefix('/'));
    below.unwrap_or(path.trim_start_matches('/'))
}

fn copy(from: &Disk, to: &Disk, path: &str, depth: usize) -> Result<()> {
    // Earlier dry runs and backups are no part of what phases look at.
    if path == TMP_DIR || depth > DEEPEST {
        return Ok(());
    }
    match from.stat(path) {
        Some(stat) if stat.kind == FileKind::Dir => {
            to.create_dir_all(path)?;
            for name in from.list(path)? {
                copy(from, to, &format!("{path}/{name}"), depth + 1)?;
            }
        }
        Some(stat) if stat.kind == FileKind::Symlink => to.symlink(from.read_link(path)?, path)?,
        Some(stat) if stat.len <= LARGEST => to.write(path, from.read(path)?, stat.mode)?,
        _ => {}
    }
    Ok(())
}

fn files(disk: &Disk, path: &str, depth: usize) -> Vec<String> {
    match disk.stat(path).map(|stat| stat.kind) {
        Some(FileKind::File) => vec![path.to_owned()],
        Some(FileKind::Dir) if depth <= DEEPEST => {
            let names = disk.list(path).unwrap_or_default();
            names.iter().flat_map(|name| files(disk, &format!("{path}/{name}"), depth + 1)).collect()
        }
        _ => Vec::new(),
    }
}

/// Tells of a request that would be sent.
pub(crate) fn log_action(
    s: &Session<'_>,
    verb: &str,
    resource: &Resource,
    named: Option<(&str, &str)>,
    object: Option<&Value>,
) -> Result<()> {
    let group = if resource.group.is_empty() { "core" } else { resource.group.as_ref() };
    s.say(format!(
        "[dryrun] Would perform action {verb} on resource {:?} in API group \"{group}/{}\"",
        resource.plural, resource.version
    ));
    if let Some((name, namespace)) = named {
        s.say(format!("[dryrun] Resource name {name:?}, namespace {namespace:?}"));
    }
    if let Some(object) = object {
        s.say("[dryrun] Attached object:");
        s.say(yaml("the object", object)?);
    }
    Ok(())
}

/// Shows the files that the kubelet would read; certificates and kubeconfigs stay unshown
/// (`PrintFilesIfDryRunning`).
pub(crate) fn print_files(s: &Session<'_>, certificates_dir: &str, manifests: bool) -> Result<()> {
    let Some(dry) = s.dry_run() else { return Ok(()) };
    dry.keep(s.host, certificates_dir)?;
    let what = if manifests {
        "certificates, kubeconfig files, control plane manifests and kubelet configuration"
    } else {
        "certificates, kubeconfig files and kubelet configuration"
    };
    s.say(format!("[dryrun] Wrote {what} to the {:?} directory", dry.dir()));
    s.say("[dryrun] The certificates or kubeconfig files would not be printed due to their sensitive nature");
    s.say(format!(
        "[dryrun] Please examine the {:?} directory for details about what would be written",
        dry.dir()
    ));
    let pods = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    let pods = pods.iter().filter(|_| manifests).map(|name| format!("{MANIFESTS_DIR}/{name}.yaml"));
    for path in pods.chain([KUBELET_CONFIG.to_owned(), KUBELET_FLAGS.to_owned()]) {
        if let Ok(text) = dry.disk().read_to_string(&path) {
            s.say(format!("[dryrun] Would write file {path:?} with content:"));
            text.lines().for_each(|line| s.say(format!("\t{line}")));
        }
    }
    Ok(())
}
