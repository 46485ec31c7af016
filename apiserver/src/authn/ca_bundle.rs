//! A file of certificate authorities that is read again while the server runs.
//!
//! What cannot be read or parsed is reported, and the old content stays in use.

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use pki::Roots;
use world::{Disk, DiskError, Host, Looks, Task};

/// How often upstream looks at the file besides watching it.
const RELOAD_PERIOD: Duration = Duration::from_secs(60);

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaBundleError {
    /// No file, or no right to read it.
    #[error("cannot read the certificate authorities: {0}")]
    Read(#[from] DiskError),
    /// Not what it should be.
    #[error("{} holds no usable certificate authorities: {why}; write PEM blocks of type CERTIFICATE there", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Trusted certificates behind a handle that always gives the newest ones.
pub struct CaBundle {
    source: Option<(Disk, PathBuf)>,
    state: RwLock<State>,
}

struct State {
    content: Vec<u8>,
    roots: Roots,
}

impl CaBundle {
    /// A bundle that never changes.
    pub fn fixed(roots: Roots) -> Arc<Self> {
        let content = roots.to_pem().into_bytes();
        Arc::new(Self { source: None, state: RwLock::new(State { content, roots }) })
    }

    /// The bundle in a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn file(disk: &Disk, path: impl Into<PathBuf>) -> Result<Arc<Self>, CaBundleError> {
        let path = path.into();
        let content = disk.read(&path)?;
        let roots = parse(&path, &content)?;
        let state = RwLock::new(State { content, roots });
        Ok(Arc::new(Self { source: Some((disk.clone(), path)), state }))
    }

    /// The certificates as of now.
    pub fn roots(&self) -> Roots {
        self.state.read().roots.clone()
    }

    /// Reads the file again; whether its content changed.
    ///
    /// # Errors
    /// As [`CaBundle::file`]; the old content stays.
    pub fn reload(&self) -> Result<bool, CaBundleError> {
        let Some((disk, path)) = &self.source else { return Ok(false) };
        let content = disk.read(path)?;
        if content == self.state.read().content {
            return Ok(false);
        }
        let roots = parse(path, &content)?;
        *self.state.write() = State { content, roots };
        Ok(true)
    }

    /// Reads the file again every minute, in a task of `host`'s process.
    pub fn keep_fresh(self: &Arc<Self>, host: &Host) -> Task<()> {
        let (this, mut looks) = (self.clone(), Looks::new(host, RELOAD_PERIOD));
        host.spawn(async move {
            loop {
                looks.next().await;
                match this.reload() {
                    Ok(true) => tracing::info!("Loaded a new CA Bundle"),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "key failed: the CA bundle in use stays"),
                }
            }
        })
    }
}

fn parse(path: &std::path::Path, content: &[u8]) -> Result<Roots, CaBundleError> {
    let bad = |why: String| CaBundleError::Parse { path: path.to_owned(), why };
    let roots = Roots::from_pem(content).map_err(|e| bad(e.to_string()))?;
    if roots.is_empty() { Err(bad("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

impl std::fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CaBundle({} certificates)", self.state.read().roots.certificates().len())
    }
}
