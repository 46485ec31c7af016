//! Certificate files of a kubelet: dated pairs, and a symbolic link to the newest
//! (client-go `util/certificate/certificate_store.go`).

use pki::{CertifiedKey, PairError, PemError};
use world::{Disk, DiskError, FileKind, Host};

use super::template::Purpose;

/// What is wrong with the files, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("expected {0:?} to be a symlink but it is a file")]
    NoSymlink(String),
    #[error("unable to rename {from:?} to {to:?}: {why}")]
    Rename { from: String, to: String, why: DiskError },
    #[error("unable to remove {path:?}: {why}")]
    Remove { path: String, why: DiskError },
    #[error("unable to create a symlink from {link:?} to {path:?}: {why}")]
    Link { link: String, path: String, why: DiskError },
    #[error("could not create directory {dir:?} to store certificates: {why}")]
    Directory { dir: String, why: DiskError },
    #[error("could not open {path:?}: {why}")]
    Open { path: String, why: DiskError },
    #[error("could not convert data from {path:?} into cert/key pair: {why}")]
    Pair { path: String, why: String },
}

/// See the module.
pub(crate) struct FileStore {
    host: Host,
    dir: String,
    prefix: &'static str,
    /// Certificate and key that the configuration names.
    configured: Option<(String, String)>,
    /// Whether a new file is on the disk before the link names it.
    syncs: bool,
}

impl FileStore {
    /// The files of `purpose` in `dir`. A switch that a crash interrupted is completed.
    ///
    /// # Errors
    /// What lies in the link's place is no link, or cannot be moved.
    pub(crate) fn open(
        host: &Host,
        dir: &str,
        purpose: Purpose,
        configured: Option<(String, String)>,
        syncs: bool,
    ) -> Result<Self, StoreError> {
        let store =
            Self { host: host.clone(), dir: dir.to_owned(), prefix: purpose.prefix(), configured, syncs };
        store.recover()?;
        Ok(store)
    }

    /// The link that always names the newest pair.
    pub(crate) fn current_path(&self) -> String {
        self.path("-current.pem")
    }

    fn path(&self, end: &str) -> String {
        format!("{}/{}{end}", self.dir, self.prefix)
    }

    fn disk(&self) -> &Disk {
        self.host.disk()
    }

    fn recover(&self) -> Result<(), StoreError> {
        let (current, updated) = (self.current_path(), self.path("-updated.pem"));
        if self.disk().exists(&current) {
            return Ok(());
        }
        match self.disk().stat(&updated).map(|s| s.kind) {
            None => Ok(()),
            Some(FileKind::Symlink) => self
                .disk()
                .rename(&updated, &current)
                .map_err(|why| StoreError::Rename { from: updated, to: current, why }),
            Some(_) => Err(StoreError::NoSymlink(updated)),
        }
    }

    /// The pair in use: the link's, else the configured files', else `<prefix>.crt` and `.key`;
    /// `None` when there is none of these.
    ///
    /// # Errors
    /// A file that is there holds no pair.
    pub(crate) fn current(&self) -> Result<Option<CertifiedKey>, StoreError> {
        let current = self.current_path();
        if self.disk().exists(&current) {
            tracing::info!("Loading cert/key pair from {current:?}.");
            return self.load(&current, &current).map(Some);
        }
        let own = self.plain_paths();
        for (certificate, key) in self.configured.iter().chain([&own]) {
            if self.disk().exists(certificate) && self.disk().exists(key) {
                tracing::info!("Loading cert/key pair from ({certificate:?}, {key:?}).");
                return self.load(certificate, key).map(Some);
            }
        }
        Ok(None)
    }

    fn load(&self, certificate: &str, key: &str) -> Result<CertifiedKey, StoreError> {
        let fail = |why: String| StoreError::Pair { path: certificate.to_owned(), why };
        let read = |path: &str| self.disk().read(path).map_err(|e| fail(e.to_string()));
        let chain = read(certificate)?;
        let key = if key == certificate { chain.clone() } else { read(key)? };
        CertifiedKey::from_pem(&chain, &key).map_err(|e| fail(words_of_pair(&e)))
    }

    /// Certificate and key as two files without a date, which there is no second pair of.
    pub(crate) fn plain_paths(&self) -> (String, String) {
        (self.path(".crt"), self.path(".key"))
    }

