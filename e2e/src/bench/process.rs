//! What the operating system says of a process, and how many files it lets this one open.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::cli::Refusal;

/// Resident memory of a process in bytes.
pub(super) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
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
