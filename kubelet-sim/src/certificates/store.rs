//! Certificate files of a kubelet: dated pairs, and a symbolic link to the newest
//! (client-go `util/certificate/certificate_store.go`).

use pki::CertifiedKey;
use world::{Disk, FileKind, Host};

const PREFIX: &str = "kubelet-client";

/// The link that always names the newest pair.
pub(crate) fn current_path(dir: &str) -> String {
    format!("{dir}/{PREFIX}-current.pem")
}

/// See the module.
pub(crate) struct FileStore {
    host: Host,
    dir: String,
}

impl FileStore {
    pub(crate) fn new(host: &Host, dir: &str) -> Self {
        Self { host: host.clone(), dir: dir.to_owned() }
    }

    fn disk(&self) -> &Disk {
        self.host.disk()
    }

    /// The newest pair; `None` when there never was one.
    pub(crate) fn current(&self) -> Result<Option<CertifiedKey>, String> {
        self.recover()?;
        let link = current_path(&self.dir);
        match self.disk().stat(&link) {
            Some(stat) if stat.kind != FileKind::Symlink => {
                return Err(format!("expected {link:?} to be a symlink but it is a file"));
            }
            Some(_) => {
                let pem = self.disk().read(&link).map_err(|e| e.to_string())?;
                return CertifiedKey::from_pem(&pem, &pem)
                    .map(Some)
                    .map_err(|e| format!("could not load {link}: {e}"));
            }
            None => {}
        }
        let (crt, key) = (format!("{}/{PREFIX}.crt", self.dir), format!("{}/{PREFIX}.key", self.dir));
        if self.disk().exists(&crt) && self.disk().exists(&key) {
            let read = |path: &str| self.disk().read(path).map_err(|e| e.to_string());
            return CertifiedKey::from_pem(&read(&crt)?, &read(&key)?)
                .map(Some)
                .map_err(|e| format!("could not load {crt}: {e}"));
        }
        Ok(None)
    }

    /// Completes a switch that a crash interrupted.
    fn recover(&self) -> Result<(), String> {
        let (current, updated) = (current_path(&self.dir), self.updated());
        match (self.disk().stat(&current), self.disk().stat(&updated)) {
            (None, Some(_)) => self.disk().rename(&updated, &current).map_err(|e| e.to_string()),
            (Some(_), Some(_)) => self.disk().remove(&updated).map_err(|e| e.to_string()),
            _ => Ok(()),
        }
    }

    fn updated(&self) -> String {
        format!("{}/{PREFIX}-updated.pem", self.dir)
    }

    /// Keeps `pair` in a new dated file and makes the link name it. Old files stay.
    pub(crate) fn update(&self, pair: &CertifiedKey) -> Result<(), String> {
        let stamp = self.host.clock().wall().strftime("%Y-%m-%d-%H-%M-%S");
        let path = format!("{}/{PREFIX}-{stamp}.pem", self.dir);
        let pem = pair.chain_pem() + &pair.key_pem();
        let words = |e: world::DiskError| e.to_string();
        self.disk().write_unsynced(&path, pem, 0o600).map_err(words)?;
        let updated = self.updated();
        if self.disk().stat(&updated).is_some() {
            self.disk().remove(&updated).map_err(words)?;
        }
        self.disk().symlink(&path, &updated).map_err(words)?;
        self.disk().rename(&updated, current_path(&self.dir)).map_err(words)
    }
}
