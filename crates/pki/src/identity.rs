//! Who one is in a handshake. Asked at each handshake, so that a renewed certificate takes effect
//! with the next connection, and open connections keep the old one, as upstream.

use std::{fmt, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use rustls::sign;
use world::{Disk, DiskError};

use crate::{CertifiedKey, pair::PairError};

/// What a client presents; `None` presents nothing (an anonymous client).
pub trait ClientIdentity: Send + Sync {
    /// The pair to present now.
    fn current(&self) -> Option<Arc<sign::CertifiedKey>>;
}

/// What a server serves; `None` fails the handshake.
pub trait ServerIdentity: Send + Sync {
    /// The pair to serve now.
    fn current(&self) -> Option<Arc<sign::CertifiedKey>>;
}

/// A pair that never changes.
#[derive(Clone)]
pub struct StaticIdentity(Arc<sign::CertifiedKey>);

impl StaticIdentity {
    /// This pair.
    ///
    /// # Errors
    /// rustls does not take such a key.
    pub fn new(pair: &CertifiedKey) -> Result<Self, PairError> {
        pair.to_rustls().map(Self)
    }
}

impl ClientIdentity for StaticIdentity {
    fn current(&self) -> Option<Arc<sign::CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl ServerIdentity for StaticIdentity {
    fn current(&self) -> Option<Arc<sign::CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A pair in memory that its owner replaces, such as a kubelet's certificate manager.
#[derive(Clone, Default)]
pub struct SharedIdentity(Arc<Mutex<Option<Arc<sign::CertifiedKey>>>>);

impl SharedIdentity {
    /// Nothing yet.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Presents `pair` from the next handshake on; `None` presents nothing.
    ///
    /// # Errors
    /// rustls does not take such a key; what was there stays.
    pub fn set(&self, pair: Option<&CertifiedKey>) -> Result<(), PairError> {
        let pair = pair.map(CertifiedKey::to_rustls).transpose()?;
        *self.0.lock() = pair;
        Ok(())
    }
}

impl ClientIdentity for SharedIdentity {
    fn current(&self) -> Option<Arc<sign::CertifiedKey>> {
        self.0.lock().clone()
    }
}

impl ServerIdentity for SharedIdentity {
    fn current(&self) -> Option<Arc<sign::CertifiedKey>> {
        self.0.lock().clone()
    }
}

/// A pair in files, read again when they change. Both paths may name one file, as
/// `kubelet-client-current.pem` holds the certificate and then the key.
///
/// Bad content is logged and the last good pair stays in use, as upstream.
pub struct FileIdentity {
    disk: Disk,
    certificate: PathBuf,
    key: PathBuf,
    state: Mutex<FileState>,
}

#[derive(Default)]
struct FileState {
    seen: Option<(Vec<u8>, Vec<u8>)>,
    current: Option<(CertifiedKey, Arc<sign::CertifiedKey>)>,
}

/// Why there is no pair in files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileIdentityError {
    /// A file cannot be read.
    #[error("{0}")]
    Disk(DiskError),
    /// The files are no pair.
    #[error("{}: {why}", path.display())]
    Pair {
        /// The file at fault; for a mismatch the certificate's.
        path: PathBuf,
        /// What is wrong.
        why: PairError,
    },
}

impl FileIdentity {
    /// A pair in these files, which need not exist yet.
    pub fn new(disk: &Disk, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { disk: disk.clone(), certificate: certificate.into(), key: key.into(), state: Mutex::default() }
    }

    /// Reads the files now if they changed. The last good pair stays when they are bad.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn refresh(&self) -> Result<(), FileIdentityError> {
        let certificate = self.disk.read(&self.certificate).map_err(FileIdentityError::Disk)?;
        let key = if self.key == self.certificate {
            certificate.clone()
        } else {
            self.disk.read(&self.key).map_err(FileIdentityError::Disk)?
        };
        let seen = (certificate, key);
        let mut state = self.state.lock();
        if state.seen.as_ref() == Some(&seen) {
            return Ok(());
        }
        let read = CertifiedKey::from_pem(&seen.0, &seen.1).and_then(|pair| Ok((pair.to_rustls()?, pair)));
        match read {
            Ok((rustls, pair)) => {
                state.current = Some((pair, rustls));
                state.seen = Some(seen);
                Ok(())
            }
            Err(why) => {
                let at_fault = if matches!(why, PairError::Key(_)) { &self.key } else { &self.certificate };
                Err(FileIdentityError::Pair { path: at_fault.clone(), why })
            }
        }
    }

    /// The pair as of the last good content, for those who want to look at it.
    pub fn pair(&self) -> Option<CertifiedKey> {
        self.latest().map(|(pair, _)| pair)
    }

    fn latest(&self) -> Option<(CertifiedKey, Arc<sign::CertifiedKey>)> {
        if let Err(error) = self.refresh() {
            tracing::warn!("keeping the certificate in use: {error}");
        }
        self.state.lock().current.clone()
    }
}

impl ClientIdentity for FileIdentity {
    fn current(&self) -> Option<Arc<sign::CertifiedKey>> {
        self.latest().map(|(_, rustls)| rustls)
    }
}

impl ServerIdentity for FileIdentity {
    fn current(&self) -> Option<Arc<sign::CertifiedKey>> {
        self.latest().map(|(_, rustls)| rustls)
    }
}

impl fmt::Debug for FileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileIdentity({}, {})", self.certificate.display(), self.key.display())
    }
}
