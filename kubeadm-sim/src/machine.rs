//! What a host's tree says of its machine. A simulated host has no hardware, kernel or programs of its own; where a
//! story puts such a file, it is believed.
//!
//! | file | says |
//! |---|---|
//! | /proc/cpuinfo | the number of CPUs, one `processor` line each |
//! | /proc/meminfo | the memory, `MemTotal` in kB |
//! | /proc/swaps | swap, a line behind the header for each device |
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
}

impl Machine {
    pub(crate) fn of(host: &Host) -> Self {
        let text = |path: &str| host.disk().read_to_string(path).ok();
        Self {
            cpus: text("/proc/cpuinfo").map(|text| cpus(&text)),
            megabytes: text("/proc/meminfo").and_then(|text| megabytes(&text)),
            swaps: text("/proc/swaps").is_some_and(|text| text.lines().count() > 1),
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

/// Whether a program is in the path of a host that has programs at all.
pub(crate) fn has_program(host: &Host, name: &str) -> bool {
    let has_any = PATH.iter().any(|dir| host.disk().list(dir).is_ok_and(|names| !names.is_empty()));
    !has_any || PATH.iter().any(|dir| host.disk().exists(format!("{dir}/{name}")))
}

/// What `kubelet --version` says, without `Kubernetes `; `None` leaves it to the package.
pub(crate) fn kubelet_version(host: &Host) -> Option<String> {
    let path = "/usr/bin/kubelet";
    host.disk().stat(path).filter(|stat| stat.len <= LONGEST_VERSION)?;
    let text = host.disk().read_to_string(path).ok()?;
    text.trim().strip_prefix("Kubernetes ").map(str::to_owned)
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
    }
}
