//! What a file operation that failed says, in the words of Go's `os` package.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// What went wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// There is no such file.
    NotFound,
    /// Something is there already.
    Exists,
    /// The disk has no room left.
    Full,
    /// The disk is mounted read-only, or the file may not be touched.
    Denied,
    /// Anything else, in the system's words.
    Other(String),
}

/// A file operation that failed, in the words of Go's `os` package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// The operation, such as `open`.
    pub op: &'static str,
    /// The path as the host sees it.
    pub path: PathBuf,
    /// What went wrong.
    pub kind: DiskErrorKind,
}

impl DiskError {
    /// Whether the file was simply not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == DiskErrorKind::NotFound
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match &self.kind {
            DiskErrorKind::NotFound => "no such file or directory",
            DiskErrorKind::Exists => "file exists",
            DiskErrorKind::Full => "no space left on device",
            DiskErrorKind::Denied => "permission denied",
            DiskErrorKind::Other(why) => why,
        };
        write!(f, "{} {}: {why}", self.op, self.path.display())
    }
}

impl std::error::Error for DiskError {}

impl DiskError {
    /// The operating system's error, of a file that the host knows as `path`.
    pub(super) fn from_system(op: &'static str, path: &Path, e: &io::Error) -> Self {
        let kind = match e.kind() {
            io::ErrorKind::NotFound => DiskErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => DiskErrorKind::Exists,
            io::ErrorKind::StorageFull => DiskErrorKind::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => DiskErrorKind::Denied,
            _ => DiskErrorKind::Other(e.to_string()),
        };
        Self { op, path: path.to_owned(), kind }
    }
}
