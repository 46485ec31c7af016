//! What every phase needs: the host, the moment the program started, its output, and how it fails.

use std::{fmt, io::Write, time::Duration};

use api::profile::{Profile, console::Line};
use client::{ClientError, Rest};
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;
use world::{Disk, DiskError, Host, Wall};

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
    pub out: &'a mut (dyn Write + Send + Sync),
}

impl Session<'_> {
    pub(crate) fn disk(&self) -> &Disk {
        self.host.disk()
    }

    /// Prints one line.
    pub(crate) fn say(&mut self, line: impl AsRef<str>) {
        // A closed terminal must not end a bootstrap half way.
        let _ = writeln!(self.out, "{}", line.as_ref());
    }

    /// Prints what this release says there; returns whether it says anything.
    pub(crate) fn tell(&mut self, line: &Line, parts: &[&str]) -> bool {
        let filled = line.fill(self.profile, parts);
        if let Some(text) = &filled {
            self.say(text);
        }
        filled.is_some()
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

/// `value` as YAML; `what` it is, for the error.
pub(crate) fn yaml(what: &str, value: &Value) -> Result<String> {
    serde_saphyr::to_string(value).map_err(|e| Failure::new(format!("couldn't marshal {what}: {e}")))
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
