//! TCP of the real gear. Each host binds and dials from its own address in 127.0.0.0/8.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::{
    clock::BoxFuture,
    net::{Accept, DialError, DialErrorKind, Endpoint, Io, ListenError, Listener, Stream},
};

/// Go's default in client-go's dialer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct RealEndpoint {
    pub address: IpAddr,
    pub names: Arc<Mutex<BTreeMap<String, Ipv4Addr>>>,
    /// Whether what is accepted may be served by another runtime than the one that listens.
    pub lanes: bool,
}

impl Endpoint for RealEndpoint {
    fn address(&self) -> IpAddr {
        self.address
    }

    fn reaches(&self, _: &str, _: u16) -> Option<bool> {
        None
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<Result<Listener, ListenError>> {
        // All that a host calls its own is its one address: another host's 127.0.0.1 is not ours.
        let own = at.ip().is_unspecified() || at.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
        let real = if own { SocketAddr::new(self.address, at.port()) } else { at };
        let lanes = self.lanes;
        Box::pin(async move {
            let wrap = |e: io::Error| ListenError {
                at: real,
                why: match e.kind() {
                    io::ErrorKind::AddrInUse => "address already in use".into(),
                    io::ErrorKind::AddrNotAvailable => "cannot assign requested address".into(),
                    io::ErrorKind::PermissionDenied => "permission denied".into(),
                    _ => e.to_string(),
                },
                in_use: e.kind() == io::ErrorKind::AddrInUse,
            };
            let listener = TcpListener::bind(real).await.map_err(wrap)?;
            let local = listener.local_addr().map_err(wrap)?;
            Ok(Listener { local, inner: Box::new(RealListener { listener, lanes }) })
        })
    }

    #[allow(clippy::disallowed_methods, reason = "the system's dialer waits on the system's clock")]
    fn dial(&self, host: String, port: u16) -> BoxFuture<Result<Stream, DialError>> {
        let to = format!("{host}:{port}");
        let ip = match host.parse::<IpAddr>() {
            Ok(ip) if ip == IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(self.address),
            Ok(ip) => Some(ip),
            Err(_) if host == "localhost" => Some(self.address),
            Err(_) => self.names.lock().get(&host).map(|ip| IpAddr::V4(*ip)),
        };
        let source = self.address;
        Box::pin(async move {
            let fail = |kind| Err(DialError { to: to.clone(), kind });
            let Some(ip) = ip else { return fail(DialErrorKind::NoSuchHost) };
            let connect = async {
                let socket = if ip.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                if ip.is_loopback() && ip.is_ipv4() {
                    socket.bind(SocketAddr::new(source, 0))?;
                }
                let stream = socket.connect(SocketAddr::new(ip, port)).await?;
                stream.set_nodelay(true)?;
                Ok::<_, io::Error>((stream.local_addr()?, stream.peer_addr()?, stream))
            };
            match tokio::time::timeout(DIAL_TIMEOUT, connect).await {
                Ok(Ok((local, remote, stream))) => Ok(Stream { local, remote, io: Box::new(stream) }),
                Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => fail(DialErrorKind::Refused),
                Ok(Err(e)) => fail(DialErrorKind::Other(e.to_string())),
                Err(_) => fail(DialErrorKind::TimedOut),
            }
        })
    }
}

struct RealListener {
    listener: TcpListener,
    lanes: bool,
}

impl Accept for RealListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        self.listener.poll_accept(cx).map(|accepted| {
            let (stream, remote) = accepted?;
            stream.set_nodelay(true)?;
            let local = stream.local_addr()?;
            let io: Box<dyn Io> =
                if self.lanes { Box::new(Movable::Free(Some(stream.into_std()?))) } else { Box::new(stream) };
            Ok(Stream { local, remote, io })
        })
    }
}

/// A connection that belongs to the runtime that first reads or writes it.
enum Movable {
    Free(Option<std::net::TcpStream>),
    Bound(TcpStream),
}

impl Movable {
    fn bound(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if let Self::Free(free) = self {
            let free = free.take().ok_or(io::ErrorKind::NotConnected)?;
            *self = Self::Bound(TcpStream::from_std(free)?);
        }
        match self {
            Self::Bound(stream) => Ok(Pin::new(stream)),
            Self::Free(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Movable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.bound()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Movable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.bound()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bound()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bound()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bound()?.poll_shutdown(cx)
    }
}
