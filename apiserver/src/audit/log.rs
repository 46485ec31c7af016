//! `--audit-log-path`: a file of JSON lines that is set aside when it has grown.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::Mutex;
use world::{Disk, Host, Wall};

/// What `--audit-log-maxsize=0` means.
const DEFAULT_MEGABYTES: u64 = 100;
const MODE: u32 = 0o600;

/// How a log file is kept small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// `--audit-log-maxsize`, in megabytes.
    pub max_megabytes: u64,
    /// `--audit-log-maxbackup`; 0: all are kept.
    pub max_backups: usize,
    /// `--audit-log-maxage`, in days; 0: for ever.
    pub max_age_days: u64,
}

/// Where lines go.
#[derive(Debug)]
pub(super) enum Log {
    /// `-`.
    Stdout,
    /// A file.
    File(File),
}

#[derive(Debug)]
pub(super) struct File {
    disk: Disk,
    path: PathBuf,
    rotation: Rotation,
    /// Its length; taken while a line is written, so that lines do not mix.
    length: Mutex<u64>,
}

impl Log {
    /// Opens the log, and finds out whether it can be written.
    pub(super) fn open(host: &Host, path: &Path, rotation: &Rotation) -> Result<Self, String> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        let disk = host.disk().clone();
        disk.append(path, "", MODE).map_err(|e| e.to_string())?;
        let length = Mutex::new(disk.stat(path).map_or(0, |stat| stat.len));
        Ok(Self::File(File { disk, path: path.to_owned(), rotation: rotation.clone(), length }))
    }

    /// Writes one line, newline included.
    pub(super) fn write(&self, line: &[u8], now: Wall) -> Result<(), String> {
        match self {
            Self::Stdout => std::io::stdout().write_all(line).map_err(|e| e.to_string()),
            Self::File(file) => file.write(line, now),
        }
    }
}

impl File {
    fn limit(&self) -> u64 {
        let megabytes = match self.rotation.max_megabytes {
            0 => DEFAULT_MEGABYTES,
            megabytes => megabytes,
        };
        megabytes << 20
    }

    fn write(&self, line: &[u8], now: Wall) -> Result<(), String> {
        let mut length = self.length.lock();
        if *length > 0 && *length + line.len() as u64 > self.limit() {
            let aside = self.aside(now);
            self.disk.rename(&self.path, &aside).map_err(|e| e.to_string())?;
            *length = 0;
            self.prune(now);
        }
        self.disk.append(&self.path, line, MODE).map_err(|e| e.to_string())?;
        *length += line.len() as u64;
        Ok(())
    }

    /// `audit.log` → (`audit-`, `.log`).
    fn affixes(&self) -> (String, String) {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.rfind('.') {
            Some(at) => {
                let (stem, extension) = name.split_at(at);
                (format!("{stem}-"), extension.to_owned())
            }
            None => (format!("{name}-"), String::new()),
        }
    }

    fn aside(&self, now: Wall) -> PathBuf {
        let (stem, extension) = self.affixes();
        let time = now.strftime("%Y-%m-%dT%H-%M-%S").to_string();
        let millis = now.as_millisecond().rem_euclid(1000);
        self.path.with_file_name(format!("{stem}{time}.{millis:03}{extension}"))
    }

    /// Removes old files that were set aside.
    fn prune(&self, now: Wall) {
        let (stem, extension) = self.affixes();
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        let mut aside: Vec<String> = self.disk.list(dir).unwrap_or_default();
        let time = |name: &str| -> Option<String> {
            Some(name.strip_prefix(stem.as_str())?.strip_suffix(extension.as_str())?.to_owned())
        };
        aside.retain(|name| time(name).is_some_and(|time| time.len() == "2006-01-02T15-04-05.000".len()));
        // Their names are their times: newest first.
        aside.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = match self.rotation.max_age_days {
            0 => None,
            days => now.checked_sub(Duration::from_secs(days * 24 * 3600)).ok(),
        };
        let oldest = oldest.map(|oldest| oldest.strftime("%Y-%m-%dT%H-%M-%S").to_string());
        for (n, name) in aside.iter().enumerate() {
            let too_many = self.rotation.max_backups > 0 && n >= self.rotation.max_backups;
            let too_old = oldest.as_ref().is_some_and(|oldest| time(name).is_some_and(|time| time < *oldest));
            if (too_many || too_old)
                && let Err(error) = self.disk.remove(dir.join(name))
            {
                tracing::warn!("audit log set aside cannot be removed: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_grown_is_set_aside_and_old_ones_go() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let host = sim.host("cp");
            let rotation = Rotation { max_megabytes: 1, max_backups: 2, max_age_days: 0 };
            let log = Log::open(&host, Path::new("/var/log/audit.log"), &rotation).unwrap();
            let line = [b'x'; 700 << 10];
            let names = || {
                let mut names = host.disk().list("/var/log").unwrap();
                names.sort();
                names
            };
            for n in 1..=5 {
                log.write(&line, host.clock().wall()).unwrap();
                assert_eq!(names().len(), n.min(3), "{:?}", names());
                sim.elapse(Duration::from_secs(1)).await;
            }
            let found = names();
            assert_eq!(found.last().map(String::as_str), Some("audit.log"));
            assert!(found[0].starts_with("audit-20") && found[0].ends_with(".log"), "{found:?}");
            assert_eq!(host.disk().stat("/var/log/audit.log").unwrap().len, 700 << 10);
        })
        .unwrap();
    }
}
