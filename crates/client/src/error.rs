//! Why a request did not bring what was asked for.

use api::status::Status;

/// A request that failed. Its text is the server's message, or the transport's words as Go says them.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused, and says why.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// No answer came.
    #[error("{0}")]
    Transport(#[from] wire::Error),
    /// The answer stopped half-way.
    #[error("unexpected error when reading response body. Please retry. Original error: {why}")]
    Broken {
        /// The transport's words.
        why: String,
    },
    /// No answer came within the client's own limit.
    #[error("{verb} {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")]
    Deadline {
        /// As Go writes methods in errors: `Get`.
        verb: String,
        /// The whole URL.
        url: String,
    },
    /// An answer came that is not what the API promises.
    #[error("cannot read the answer to {request}: {why}")]
    Decode {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        why: String,
    },
    /// The request was not sent: what was asked for cannot be asked for.
    #[error("{0}")]
    Request(String),
    /// A kubeconfig that cannot be used.
    #[error("{0}")]
    Kubeconfig(Box<pki::kubeconfig::KubeconfigError>),
    /// No credentials could be had.
    #[error("{0}")]
    Credentials(String),
}

impl ClientError {
    /// The server's Status, if it sent one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    fn says(&self, is: impl Fn(&Status) -> bool) -> bool {
        self.status().is_some_and(is)
    }

    /// 404.
    pub fn is_not_found(&self) -> bool {
        self.says(Status::is_not_found)
    }

    /// 409 on create: the name is taken.
    pub fn is_already_exists(&self) -> bool {
        self.says(Status::is_already_exists)
    }

    /// 409 on update: somebody else was faster.
    pub fn is_conflict(&self) -> bool {
        self.says(Status::is_conflict)
    }

    /// 410: the revision asked for is no longer kept.
    pub fn is_expired(&self) -> bool {
        self.says(Status::is_expired)
    }

    /// 403.
    pub fn is_forbidden(&self) -> bool {
        self.says(Status::is_forbidden)
    }

    /// 401.
    pub fn is_unauthorized(&self) -> bool {
        self.says(Status::is_unauthorized)
    }

    /// 422.
    pub fn is_invalid(&self) -> bool {
        self.says(Status::is_invalid)
    }

    /// 429.
    pub fn is_too_many_requests(&self) -> bool {
        self.says(Status::is_too_many_requests)
    }

    /// 500 as the server names it.
    pub fn is_internal(&self) -> bool {
        self.says(Status::is_internal)
    }

    /// An answer that no apiserver gives: a proxy or a load balancer in between has spoken.
    pub fn is_unexpected_server(&self) -> bool {
        let told = |s: &Status| {
            let causes = s.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
            causes.iter().any(|c| c.reason == "UnexpectedServerResponse")
        };
        self.says(told)
    }

    /// The server or the client gave up waiting.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Deadline { .. }) || self.says(|s| s.is_timeout() || s.is_server_timeout())
    }

    /// The server was not reached at all, or the connection broke: the request itself may be right.
    pub fn is_transport(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Broken { .. } | Self::Deadline { .. })
    }

    /// Nobody listens at the server's address.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Transport(e) if e.is_connection_refused())
    }

    /// The namespace is being deleted: nothing can be created there, and trying again is no use.
    pub fn is_namespace_terminating(&self) -> bool {
        self.says(Status::is_namespace_terminating)
    }

    /// The server has not seen the revision asked for yet. Old servers say so in words only.
    pub(crate) fn is_version_too_large(&self) -> bool {
        self.says(|s| {
            s.is_version_too_large() || (s.is_timeout() && s.message.contains("Too large resource version"))
        })
    }
}

impl From<pki::kubeconfig::KubeconfigError> for ClientError {
    fn from(error: pki::kubeconfig::KubeconfigError) -> Self {
        Self::Kubeconfig(Box::new(error))
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// Whether Go would take these words for a connection that simply ended.
pub(crate) fn is_probable_eof(words: &str) -> bool {
    words == "EOF"
        || words.ends_with(": EOF")
        || words.ends_with("unexpected EOF")
        || words.contains("connection reset by peer")
        || words.contains("http2: server sent GOAWAY and closed the connection")
        || words.contains("use of closed network connection")
        || words.contains("http: can't write HTTP request on broken connection")
}
