//! One fault with its parameters. What kinds there are is a table beside it ([`super::kinds`]).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::kinds::{KINDS, Kind};
use crate::Component;

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

/// How packets travel between two hosts, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Weather {
    /// From leaving to arriving, in milliseconds.
    pub latency_ms: u64,
    /// A share of this is added to each message's latency.
    pub jitter_ms: u64,
    /// Of a thousand packets so many are sent again, later and later.
    pub loss_per_mille: u16,
    /// How many messages get through in a second; any number if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_second: Option<NonZeroU32>,
}

/// What a name server says of the control plane's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolves {
    /// The address of a host that knows nothing of it, as a balancer's old record.
    Elsewhere,
    /// There is no such name.
    Unknown,
    /// Nothing.
    Silence,
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
    /// A host loses its power for a while, and what it had not synced.
    PowerFailure {
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
    /// Packets of one host do not reach another; those of the other arrive.
    OneWay {
        /// Whose packets vanish.
        from: String,
        /// For whom they are.
        to: String,
    },
    /// Packets between two hosts are late, lost and sent again, or come through one by one.
    BadNetwork {
        /// One.
        a: String,
        /// The other.
        b: String,
        /// How bad.
        weather: Weather,
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
    /// Something on the way forgets open connections, and nobody is told.
    HalfOpen {
        /// Who dialled.
        from: String,
        /// Whom.
        to: String,
        /// At which port.
        port: u16,
    },
    /// The control plane's name resolves wrongly on a host.
    NameWrong {
        /// Where.
        host: String,
        /// To what.
        resolves: Resolves,
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
    /// Each fsync of a database takes so long.
    SlowFsync {
        /// On whose disk.
        host: String,
        /// How long.
        milliseconds: u64,
    },
    /// The control plane's disk says that it has synced what it has not; in the end its power fails.
    LyingFsync,
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
    /// The Secret is away that the pods of the load read.
    SecretDeleted,
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

impl Fault {
    /// Its row.
    pub fn kind(&self) -> &'static Kind {
        let name = match self {
            Self::Crash { .. } => "crash",
            Self::Stop { .. } => "stop",
            Self::Reboot { .. } => "reboot",
            Self::PowerFailure { .. } => "power-failure",
            Self::Partition { .. } => "partition",
            Self::OneWay { .. } => "one-way",
            Self::BadNetwork { .. } => "bad-network",
            Self::Reset { .. } => "reset",
            Self::HalfOpen { .. } => "half-open",
            Self::NameWrong { .. } => "name-wrong",
            Self::Step { .. } => "step",
            Self::Drift { .. } => "drift",
            Self::Freeze { .. } => "freeze",
            Self::Pause { .. } => "pause",
            Self::Suspend { .. } => "suspend",
            Self::DiskFull { .. } => "disk-full",
            Self::DiskReadOnly { .. } => "disk-read-only",
            Self::SlowFsync { .. } => "slow-fsync",
            Self::LyingFsync => "lying-fsync",
            Self::CertificateReplaced { .. } => "certificate-replaced",
            Self::ObjectDeleted { .. } => "object-deleted",
            Self::SecretDeleted => "secret-deleted",
            Self::WebhookGone => "webhook-gone",
            Self::WebhookSlow => "webhook-slow",
            Self::Overload { .. } => "overload",
            Self::Compaction => "compaction",
            Self::Outlive => "outlive",
        };
        // Each name above is a row: a test holds that.
        KINDS.iter().find(|kind| kind.name == name).unwrap_or(&KINDS[0])
    }

    /// The hosts that it names.
    pub(super) fn hosts(&self) -> Vec<&str> {
        match self {
            Self::Crash { host, .. }
            | Self::Stop { host, .. }
            | Self::Reboot { host }
            | Self::PowerFailure { host }
            | Self::NameWrong { host, .. }
            | Self::Step { host, .. }
            | Self::Drift { host, .. }
            | Self::Freeze { host }
            | Self::Pause { host }
            | Self::Suspend { host }
            | Self::DiskFull { host }
            | Self::DiskReadOnly { host }
            | Self::SlowFsync { host, .. } => vec![host],
            Self::Partition { a, b } | Self::BadNetwork { a, b, .. } => vec![a, b],
            Self::OneWay { from, to } | Self::Reset { from, to, .. } | Self::HalfOpen { from, to, .. } => {
                vec![from, to]
            }
            Self::LyingFsync
            | Self::CertificateReplaced { .. }
            | Self::ObjectDeleted { .. }
            | Self::SecretDeleted
            | Self::WebhookGone
            | Self::WebhookSlow
            | Self::Overload { .. }
            | Self::Compaction
            | Self::Outlive => Vec::new(),
        }
    }
}
