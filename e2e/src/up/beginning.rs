//! With what `up` begins: which hosts of the data directory are nodes, and which are yet to be made so. One that an
//! earlier `up` was making when it was killed is emptied and made anew: kubeadm does not go on where it was cut short,
//! and nobody had been told of the cluster yet, or of that node.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use world::Host;

use super::{etcd, process};
use crate::{
    cli::Refusal,
    milestone::{self, Milestone},
};

/// See the module.
pub(super) struct Beginning {
    /// Whether the control plane is yet to be made.
    pub(super) is_new: bool,
    /// The nodes.
    pub(super) nodes: Vec<Host>,
    /// The workers that have not joined.
    pub(super) strangers: Vec<Host>,
}

/// What lies in a host's root and is not of its nodehood: how its clock is set.
const KEPT: &str = "run";

/// Looks at the hosts in `dir`, of which the first is the control plane.
///
/// # Errors
/// What was left cannot be read or removed, or somebody else holds a part of it.
pub(super) async fn of(first: &Host, workers: &[Host], dir: &Path) -> Result<Beginning, Refusal> {
    for host in std::iter::once(first).chain(workers) {
        // Programs of an `up --processes` that was killed end by themselves, and write until then.
        process::until_deserted(host.clock(), &dir.join(host.name())).await?;
    }
    let before = Milestone::of(first)?;
    if before == Milestone::CutShort {
        if etcd::is_elsewhere(first) {
            return Err(Refusal(format!(
                "an earlier `up` was ended while it made the cluster in {}, and its etcd may hold a part of that; remove \
                 what is below /registry there and the data directory, then begin again",
                dir.display()
            )));
        }
        empty(first, dir)?;
    }
    let is_new = before != Milestone::Done;
    let mut beginning = Beginning { is_new, nodes: Vec::new(), strangers: Vec::new() };
    if !is_new {
        beginning.nodes.push(first.clone());
    }
    for worker in workers {
        match Milestone::of(worker)? {
            Milestone::Done if !is_new => beginning.nodes.push(worker.clone()),
            Milestone::New => beginning.strangers.push(worker.clone()),
            Milestone::Done | Milestone::CutShort => {
                empty(worker, dir)?;
                beginning.strangers.push(worker.clone());
            }
        }
    }
    Ok(beginning)
}

/// Makes a host new, as far as kubeadm can tell.
fn empty(host: &Host, dir: &Path) -> Result<(), Refusal> {
    eprintln!("an earlier `up` was ended while it made {}: it is made anew", host.name());
    let root = dir.join(host.name());
    clear(&root).map_err(|e| Refusal(format!("cannot empty {}: {e}; remove it by hand", root.display())))
}

/// The milestone goes last: whoever is killed before that leaves a host of which the next one knows.
fn clear(root: &Path) -> io::Result<()> {
    let (kept, milestone) = (root.join(KEPT), root.join(milestone::FILE.trim_start_matches('/')));
    remove_all_but(root, &[kept.clone(), milestone])?;
    remove_all_but(root, &[kept])
}

/// Removes what is below `dir`, but not these paths.
fn remove_all_but(dir: &Path, kept: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if kept.contains(&path) {
            continue;
        }
        let is_dir = entry.file_type()?.is_dir();
        if is_dir && kept.iter().any(|kept| kept.starts_with(&path)) {
            remove_all_but(&path, kept)?;
        } else if is_dir {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_milestone_is_the_last_to_go() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let milestone = root.join("var/lib/chronoplane/kubeadm");
        let kept = root.join("run/chronoplane/clock");
        let others = ["etc/kubernetes/kubelet.conf", "var/lib/chronoplane/more", "var/lib/etcd/a/b", "file"];
        let others = others.map(|name| root.join(name));
        for file in others.iter().chain([&milestone, &kept]) {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        remove_all_but(root, &[kept.clone(), milestone.clone()]).unwrap();
        assert!(milestone.exists() && kept.exists() && !others.iter().any(|file| file.exists()));
        clear(root).unwrap();
        let left = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), [KEPT]);
        assert!(kept.exists(), "how its clock is set");
    }
}
