//! What the operating system says of a process, and how many files it lets this one open.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::cli::Refusal;

/// Resident memory of a process in bytes.
pub(super) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

/// The process of this machine that listens where `url` leads to, if it may be looked at.
pub(super) fn listening_at(url: &str) -> Option<u32> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let port = format!(":{:04X}", uri.port_u16().unwrap_or(443));
    if !local {
        return None;
    }
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| {
            // Number, local and remote address, state (0A: listening), …, inode.
            let words: Vec<&str> = line.split_whitespace().collect();
            let listens = words.get(1)?.ends_with(&port) && *words.get(3)? == "0A";
            listens.then(|| words.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
        })
        .collect();
    let pids = std::fs::read_dir("/proc").ok()?.flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
    })
}

/// Linux counts processor time in these for everybody who reads /proc.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that this process has used so far, its own and the kernel's for it: what a bootstrap
/// costs, however busy the machine is with other things.
pub(super) fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in brackets, may hold anything; utime and stime are the 12th and 13th word behind it.
    let (_, words) = stat.rsplit_once(')').unwrap_or_default();
    let ticks = words.split_whitespace().skip(11).take(2).filter_map(|w| w.parse::<u32>().ok());
    TICK * ticks.sum()
}

/// Raises this process's limit of open files to what `wanted` of them need.
///
/// # Errors
/// The system allows fewer.
pub(super) fn allow_open_files(wanted: u64) -> Result<(), Refusal> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= wanted) {
        return Ok(());
    }
    limit.current = limit.maximum.map(|most| most.min(wanted)).or(Some(wanted));
    if limit.current.is_some_and(|now| now < wanted) {
        return Err(Refusal(format!(
            "so many kubelets need {wanted} open files, and this process may have {}; raise the limit \
             (`ulimit -Hn`) or measure with fewer --nodes",
            limit.maximum.unwrap_or_default()
        )));
    }
    Ok(setrlimit(Resource::Nofile, limit)?)
}
