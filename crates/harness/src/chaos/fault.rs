//! What can go wrong: a table of kinds, and one fault with its parameters.

use serde::{Deserialize, Serialize};

/// A program of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// A static pod of the control plane.
    KubeApiserver,
    /// A static pod of the control plane: the store.
    Etcd,
    /// A static pod of the control plane.
    KubeControllerManager,
    /// A static pod of the control plane.
    KubeScheduler,
    /// A unit of every host.
    Kubelet,
}

impl Component {
    /// Those that run as static pods.
    pub const STATIC: [Self; 4] =
        [Self::KubeApiserver, Self::Etcd, Self::KubeControllerManager, Self::KubeScheduler];

    /// The name of its process, manifest or unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::Etcd => "etcd",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
        }
    }
}

/// An object that the cluster itself keeps alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// The ConfigMap `kube-root-ca.crt` of a namespace: the controller manager publishes it again.
    RootCa,
    /// The Lease of the first worker: its kubelet writes it again.
    NodeLease,
    /// The Lease of the controller manager: the one that leads, or the next, writes it again.
    LeaderLease,
    /// The ServiceAccount `default` of a namespace: the controller manager makes it again.
    DefaultAccount,
}

/// Which certificate on the control plane's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replaced {
    /// The apiserver's serving certificate and key.
    Serving,
    /// The authority that the apiserver asks about client certificates.
    ClientAuthority,
    /// The apiserver's client certificate and key for the kubelets.
    KubeletClient,
}

impl Replaced {
    /// The files, below `/etc/kubernetes/pki`.
    pub(super) fn files(self) -> &'static [&'static str] {
        match self {
            Self::Serving => &["apiserver.crt", "apiserver.key"],
            Self::ClientAuthority => &["ca.crt"],
            Self::KubeletClient => &["apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"],
        }
    }
}

/// One fault with its parameters. Hosts are named as in [`crate::cluster`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Fault {
    /// A program is killed.
    Crash {
        /// Where.
        host: String,
        /// Which.
        component: Component,
    },
    /// A program is away for a while: the manifest, or the unit.
    Stop {
        /// Where.
        host: String,
        /// Which.
        component: Component,
    },
    /// A host is switched off for a while.
    Reboot {
        /// Which.
        host: String,
    },
    /// No byte passes between two hosts, either way.
    Partition {
        /// One.
        a: String,
        /// The other.
        b: String,
    },
    /// Open connections are reset, once.
    Reset {
        /// Who dialled.
        from: String,
        /// Whom.
        to: String,
        /// At which port.
        port: u16,
    },
    /// The wall clock of a host is set.
    Step {
        /// Whose.
        host: String,
        /// By how many seconds; negative: back.
        seconds: i64,
    },
    /// Both clocks of a host run at another rate.
    Drift {
        /// Whose.
        host: String,
        /// Parts per million too fast; negative: slow.
        ppm: i32,
    },
    /// The wall clock of a host stands still.
    Freeze {
        /// Whose.
        host: String,
    },
    /// The tasks of a host stand still, its clocks go on.
    Pause {
        /// Whose.
        host: String,
    },
    /// The tasks and the monotonic clock of a host stand still, its wall clock goes on.
    Suspend {
        /// Whose.
        host: String,
    },
    /// The disk of a host has no room.
    DiskFull {
        /// Whose.
        host: String,
    },
    /// The disk of a host takes no write.
    DiskReadOnly {
        /// Whose.
        host: String,
    },
    /// A certificate on the control plane's disk is replaced by one of a stranger.
    CertificateReplaced {
        /// Which.
        which: Replaced,
    },
    /// An object is deleted that the cluster keeps.
    ObjectDeleted {
        /// Which.
        which: Kept,
    },
    /// The admission webhook's host is cut off.
    WebhookGone,
    /// The admission webhook takes longer than its callers wait.
    WebhookSlow,
    /// So many lists at once, by a user with no privileges in the queue.
    Overload {
        /// How many.
        requests: u32,
    },
    /// All history before now is forgotten.
    Compaction,
    /// Nothing happens until the control plane's certificates have ended.
    Outlive,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What `--faults` takes.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What heals it.
    pub heals: &'static str,
    /// Whether it takes time: those that do not happen at once and are over.
    pub lasts: bool,
    /// How often it is planned, against the others; 0: only when it is asked for.
    pub weight: u64,
}

