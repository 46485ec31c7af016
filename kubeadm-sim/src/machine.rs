//! What a host's tree says of its machine. A simulated host has no hardware, kernel or programs of its own; where a
//! story puts such a file, it is believed.
//!
//! | file | says |
//! |---|---|
//! | /proc/cpuinfo | the number of CPUs, one `processor` line each |
//! | /proc/meminfo | the memory, `MemTotal` in kB |
//! | /proc/swaps | swap, a line behind the header for each device |
//! | /proc/sys/kernel/osrelease | the kernel's release |
//! | /proc/cgroups | version 1 of cgroups, a line behind the header for each subsystem that is there |
//! | /sys/fs/cgroup/cgroup.controllers | version 2 of cgroups, and its controllers |
//! | /proc/self/status | who runs kubeadm: the effective user of `Uid` |
//! | /usr/bin/containerd | what `containerd --version` prints |
//! | /usr/bin and its like | programs, as soon as one of the directories has anything |
//! | /usr/bin/kubelet | what `kubelet --version` prints |
//! | /etc/hosts | names that resolve besides the host's own |

use world::Host;

/// Where programs are looked for, as root's PATH has it.
const PATH: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// What `kubelet --version` prints is shorter than this; a longer file is a real program.
const LONGEST_VERSION: u64 = 256;

/// Numbers of a machine, as far as its tree tells them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub cpus: Option<usize>,
    pub megabytes: Option<u64>,
    pub swaps: bool,
    pub kernel: Option<String>,
    pub cgroups: Option<Cgroups>,
}

/// The control groups that the kernel offers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// Subsystems that are enabled.
    V1(Vec<String>),
    /// Controllers.
    V2(Vec<String>),
}

impl Machine {
    pub(crate) fn of(host: &Host) -> Self {
        let text = |path: &str| host.disk().read_to_string(path).ok();
        Self {
            cpus: text("/proc/cpuinfo").map(|text| cpus(&text)),
            megabytes: text("/proc/meminfo").and_then(|text| megabytes(&text)),
            swaps: text("/proc/swaps").is_some_and(|text| text.lines().count() > 1),
            kernel: text("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            cgroups: match text("/sys/fs/cgroup/cgroup.controllers") {
                Some(controllers) => {
                    Some(Cgroups::V2(controllers.split_whitespace().map(str::to_owned).collect()))
                }
                None => text("/proc/cgroups").map(|text| Cgroups::V1(subsystems(&text))),
            },
        }
    }
}

fn cpus(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.split(':').next().is_some_and(|key| key.trim() == "processor")).count()
}

fn megabytes(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = total.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024)
}

/// The enabled subsystems, the last column of whose lines is not zero.
fn subsystems(cgroups: &str) -> Vec<String> {
    let lines = cgroups.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let name = columns.next()?;
            (columns.nth(2)? != "0").then(|| name.to_owned())
        })
        .collect()
}

/// Whether root runs kubeadm, as it does where nothing else is said.
pub(crate) fn is_root(host: &Host) -> bool {
    let Ok(status) = host.disk().read_to_string("/proc/self/status") else { return true };
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)).is_none_or(|effective| effective == "0")
}

/// Whether a program is in the path of a host that has programs at all.
pub(crate) fn has_program(host: &Host, name: &str) -> bool {
    let has_any = PATH.iter().any(|dir| host.disk().list(dir).is_ok_and(|names| !names.is_empty()));
    !has_any || PATH.iter().any(|dir| host.disk().exists(format!("{dir}/{name}")))
}

/// What `kubelet --version` says, without `Kubernetes `; `None` leaves it to the package.
pub(crate) fn kubelet_version(host: &Host) -> Option<String> {
    printed_version(host, "/usr/bin/kubelet")?.trim().strip_prefix("Kubernetes ").map(str::to_owned)
}

/// The major number that `containerd --version` says: `containerd <import path> v2.1.4 <commit>`.
pub(crate) fn containerd_major(host: &Host) -> Option<u32> {
    let text = printed_version(host, "/usr/bin/containerd")?;
    let version = text.split_whitespace().nth(2)?.trim_start_matches('v').to_owned();
    version.split('.').next()?.parse().ok()
}

fn printed_version(host: &Host, path: &str) -> Option<String> {
    host.disk().stat(path).filter(|stat| stat.len <= LONGEST_VERSION)?;
    host.disk().read_to_string(path).ok()
}

/// Whether a name leads to an address: the host's own does, and what /etc/hosts names.
pub(crate) fn resolves(host: &Host, name: &str) -> bool {
    if name.eq_ignore_ascii_case(host.name()) {
        return true;
    }
    let Ok(hosts) = host.disk().read_to_string("/etc/hosts") else { return true };
    let names = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().skip(1).any(|known| known.eq_ignore_ascii_case(name))
    };
    hosts.lines().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_files_are_read_as_linux_writes_them() {
        assert_eq!(cpus("processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\nmodel name\t: x\n"), 2);
        assert_eq!(megabytes("MemTotal:        2097152 kB\nMemFree:  1 kB\n"), Some(2048));
        assert_eq!(megabytes("MemFree: 1 kB\n"), None);
        let groups = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t9\t1\t1\nmemory\t0\t1\t0\n";
        assert_eq!(subsystems(groups), ["cpuset"]);
    }
}
