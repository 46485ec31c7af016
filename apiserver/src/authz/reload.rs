//! The file of `--authorization-config`, followed: a good change is a new chain, a bad one is a line in the log.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use api::profile::Profile;
use world::{Disk, Host, Looks};

use super::{Authz, Configuration};

/// How often upstream looks at the file besides watching it.
const PERIOD: Duration = Duration::from_secs(60);

struct Followed {
    disk: Disk,
    path: PathBuf,
    profile: Profile,
    content: Vec<u8>,
    loaded: Configuration,
    initial: Configuration,
}

/// Looks at the file every minute, in a task of `host`'s process, while there is somebody who asks.
pub(super) fn keep_fresh(
    authz: &Arc<Authz>,
    host: &Host,
    profile: Profile,
    path: PathBuf,
    loaded: Configuration,
) {
    let content = host.disk().read(&path).unwrap_or_default();
    let disk = host.disk().clone();
    let mut followed = Followed { disk, path, profile, content, initial: loaded.clone(), loaded };
    let (authz, mut looks) = (Arc::downgrade(authz), Looks::new(host, PERIOD));
    host.spawn(async move {
        loop {
            looks.next().await;
            match followed.look(&authz) {
                Some(Ok(true)) => tracing::info!("reloaded authz config"),
                Some(Ok(false)) => {}
                Some(Err(error)) => tracing::error!(err = error, "reloading authorization config"),
                None => return,
            }
        }
    });
}

impl Followed {
    /// Whether there is a new chain; none when nobody asks any more.
    fn look(&mut self, authz: &Weak<Authz>) -> Option<Result<bool, String>> {
        let authz = authz.upgrade()?;
        Some(self.load(&authz))
    }

    fn load(&mut self, authz: &Authz) -> Result<bool, String> {
        let content = self.disk.read(&self.path).map_err(|e| e.to_string())?;
        if content == self.content {
            return Ok(false);
        }
        tracing::info!("found new authorization config data");
        // Remembered even if it is bad: it is told of once.
        self.content = content;
        let required = self.initial.modes();
        let new = Configuration::parse(&self.disk, self.profile.minor(), &self.content, &required)?;
        if new == self.loaded {
            return Ok(false);
        }
        tracing::info!("found new authorization config");
        self.loaded = new;
        authz.replace(&self.loaded)?;
        Ok(true)
    }
}
