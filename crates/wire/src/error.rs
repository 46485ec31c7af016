//! What went wrong with a request, with evidence, displayed as Go's HTTP client words it.
//!
//! Operators know these sentences from logs and admission messages, and search for them.

use std::{fmt, io};

use http::Method;
use world::DialError;

use crate::stream::Ends;

/// A request that got no response.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The address of the server, or of a request, is none.
    #[error("parse {url:?}: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The request failed on its way.
    #[error("{} {url:?}: {cause}", operation(.method))]
    Request {
        /// The request's method.
        method: Method,
        /// The whole URL, query included.
        url: String,
        /// Why.
        cause: Box<Cause>,
    },
}

impl Error {
    pub(crate) fn request(method: &Method, uri: &http::Uri, cause: Cause) -> Self {
        Self::Request { method: method.clone(), url: uri.to_string(), cause: Box::new(cause) }
    }

    /// Why a request failed; `None` if it could not even be composed.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Url { .. } => None,
            Self::Request { cause, .. } => Some(cause),
        }
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        self.cause().is_some_and(Cause::is_timeout)
    }

    /// Whether nobody listens at the server's address.
    pub fn is_connection_refused(&self) -> bool {
        matches!(self.cause(), Some(Cause::Dial(e)) if e.kind == world::DialErrorKind::Refused)
    }

    /// Whether the server's certificate was refused by us.
    pub fn is_certificate(&self) -> bool {
        matches!(self.cause(), Some(Cause::Certificate { .. }))
    }
}

/// Go's `url.Error` writes methods as `Get`, `Post`.
fn operation(method: &Method) -> String {
    let name = method.as_str();
    let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
    format!("{}{}", first.to_ascii_uppercase(), rest.to_ascii_lowercase())
}

/// Why a connection or a stream on it came to nothing.
#[derive(Clone, Debug)]
pub enum Cause {
    /// No connection.
    Dial(DialError),
    /// Nobody could be found to dial, in the words of who looked.
    Unresolved(String),
    /// We refused the server's certificate.
    Certificate {
        /// On what evidence.
        error: pki::X509Error,
        /// Whose words to use.
        go: pki::GoVersion,
    },
    /// The other end refused the handshake, or the connection later, by this TLS alert (in Go's words).
    Alert(String),
    /// The handshake failed otherwise, in Go's words.
    Handshake(String),
    /// The handshake took too long.
    HandshakeTimeout,
    /// The server answered a TLS handshake in plain HTTP.
    PlainServer,
    /// The other end closed the connection before it answered.
    Eof,
    /// The other end closed an HTTP/2 connection with streams on it, or an answer stopped half-way.
    UnexpectedEof,
    /// The connection was reset.
    Reset {
        /// Of which connection.
        ends: Ends,
    },
    /// Bytes could not be written any more.
    BrokenPipe {
        /// Of which connection.
        ends: Ends,
    },
    /// Any other failure of the connection under HTTP.
    Io {
        /// `read` or `write`.
        operation: &'static str,
        /// Of which connection.
        ends: Ends,
        /// The system's words.
        why: String,
    },
    /// We closed the connection ourselves.
    Closed {
        /// Which connection.
        ends: Ends,
    },
    /// The other end did not answer a ping of the HTTP/2 health check.
    Lost,
    /// The server asked us to go and closed the connection.
    GoAway {
        /// HTTP/2 error code, as `NO_ERROR`.
        code: String,
    },
    /// One stream of an HTTP/2 connection was reset.
    Stream {
        /// HTTP/2 error code, as `INTERNAL_ERROR`.
        code: String,
        /// By the other end, not by us.
        received: bool,
    },
    /// The caller's deadline passed.
    DeadlineExceeded,
    /// The answer is not HTTP.
    Malformed(String),
    /// The producer of the request's body failed.
    RequestBody(String),
    /// The process that held the connection is gone.
    Gone,
}

impl Cause {
    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Dial(e) => {
                matches!(e.kind, world::DialErrorKind::TimedOut | world::DialErrorKind::NoNameServer)
            }
            Self::HandshakeTimeout | Self::DeadlineExceeded => true,
            _ => false,
        }
    }

    pub(crate) fn of_read(e: &io::Error, ends: Ends, go: pki::GoVersion) -> Self {
        match tls_error(e) {
            Some(rustls::Error::AlertReceived(alert)) => Self::Alert(pki::alert::words(*alert, go)),
            Some(other) => Self::Handshake(format!("tls: {other}")),
            None => match e.kind() {
                io::ErrorKind::UnexpectedEof => Self::Eof,
                io::ErrorKind::ConnectionReset => Self::Reset { ends },
                io::ErrorKind::ConnectionAborted => Self::Closed { ends },
                _ => Self::Io { operation: "read", ends, why: e.to_string() },
            },
        }
    }

    pub(crate) fn of_write(e: &io::Error, ends: Ends) -> Self {
        match e.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe { ends },
            io::ErrorKind::ConnectionReset => Self::Reset { ends },
            _ => Self::Io { operation: "write", ends, why: e.to_string() },
        }
    }

    /// For the trace: without the ephemeral ports that a real network would pick.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Reset { .. } => "connection reset by peer".to_owned(),
            Self::BrokenPipe { .. } => "broken pipe".to_owned(),
            Self::Closed { .. } => "use of closed network connection".to_owned(),
            Self::Io { why, .. } => why.clone(),
            other => other.to_string(),
        }
    }
}

/// The TLS library's error inside an `io::Error`.
pub(crate) fn tls_error(e: &io::Error) -> Option<&rustls::Error> {
    e.get_ref().and_then(|inner| inner.downcast_ref())
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(e) => e.fmt(f),
            Self::Certificate { error, go } => f.write_str(&error.handshake_words(*go)),
            Self::Alert(words)
            | Self::Handshake(words)
            | Self::RequestBody(words)
            | Self::Unresolved(words) => f.write_str(words),
            Self::HandshakeTimeout => f.write_str("net/http: TLS handshake timeout"),
            Self::PlainServer => f.write_str("http: server gave HTTP response to HTTPS client"),
            Self::Eof => f.write_str("EOF"),
            Self::UnexpectedEof => f.write_str("unexpected EOF"),
            Self::Reset { ends } => write!(f, "read tcp {ends}: read: connection reset by peer"),
            Self::BrokenPipe { ends } => write!(f, "write tcp {ends}: write: broken pipe"),
            Self::Io { operation, ends, why } => write!(f, "{operation} tcp {ends}: {operation}: {why}"),
            Self::Closed { ends } => write!(f, "read tcp {ends}: use of closed network connection"),
            Self::Lost => f.write_str("http2: client connection lost"),
            Self::GoAway { code } => {
                write!(f, "http2: server sent GOAWAY and closed the connection; ErrCode={code}")
            }
            Self::Stream { code, received: true } => write!(f, "stream error: {code}; received from peer"),
            Self::Stream { code, received: false } => write!(f, "stream error: {code}"),
            Self::DeadlineExceeded => f.write_str("context deadline exceeded"),
            Self::Malformed(why) => {
                write!(f, "net/http: HTTP/1.x transport connection broken: malformed HTTP response: {why}")
            }
            Self::Gone => f.write_str("context canceled"),
        }
    }
}

impl std::error::Error for Cause {}
