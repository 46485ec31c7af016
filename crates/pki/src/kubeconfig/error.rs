//! What can be wrong with a kubeconfig, each in one sentence: what, where, what to do.

use std::{fmt, path::PathBuf};

use world::DiskError;

/// Why a kubeconfig cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeconfigError {
    /// The file cannot be read.
    Unreadable {
        /// The kubeconfig.
        path: PathBuf,
        /// The disk's words.
        why: DiskError,
    },
    /// The text is no kubeconfig.
    Malformed {
        /// The kubeconfig.
        origin: Option<PathBuf>,
        /// What the reader found.
        why: String,
    },
    /// A user has a token and a password.
    TwoMethods {
        /// The kubeconfig.
        origin: Option<PathBuf>,
        /// The user.
        user: String,
    },
    /// `current-context` is empty.
    NoCurrentContext {
        /// The kubeconfig.
        origin: Option<PathBuf>,
    },
    /// A name points to nothing.
    Dangling {
        /// The kubeconfig.
        origin: Option<PathBuf>,
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The cluster has no server, or one that is no URL.
    BadServer {
        /// The kubeconfig.
        origin: Option<PathBuf>,
        /// The cluster's name.
        cluster: String,
        /// What stands there.
        server: String,
    },
    /// A field does not hold what it should.
    BadField {
        /// The kubeconfig.
        origin: Option<PathBuf>,
        /// The field, with the name of its cluster or user.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that a field names is unusable.
    BadFile {
        /// The kubeconfig.
        origin: Option<PathBuf>,
        /// The field, with the name of its cluster or user.
        field: String,
        /// What is wrong, naming the file.
        why: String,
    },
    /// Only half of a certificate and its key is given.
    HalfPair {
        /// The kubeconfig.
        origin: Option<PathBuf>,
        /// The user's name.
        user: String,
        /// The field that is missing.
        missing: &'static str,
    },
    /// The user's credentials come from a program, which we do not run.
    Exec {
        /// The kubeconfig.
        origin: Option<PathBuf>,
        /// The user's name.
        user: String,
    },
}

impl fmt::Display for KubeconfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |origin: &Option<PathBuf>| match origin {
            Some(path) => format!("kubeconfig {}", path.display()),
            None => "kubeconfig".to_owned(),
        };
        match self {
            Self::Unreadable { path, why } if why.is_not_found() => write!(
                f,
                "there is no kubeconfig at {} ({why}): check the path, or create the file first",
                path.display()
            ),
            Self::Unreadable { path, why } => {
                write!(f, "cannot read the kubeconfig {} ({why}): make the file readable", path.display())
            }
            Self::Malformed { origin, why } => write!(
                f,
                "{} is not a kubeconfig or only half written ({why}): write it again or restore it",
                at(origin)
            ),
            Self::NoCurrentContext { origin } => write!(
                f,
                "{} has no current-context: set it to one of its contexts, as with kubectl config use-context",
                at(origin)
            ),
            Self::Dangling { origin, kind, name, known } => write!(
                f,
                "{} refers to the {kind} {name:?}, which it does not define (it defines {}): correct the name",
                at(origin),
                if known.is_empty() { "none".to_owned() } else { format!("{known:?}") }
            ),
            Self::BadServer { origin, cluster, server } => write!(
                f,
                "{}: the server {server:?} of cluster {cluster:?} is not a URL: write it as https://host:port",
                at(origin)
            ),
            Self::BadField { origin, field, why } => {
                write!(f, "{}: {field} is unusable ({why}): put the right value there", at(origin))
            }
            Self::BadFile { origin, field, why } => {
                write!(
                    f,
                    "{}: {field} names an unusable file ({why}): correct the path or the file",
                    at(origin)
                )
            }
            Self::HalfPair { origin, user, missing } => {
                write!(
                    f,
                    "{}: user {user:?} lacks {missing}: give both certificate and key, or neither",
                    at(origin)
                )
            }
            Self::TwoMethods { origin, user } => write!(
                f,
                "{}: more than one authentication method found for {user}; found [token basicAuth], only one is \
                 allowed: remove the token, or user name and password",
                at(origin)
            ),
            Self::Exec { origin, user } => write!(
                f,
                "{}: user {user:?} gets its credentials from an exec plugin, which is not run here: use a client \
                 certificate or a token",
                at(origin)
            ),
        }
    }
}

impl std::error::Error for KubeconfigError {}
