//! With what `up` begins: which hosts of the data directory are nodes, and which are yet to be made so. One that an
//! earlier `up` was making when it was killed is emptied and made anew: kubeadm does not go on where it was cut short,
//! and nobody had been told of the cluster yet, or of that node.

use std::{fs, io, path::Path};

use chronoplane::cluster;
use world::Host;

use super::{etcd, process};
use crate::{cli::Refusal, milestone::Milestone};

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
        until_deserted(host, dir).await?;
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

/// Programs of an `up --processes` that was killed end by themselves, and write until then.
async fn until_deserted(host: &Host, dir: &Path) -> Result<(), Refusal> {
    let root = dir.join(host.name());
    let mut failed = None;
    cluster::wait_for(host, "what an earlier `up` left running there has ended", async || {
        match process::is_deserted(&root) {
            Ok(is) => is.then_some(()),
            Err(e) => {
                failed = Some(e);
                Some(())
            }
        }
    })
    .await?;
    match failed {
        None => Ok(()),
        Some(e) => Err(Refusal(format!("cannot lock the logs in {}: {e}", root.join("var/log").display()))),
    }
}

/// Makes a host new, as far as kubeadm can tell.
fn empty(host: &Host, dir: &Path) -> Result<(), Refusal> {
    eprintln!("an earlier `up` was ended while it made {}: it is made anew", host.name());
    let root = dir.join(host.name());
    clear(&root).map_err(|e| Refusal(format!("cannot empty {}: {e}; remove it by hand", root.display())))
}

fn clear(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name() == KEPT {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
