//! What a data directory remembers of its cluster, and how other commands find one.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use chronoplane::cluster::CONTROL_PLANE;
use serde::{Deserialize, Serialize};
use world::real::Block;

use super::Plan;
use crate::cli::Refusal;

/// What a data directory remembers of its cluster.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    format: u32,
    pub(super) kubernetes_version: String,
    base: Ipv4Addr,
    pub(super) nodes: usize,
    /// URLs of an etcd that is not the cluster's own.
    #[serde(default)]
    etcd: Vec<String>,
}

impl Memory {
    /// What is asked for must not be what the directory remembers otherwise: nobody would get it.
    fn must_agree(&self, plan: &Plan, dir: &Path) -> Result<(), Refusal> {
        let etcd = plan.etcd.urls();
        let asked = [
            ("--nodes", plan.nodes.map(|n| n.to_string()), self.nodes.to_string()),
            ("--kubernetes-version", plan.profile.map(|p| p.git_version()), self.kubernetes_version.clone()),
            (
                "--etcd",
                (!etcd.is_empty()).then(|| etcd.join(",")),
                if self.etcd.is_empty() { "an etcd of its own".to_owned() } else { self.etcd.join(",") },
            ),
        ];
        for (flag, asked, kept) in asked {
            if let Some(asked) = asked.filter(|asked| *asked != kept) {
                return Err(Refusal(format!(
                    "{flag} {asked}: the cluster in {} has {kept}, and keeps it; leave {flag} away, or name another \
                     --data-dir",
                    dir.display()
                )));
            }
        }
        Ok(())
    }
}

const FORMAT: u32 = 1;
const FILE: &str = "chronoplane.json";
const PARTIAL: &str = "chronoplane.json.partial";

/// Names of a cluster's hosts.
pub(super) fn hosts(nodes: usize) -> impl Iterator<Item = String> {
    std::iter::once(CONTROL_PLANE.to_owned()).chain((1..=nodes).map(|n| format!("node{n}")))
}

/// Workers of a cluster, unless somebody says how many.
const NODES: usize = 1;

/// A new directory gets a block of addresses; a known one gets its own again.
///
/// # Errors
/// The directory is not ours, is in use, or holds another cluster than the plan's.
pub(super) fn open(dir: &Path, plan: &Plan) -> Result<(Memory, Block), Refusal> {
    let file = dir.join(FILE);
    if !dir.exists() {
        std::fs::create_dir_all(dir)
            .map_err(|e| Refusal(format!("cannot make the data directory {}: {e}", dir.display())))?;
    }
    if file.exists() {
        let memory = remembered(&file)?;
        memory.must_agree(plan, dir)?;
        let block = Block::reopen(memory.base).map_err(|_| {
            Refusal(format!(
                "{} is in use by another chronoplane; stop it first, or name another --data-dir",
                dir.display()
            ))
        })?;
        return Ok((memory, block));
    }
    let stranger = std::fs::read_dir(dir)?.flatten().find(|entry| entry.file_name() != PARTIAL);
    if let Some(entry) = stranger {
        return Err(Refusal(format!(
            "{} holds {:?} but no cluster of chronoplane; name an empty or a new directory",
            dir.display(),
            entry.file_name()
        )));
    }
    let block = Block::reserve()?;
    let memory = Memory {
        format: FORMAT,
        kubernetes_version: plan.profile.unwrap_or_default().git_version(),
        base: block.base(),
        nodes: plan.nodes.unwrap_or(NODES),
        etcd: plan.etcd.urls().to_vec(),
    };
    // All of it or nothing: whoever comes after a kill must not find half.
    std::fs::write(dir.join(PARTIAL), serde_json::to_string_pretty(&memory)?)?;
    std::fs::rename(dir.join(PARTIAL), &file)?;
    Ok((memory, block))
}

fn remembered(file: &Path) -> Result<Memory, Refusal> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Refusal(format!("cannot read {}: {e}; name another --data-dir", file.display())))?;
    let memory: Memory = serde_json::from_str(&text).map_err(|e| {
        Refusal(format!(
            "{} was not written by this version of chronoplane ({e}); name another --data-dir",
            file.display()
        ))
    })?;
    if memory.format != FORMAT {
        return Err(Refusal(format!(
            "{} has format {}, this version writes {FORMAT}; name another --data-dir",
            file.display(),
            memory.format
        )));
    }
    Ok(memory)
}

/// A data directory with a cluster, as other commands look at it.
pub(crate) struct Kept {
    /// The directory.
    pub dir: PathBuf,
    /// Its hosts' names.
    pub hosts: Vec<String>,
    base: Ipv4Addr,
}

impl Kept {
    /// The cluster of `data_dir`; without one, the cluster whose kubeconfig `KUBECONFIG` names.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find(data_dir: Option<&Path>) -> Result<Self, Refusal> {
        let dir = match data_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => named_by_kubeconfig()?,
        };
        let file = dir.join(FILE);
        if !file.exists() {
            return Err(Refusal(format!(
                "{} holds no cluster; `chronoplane up --data-dir DIR` makes one, and --data-dir names it",
                dir.display()
            )));
        }
        let memory = remembered(&file)?;
        Ok(Self { dir, hosts: hosts(memory.nodes).collect(), base: memory.base })
    }

    /// Whether an `up` runs it now.
    pub(crate) fn runs(&self) -> bool {
        Block::reopen(self.base).is_err()
    }
}

/// `up` keeps the kubeconfig that it names below its data directory.
fn named_by_kubeconfig() -> Result<PathBuf, Refusal> {
    let refused = |why: &str| {
        Refusal(format!(
            "{why}; name the cluster with --data-dir, or take the KUBECONFIG that `chronoplane up` prints"
        ))
    };
    let named = std::env::var_os("KUBECONFIG").ok_or_else(|| refused("which cluster?"))?;
    let path = std::path::absolute(&named)?;
    let dir = path.ancestors().find(|dir| dir.join(FILE).exists());
    dir.map(Path::to_owned).ok_or_else(|| {
        refused(&format!("KUBECONFIG={} is no kubeconfig of `chronoplane up`", path.display()))
    })
}
