//! Why the store did not do what it was asked, with the evidence.

use std::path::PathBuf;

use bytes::Bytes;

use crate::Revision;

/// Why an operation failed. Where etcd has words for it, `Display` says exactly those.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The revision asked for is no longer kept.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest revision that can be had; 0 if a remote etcd did not tell.
        oldest: Revision,
    },
    /// The revision asked for does not exist yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision {
        /// What was asked for.
        requested: Revision,
        /// The store's revision; 0 if a remote etcd did not tell.
        current: Revision,
    },
    /// The watcher did not take its events fast enough; its watch has ended.
    #[error("watch fell too far behind: the last revision delivered was {delivered}; watch again from {}", .delivered + 1)]
    Lagged {
        /// The last revision that the watcher took.
        delivered: Revision,
    },
    /// A transaction changes one key twice.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey {
        /// The key.
        key: Bytes,
    },
    /// A key of length zero.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// More operations in one transaction than the store allows.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps {
        /// How many there were.
        ops: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// More bytes in one transaction than the store allows.
    #[error("etcdserver: request is too large")]
    TooLarge {
        /// How many there were.
        bytes: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// No lease of that id.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound {
        /// The id.
        id: i64,
    },
    /// A lease of that id exists already.
    #[error("etcdserver: lease already exists")]
    LeaseExists {
        /// The id.
        id: i64,
    },
    /// A lease's time to live is beyond what etcd allows.
    #[error("etcdserver: too large lease TTL")]
    LeaseTooLong {
        /// Seconds asked for.
        seconds: u64,
    },
    /// No majority of the members is there to answer for the cluster.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// The member has lost the majority of the members.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// The member does not vote yet, and answers for nobody.
    #[error("etcdserver: rpc not supported for learner")]
    Learner,
    /// The store was closed, or the process it ran in was killed.
    #[error("the store is closed")]
    Closed,
    /// Another process, or another store of this one, works in the directory.
    #[error("{} is in use{}; stop the other one, or give another directory", .path.display(), holder(.pid))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, where known.
        pid: Option<u32>,
    },
    /// There is no store of ours where one was named.
    #[error("{} holds no chronoplane store; name the directory with the file FORMAT: the apiserver's --data-dir with --storage-backend=sled, or etcd's --data-dir", .path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// A new store was to be made where something is.
    #[error("{} holds {found}; give a directory that is empty, or that is not there", .path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// What was found there.
        found: &'static str,
    },
    /// The directory holds something else, or another format of ours.
    #[error("{} holds {found}, and this program reads chronoplane stores of formats 1 and 2 only; nothing was changed; give another directory, or move that one away", .path.display())]
    Format {
        /// The directory.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// What the directory holds is damaged.
    #[error("the store in {} is damaged: {what}; nothing was changed; see `chronoplane store check`; restore the directory from a backup, `chronoplane store repair` it, or move it away and start empty", .path.display())]
    Corrupt {
        /// The directory.
        path: PathBuf,
        /// What is damaged.
        what: String,
    },
    /// The disk has no room left. What was acknowledged is safe; writes go on once there is room.
    #[error("write to the store in {}: no space left on device; make room on that disk, the store goes on by itself", .path.display())]
    Full {
        /// The directory.
        path: PathBuf,
    },
    /// Any other failure of the disk.
    #[error("{op} {}: {why}", .path.display())]
    Io {
        /// The operation.
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// The server was not reached, or the connection broke; in the transport's words.
    #[error("{0}")]
    Transport(String),
    /// The server answered with an error that this enum has no variant for.
    #[error("{}", remote(*.code, .message))]
    Remote {
        /// The number of the gRPC status code.
        code: i32,
        /// The server's words.
        message: String,
    },
}

fn holder(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

/// etcd's own errors speak for themselves; others as Go's gRPC words them.
fn remote(code: i32, message: &str) -> String {
    if message.starts_with("etcdserver: ") {
        return message.to_owned();
    }
    let name = match tonic::Code::from(code) {
        tonic::Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    };
    format!("rpc error: code = {name} desc = {message}")
}
