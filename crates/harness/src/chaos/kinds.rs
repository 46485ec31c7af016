//! What can go wrong: the table of kinds.

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
    kind(
        "power-failure",
        4,
        true,
        "a host is without power, and without what it had not synced",
        "it has power again",
    ),
    kind("partition", 6, true, "no byte passes between two hosts", "bytes pass again"),
    kind("one-way", 4, true, "packets pass between two hosts one way only", "they pass both ways"),
    kind(
        "bad-network",
        4,
        true,
        "packets between two hosts are late, lost and sent again, or few",
        "they travel as before",
    ),
    kind("reset", 4, false, "open connections are reset", "clients dial again"),
    kind(
        "half-open",
        4,
        false,
        "open connections are forgotten, and nobody is told",
        "clients' pings notice, and they dial again",
    ),
    kind("name-wrong", 3, true, "the control plane's name resolves wrongly", "it resolves rightly"),
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
    kind("slow-fsync", 3, true, "the store waits for its disk", "the disk is fast again"),
    kind(
        "lying-fsync",
        2,
        true,
        "the control plane's disk says that it has synced, has not, and its power fails",
        "the disk is honest, everybody who remembers starts anew",
    ),
    kind("certificate-replaced", 3, true, "a stranger's certificate on the disk", "the files are restored"),
    kind(
        "object-deleted",
        3,
        false,
        "an object is deleted that the cluster keeps",
        "its controller makes it again",
    ),
    kind(
        "secret-deleted",
        3,
        true,
        "a Secret is away that pods read",
        "it is made again, and pods that waited start",
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

/// The row of that name.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