const fn kind(name: &'static str, weight: u64, lasts: bool, does: &'static str, heals: &'static str) -> Kind {
    Kind { name, does, heals, lasts, weight }
}

/// All kinds, in the order in which `--faults` lists them.
pub const KINDS: &[Kind] = &[
    kind(
        "crash",
        8,
        false,
        "SIGKILL to a program",
        "the kubelet starts the container again, systemd the kubelet",
    ),
    kind("stop", 6, true, "a static pod's manifest, or the kubelet's unit, is away", "it is put back"),
    kind("reboot", 4, true, "a host is off", "it is switched on"),
    kind("partition", 8, true, "no byte passes between two hosts", "bytes pass again"),
    kind("reset", 4, false, "open connections are reset", "clients dial again"),
    kind("step", 6, true, "a wall clock jumps", "NTP sets it right"),
    kind(
        "drift",
        2,
        true,
        "both clocks of a host are too fast or too slow",
        "the rate is right, NTP sets the clock",
    ),
    kind("freeze", 2, true, "a wall clock stands still", "it runs, NTP sets it right"),
    kind("pause", 4, true, "a host's tasks stand still", "they go on"),
    kind("suspend", 4, true, "a host and its monotonic clock stand still", "it wakes"),
    kind("disk-full", 3, true, "writes fail: no space left on device", "there is room again"),
    kind("disk-read-only", 3, true, "changes fail: permission denied", "writable again"),
    kind("certificate-replaced", 3, true, "a stranger's certificate on the disk", "the files are restored"),
    kind(
        "object-deleted",
        3,
        false,
        "an object is deleted that the cluster keeps",
        "its controller makes it again",
    ),
    kind("webhook-gone", 3, true, "nobody reaches the admission webhook", "it is reached again"),
    kind("webhook-slow", 3, true, "the admission webhook answers after its timeout", "it answers in time"),
    kind("overload", 2, false, "a burst of lists", "it is over"),
    kind("compaction", 3, false, "the store forgets its history", "watchers list again"),
    // Only when it is asked for, with `--stretch 6`: a program that starts again heeds how long the Lease of before says
    // that it holds, and what was written at a stretched pace says ten days.
    kind(
        "outlive",
        0,
        true,
        "nobody renews the control plane's certificates until they have ended",
        "kubeadm certs renew all, and a restart of the static pods",
    ),
];

impl Fault {
    /// Its row.
    pub fn kind(&self) -> &'static Kind {
        let name = match self {
            Self::Crash { .. } => "crash",
            Self::Stop { .. } => "stop",
            Self::Reboot { .. } => "reboot",
            Self::Partition { .. } => "partition",
            Self::Reset { .. } => "reset",
            Self::Step { .. } => "step",
            Self::Drift { .. } => "drift",
            Self::Freeze { .. } => "freeze",
            Self::Pause { .. } => "pause",
            Self::Suspend { .. } => "suspend",
            Self::DiskFull { .. } => "disk-full",
            Self::DiskReadOnly { .. } => "disk-read-only",
            Self::CertificateReplaced { .. } => "certificate-replaced",
            Self::ObjectDeleted { .. } => "object-deleted",
            Self::WebhookGone => "webhook-gone",
            Self::WebhookSlow => "webhook-slow",
            Self::Overload { .. } => "overload",
            Self::Compaction => "compaction",
            Self::Outlive => "outlive",
        };
        // Each name above is a row: a test holds that.
        KINDS.iter().find(|kind| kind.name == name).unwrap_or(&KINDS[0])
    }
}

/// The row of that name.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