    /// Keeps `pair` in those two files.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) fn keep_plain(&self, pair: &CertifiedKey) -> Result<(), StoreError> {
        let (certificate, key) = self.plain_paths();
        for (path, text, mode) in [(key, pair.key_pem(), 0o600), (certificate, pair.chain_pem(), 0o644)] {
            self.disk()
                .write(&path, text, mode)
                .map_err(|why| StoreError::Open { path: path.clone(), why })?;
        }
        Ok(())
    }

    /// Keeps `pair` in a new dated file and makes the link name it. Old files stay. Whatever fails on
    /// the way, the link names a whole pair: the old one or the new one.
    ///
    /// # Errors
    /// The disk does not take it, or something else is in the link's place.
    pub(crate) fn update(&self, pair: &CertifiedKey) -> Result<(), StoreError> {
        let stamp = self.host.clock().wall().strftime("-%Y-%m-%d-%H-%M-%S.pem").to_string();
        let path = self.path(&stamp);
        self.disk()
            .create_dir_all(&self.dir)
            .map_err(|why| StoreError::Directory { dir: self.dir.clone(), why })?;
        let text = pair.chain_pem() + &pair.key_pem();
        let written = if self.syncs {
            self.disk().write_contents(&path, text, 0o600)
        } else {
            self.disk().write_unsynced(&path, text, 0o600)
        };
        written.map_err(|why| StoreError::Open { path: path.clone(), why })?;
        self.load(&path, &path)?;
        self.switch(path)
    }

    fn switch(&self, path: String) -> Result<(), StoreError> {
        let (current, updated) = (self.current_path(), self.path("-updated.pem"));
        let kind = |at: &str| self.disk().stat(at).map(|s| s.kind);
        if kind(&current).is_some_and(|k| k != FileKind::Symlink) {
            return Err(StoreError::NoSymlink(current));
        }
        match kind(&updated) {
            None => {}
            Some(FileKind::Symlink) => self
                .disk()
                .remove(&updated)
                .map_err(|why| StoreError::Remove { path: updated.clone(), why })?,
            Some(_) => return Err(StoreError::NoSymlink(updated)),
        }
        if let Err(why) = self.disk().symlink(&path, &updated) {
            return Err(StoreError::Link { link: updated, path, why });
        }
        self.disk().rename(&updated, &current).map_err(|why| StoreError::Rename {
            from: updated,
            to: current,
            why,
        })
    }
}

