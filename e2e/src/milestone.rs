//! How far kubeadm has come on a host. It does not go on from where it was cut short, so that whoever runs it for
//! people has to know.

use world::{DiskError, Host};

/// Where it is written, on the host.
pub(crate) const FILE: &str = "/var/lib/chronoplane/kubeadm";
const BEGUN: &str = "begun\n";
const DONE: &str = "done\n";

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// kubeadm was never here.
    New,
    /// It began, and did not come to its end.
    CutShort,
    /// The host is a node.
    Done,
}

impl Milestone {
    /// What the host's files say.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn of(host: &Host) -> Result<Self, DiskError> {
        match host.disk().read_to_string(FILE) {
            Ok(text) if text == DONE => Ok(Self::Done),
            Ok(_) => Ok(Self::CutShort),
            // Also a host from before this was written down: it has always been written before anything else since.
            Err(e) if e.is_not_found() && host.disk().exists("/etc/kubernetes/kubelet.conf") => {
                Ok(Self::Done)
            }
            Err(e) if e.is_not_found() => Ok(Self::New),
            Err(e) => Err(e),
        }
    }

    /// kubeadm begins.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(host: &Host) -> Result<(), DiskError> {
        host.disk().write(FILE, BEGUN, 0o600)
    }

    /// kubeadm has come to its end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn done(host: &Host) -> Result<(), DiskError> {
        host.disk().write(FILE, DONE, 0o600)
    }
}
