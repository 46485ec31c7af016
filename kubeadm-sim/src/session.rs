//! What every phase needs: the host, the moment the program started, its output, and how it fails.

use std::{
    fmt,
    io::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use api::profile::{Profile, console::Line};
use client::{ClientError, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;
use world::{Disk, DiskError, Host, Wall};

use crate::{dry_run::DryRun, patches::Patches};

/// Why kubeadm gave up, in kubeadm's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl Failure {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// The same failure with what was being done before it, as Go's error wrapping reads.
    pub(crate) fn within(self, what: &str) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

macro_rules! from_display {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(e: $error) -> Self {
                Self(e.to_string())
            }
        }
    )+};
}
from_display!(
    DiskError,
    ClientError,
    crate::ConfigError,
    wire::Error,
    pki::kubeconfig::KubeconfigError,
    std::io::Error
);

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// One run of the program.
pub(crate) struct Session<'a> {
    pub host: &'a Host,
    /// The wall clock when the program started: every date it writes counts from here.
    pub started: Wall,
    pub profile: Profile,
    /// What people want to be changed in the files that are written.
    pub patches: Patches,
    /// How much is logged (`--v`); nothing when it is zero.
    pub verbosity: u8,
    dry_run: Option<DryRun>,
    out: Mutex<&'a mut (dyn Write + Send + Sync)>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(host: &'a Host, profile: Profile, out: &'a mut (dyn Write + Send + Sync)) -> Self {
        let started = host.clock().wall();
        let patches = Patches::default();
        Self { host, started, profile, patches, verbosity: 0, dry_run: None, out: Mutex::new(out) }
    }

    /// The files that phases read and write: the host's, or in a dry run a copy of them.
    pub(crate) fn disk(&self) -> &Disk {
        self.dry_run.as_ref().map_or(self.host.disk(), DryRun::disk)
    }

    /// From here on nothing is changed but a copy of the host's files, kept below `tmp` as `kubeadm-<what>-dryrun…`.
    pub(crate) fn begin_dry_run(&mut self, what: &str, further: &[&str]) -> Result<()> {
        self.dry_run = Some(DryRun::begin(self.host, what, further)?);
        Ok(())
    }

    /// The dry run, if this is one.
    pub(crate) fn dry_run(&self) -> Option<&DryRun> {
        self.dry_run.as_ref()
    }

    /// Prints one line.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed terminal must not end a bootstrap half way.
        let _ = writeln!(out, "{}", line.as_ref());
    }

    /// Prints what this release says there; returns whether it says anything.
    pub(crate) fn tell(&self, line: &Line, parts: &[&str]) -> bool {
        let filled = line.fill(self.profile, parts);
        if let Some(text) = &filled {
            self.say(text);
        }
        filled.is_some()
    }

    /// What this release says of discovery there: to everybody, or to who asked for a log. Of the log's lines the
    /// heads are left out, which hold a time and a place in upstream's source.
    pub(crate) fn tell_discovery(&self, line: &Line, parts: &[&str]) {
        if !self.profile.discovery_is_silent() || self.verbosity > 0 {
            self.tell(line, parts);
        }
    }

    /// What this release says there, for a failure; empty where it says nothing.
    pub(crate) fn words(&self, line: &Line, parts: &[&str]) -> String {
        line.fill(self.profile, parts).unwrap_or_default()
    }

    /// A client with the credentials of a kubeconfig file on this host.
    pub(crate) fn client(&self, path: &str) -> Result<Rest> {
        let config = Kubeconfig::load(self.disk(), path)?;
        self.client_of(&config)
    }

    pub(crate) fn client_of(&self, config: &Kubeconfig) -> Result<Rest> {
        let agent = format!("kubeadm/{} (linux/amd64) kubernetes", self.profile.git_version());
        Ok(Rest::from_kubeconfig(self.host, config, self.profile.go(), &agent)?)
    }
}

/// `value` as YAML with its fields sorted by name, as sigs.k8s.io/yaml writes them; `what` it is, for the error.
pub(crate) fn yaml(what: &str, value: &Value) -> Result<String> {
    serde_saphyr::to_string(&sorted(value)).map_err(|e| Failure::new(format!("couldn't marshal {what}: {e}")))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Calls `attempt` every `poll` until it succeeds or `timeout` of the host's running time passed;
/// then the last failure.
pub(crate) async fn poll<T, F>(host: &Host, poll: Duration, timeout: Duration, mut attempt: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<T>,
{
    let deadline = host.clock().monotonic() + timeout;
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(e) if host.clock().monotonic() >= deadline => return Err(e),
            Err(_) => host.clock().sleep(poll).await,
        }
    }
}