/// Why files are no pair, as Go's `tls.LoadX509KeyPair` says it.
pub(crate) fn words_of_pair(e: &PairError) -> String {
    match e {
        PairError::Certificate(pki::CertificateError::Pem(PemError::Missing { .. })) => {
            "tls: failed to find any PEM data in certificate input".to_owned()
        }
        PairError::Key(pki::KeyError::Pem(PemError::Missing { .. })) => {
            "tls: failed to find any PEM data in key input".to_owned()
        }
        e => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use pki::{KeyAlgorithm, loopback::self_signed_server};
    use world::sim::{Config, Sim, run};

    use super::*;

    const DIR: &str = "/var/lib/kubelet/pki";
    const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
    const UPDATED: &str = "/var/lib/kubelet/pki/kubelet-client-updated.pem";

    fn pair(host: &Host, name: &str) -> CertifiedKey {
        let now = host.clock().wall();
        self_signed_server(name, &[], &[], now, host.entropy(), KeyAlgorithm::EcdsaP256).expect("made").pair
    }

    fn open(host: &Host) -> Result<FileStore, StoreError> {
        FileStore::open(host, DIR, Purpose::Client, None, true)
    }

    /// Runs `story` on a host of its own.
    fn check(story: impl FnOnce(&Sim, &Host)) {
        run(Config::default(), async |sim: Sim| story(&sim, &sim.host("n1"))).expect("a runtime");
    }

    /// Whose certificate the store loads now.
    fn current(host: &Host) -> Result<String, String> {
        let loaded = open(host).and_then(|store| store.current()).map_err(|e| e.to_string())?;
        let name = |pair: CertifiedKey| pair.leaf().map(|l| l.dns_names().join(",")).unwrap_or_default();
        Ok(loaded.map(name).unwrap_or_else(|| "none".into()))
    }

    fn text(pair: &CertifiedKey) -> String {
        pair.chain_pem() + &pair.key_pem()
    }

    #[test]
    fn files_are_dated_private_and_the_link_is_absolute() {
        check(|_, host| {
            open(host).expect("opens").update(&pair(host, "a")).expect("kept");
            let link = host.disk().read_link(CURRENT).expect("a link");
            assert_eq!(link.to_str(), Some("/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem"));
            assert_eq!(host.disk().stat(&link).map(|s| s.mode), Some(0o600));
            let text = host.disk().read_to_string(&link).expect("readable");
            let (certificate, key) = (text.find("BEGIN CERTIFICATE"), text.find("BEGIN EC PRIVATE KEY"));
            assert!(certificate < key && certificate.is_some(), "the certificates come first");
            assert_eq!(host.disk().stat(UPDATED), None);
        });
    }

    #[test]
    fn the_first_place_that_has_a_pair_is_taken() {
        check(|_, host| {
            let disk = host.disk();
            assert_eq!(current(host), Ok("none".into()));
            let write = |base: &str, name: &str| {
                let pair = pair(host, name);
                disk.write(format!("{base}.crt"), pair.chain_pem(), 0o600).expect("written");
                disk.write(format!("{base}.key"), pair.key_pem(), 0o600).expect("written");
            };
            write(&format!("{DIR}/kubelet-client"), "old-layout");
            assert_eq!(current(host), Ok("old-layout".into()));
            write("/etc/given", "configured");
            let configured = Some(("/etc/given.crt".to_owned(), "/etc/given.key".to_owned()));
            let store = FileStore::open(host, DIR, Purpose::Client, configured, true).expect("opens");
            let loaded = store.current().expect("loads").expect("there");
            assert_eq!(loaded.leaf().map(|l| l.dns_names().to_vec()), Some(vec!["configured".to_owned()]));
            store.update(&pair(host, "rotated")).expect("kept");
            assert_eq!(current(host), Ok("rotated".into()));
        });
    }

    #[test]
    fn an_interrupted_switch_is_completed() {
        check(|_, host| {
            let dated = format!("{DIR}/kubelet-client-2026-01-01-00-00-00.pem");
            host.disk().write(&dated, text(&pair(host, "new")), 0o600).expect("written");
            host.disk().symlink(&dated, UPDATED).expect("linked");
            assert_eq!(current(host), Ok("new".into()), "the crash came before the rename");
            assert_eq!(host.disk().stat(UPDATED), None);
            // With both there the old one counts, and the next update clears away the other.
            host.disk().symlink("/nowhere", UPDATED).expect("linked");
            assert_eq!(current(host), Ok("new".into()));
            open(host).expect("opens").update(&pair(host, "newer")).expect("kept");
            assert_eq!(current(host), Ok("newer".into()));
        });
    }

    #[test]
    fn what_is_no_link_is_refused_in_upstreams_words() {
        check(|_, host| {
            host.disk().write(CURRENT, text(&pair(host, "a")), 0o600).expect("written");
            let refused = open(host).expect("opens").update(&pair(host, "b")).map_err(|e| e.to_string());
            assert_eq!(refused, Err(format!("expected {CURRENT:?} to be a symlink but it is a file")));
            assert_eq!(current(host), Ok("a".into()), "a regular file can be read all the same");
            host.disk().remove(CURRENT).expect("removed");
            host.disk().write(UPDATED, "x", 0o600).expect("written");
            assert_eq!(current(host), Err(format!("expected {UPDATED:?} to be a symlink but it is a file")));
        });
    }

    #[test]
    fn damaged_files_are_named() {
        check(|_, host| {
            let whole = text(&pair(host, "a"));
            let damaged = |contents: &str| {
                host.disk().write(CURRENT, contents, 0o600).expect("written");
                current(host)
            };
            let says =
                |why: &str| Err(format!("could not convert data from {CURRENT:?} into cert/key pair: {why}"));
            assert_eq!(damaged(""), says("tls: failed to find any PEM data in certificate input"));
            let key_at = whole.find("-----BEGIN EC").expect("a key");
            assert_eq!(damaged(&whole[..key_at]), says("tls: failed to find any PEM data in key input"));
            assert!(damaged(&whole[..whole.len() - 40]).is_err(), "cut off in the key");
            let mixed = pair(host, "b").chain_pem() + &pair(host, "c").key_pem();
            assert_eq!(damaged(&mixed), says("tls: private key does not match public key"));
            assert_eq!(damaged(&whole), Ok("a".into()), "the control run");
        });
    }

    #[test]
    fn a_full_or_read_only_disk_leaves_the_old_pair() {
        check(|sim, host| {
            open(host).expect("opens").update(&pair(host, "old")).expect("kept");
            let before = host.disk().list(DIR).expect("listed");
            let refused = || open(host).expect("opens").update(&pair(host, "new")).map_err(|e| e.to_string());
            sim.disk("n1").set_full(true);
            let words = refused().expect_err("a full disk");
            assert!(
                words.starts_with("could not open") && words.ends_with("no space left on device"),
                "{words}"
            );
            sim.disk("n1").set_full(false);
            sim.disk("n1").set_read_only(true);
            let words = refused().expect_err("a read-only disk");
            assert!(
                words.starts_with("could not create directory") && words.ends_with("permission denied"),
                "{words}"
            );
            sim.disk("n1").set_read_only(false);
            assert_eq!((current(host), host.disk().list(DIR).expect("listed")), (Ok("old".into()), before));
        });
    }

    #[test]
    fn a_power_cut_after_the_switch_empties_what_was_not_synced() {
        for (syncs, expect) in [(true, Ok("new".to_owned())), (false, Err(()))] {
            check(|sim, host| {
                let store = FileStore::open(host, DIR, Purpose::Client, None, syncs).expect("opens");
                store.update(&pair(host, "new")).expect("kept");
                assert_eq!(current(host), Ok("new".into()), "before");
                sim.disk("n1").lose_unsynced();
                assert_eq!(current(host).map_err(drop), expect, "syncs: {syncs}");
            });
        }
    }
}
