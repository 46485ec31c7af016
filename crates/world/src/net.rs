//! A host's endpoint on the network: byte streams to named ports, with the words of Go's dialer.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::BoxFuture;

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) trait Endpoint: Send + Sync {
    fn address(&self) -> IpAddr;
    fn listen(&self, at: SocketAddr) -> BoxFuture<Result<Listener, ListenError>>;
    fn dial(&self, host: String, port: u16) -> BoxFuture<Result<Stream, DialError>>;
    fn reaches(&self, host: &str, port: u16) -> Option<bool>;
}

/// Why a port could not be listened on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("listen tcp {at}: bind: {why}")]
pub struct ListenError {
    /// What was asked for.
    pub at: SocketAddr,
    /// The operating system's words.
    pub why: String,
    /// Somebody else listens there.
    pub in_use: bool,
}

/// What went wrong with a dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialErrorKind {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The name is unknown.
    NoSuchHost,
    /// Nobody told in time what the name means.
    NoNameServer,
    /// Anything else, in the system's words.
    Other(String),
}

/// A dial that failed, in the words of Go's `net` package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialError {
    /// Where to, as `host:port`.
    pub to: String,
    /// What went wrong.
    pub kind: DialErrorKind,
}

impl DialError {
    fn host(&self) -> &str {
        self.to.rsplit_once(':').map_or(self.to.as_str(), |(host, _)| host)
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DialErrorKind::Refused => write!(f, "dial tcp {}: connect: connection refused", self.to),
            DialErrorKind::TimedOut => write!(f, "dial tcp {}: i/o timeout", self.to),
            DialErrorKind::NoSuchHost => write!(f, "dial tcp: lookup {}: no such host", self.host()),
            DialErrorKind::NoNameServer => write!(f, "dial tcp: lookup {}: i/o timeout", self.host()),
            DialErrorKind::Other(why) => write!(f, "dial tcp {}: {why}", self.to),
        }
    }
}

impl std::error::Error for DialError {}

/// A host's endpoint. Within a host `127.0.0.1` and `localhost` mean the host itself.
#[derive(Clone)]
pub struct Net(pub(crate) Arc<dyn Endpoint>);

impl Net {
    /// The address under which other hosts reach this one.
    pub fn address(&self) -> IpAddr {
        self.0.address()
    }

    /// Listens on `at`; port 0 picks a free one. A loopback address is reachable from this host
    /// only (in the simulated gear), the unspecified address from everywhere.
    pub async fn listen(&self, at: SocketAddr) -> Result<Listener, ListenError> {
        self.0.listen(at).await
    }

    /// Connects to `host:port`; `host` is an address or the name of a host of this world.
    pub async fn dial(&self, host: &str, port: u16) -> Result<Stream, DialError> {
        self.0.dial(host.to_owned(), port).await
    }

    /// Whether somebody would answer at `host:port` now, without dialling: a listener on a machine that runs and is
    /// not cut off. `None` in the real gear, where only a dial can tell.
    pub fn reaches(&self, host: &str, port: u16) -> Option<bool> {
        self.0.reaches(host, port)
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Net({})", self.address())
    }
}

pub(crate) trait Accept: Send {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>>;
}

/// A listening socket; closed when dropped.
pub struct Listener {
    pub(crate) local: SocketAddr,
    pub(crate) inner: Box<dyn Accept>,
}

impl Listener {
    /// The address really bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next connection. An error concerns one connection, not the listener.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        std::future::poll_fn(|cx| self.inner.poll_accept(cx)).await
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.local)
    }
}

/// An open connection.
pub struct Stream {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) io: Box<dyn Io>,
}

impl Stream {
    /// This end.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The other end.
    pub fn remote_addr(&self) -> SocketAddr {
        self.remote
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} -> {})", self.local, self.remote)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    // One write for many buffers: TLS sends a last alert with what else is queued in one write or not at all.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
