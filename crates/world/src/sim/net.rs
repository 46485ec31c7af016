//! The simulated network: in-memory streams between hosts, with resets and cuts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc,
};

use crate::{
    clock::BoxFuture,
    host::Gate,
    net::{Accept, DialError, DialErrorKind, Endpoint, ListenError, Listener, Stream},
};

/// Bytes in flight in one direction before a writer waits, as a socket's buffer.
const WINDOW: usize = 256 * 1024;
/// How long a dial waits for a host that does not answer (Go's dialer in client-go: 30 s).
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// All hosts, listeners and connections of one world.
#[derive(Default)]
pub(super) struct Fabric(Mutex<State>);

#[derive(Default)]
struct State {
    names: BTreeMap<String, IpAddr>,
    addresses: BTreeMap<IpAddr, String>,
    gates: BTreeMap<String, Gate>,
    /// By host: a world has thousands of them, a host a handful.
    listeners: BTreeMap<String, BTreeMap<SocketAddr, mpsc::UnboundedSender<Stream>>>,
    connections: Vec<Weak<Connection>>,
    /// How many connections there may be before those that have ended are looked for.
    sweep_at: usize,
    cuts: BTreeSet<(String, String)>,
    next_port: u16,
}

/// One TCP connection.
struct Connection {
    from: String,
    to: String,
    port: u16,
    state: Mutex<ConnectionState>,
}

#[derive(Default)]
struct ConnectionState {
    reset: bool,
    cut: bool,
    wakers: Vec<Waker>,
}

fn pair(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

impl Fabric {
    fn connections(&self, mut wanted: impl FnMut(&Connection) -> bool) -> Vec<Arc<Connection>> {
        let mut state = self.0.lock();
        state.connections.retain(|c| c.strong_count() > 0);
        state.connections.iter().filter_map(Weak::upgrade).filter(|c| wanted(c)).collect()
    }

    pub(super) fn reset(&self, from: &str, to: &str, port: u16) -> usize {
        let hit = self.connections(|c| c.from == from && c.to == to && c.port == port);
        hit.iter().for_each(|c| c.change(|s| s.reset = true));
        hit.len()
    }

    pub(super) fn cut(&self, a: &str, b: &str, cut: bool) {
        let key = pair(a, b);
        {
            let mut state = self.0.lock();
            if cut {
                state.cuts.insert(key.clone());
            } else {
                state.cuts.remove(&key);
            }
        }
        self.connections(|c| pair(&c.from, &c.to) == key).iter().for_each(|c| c.change(|s| s.cut = cut));
    }
}

impl Connection {
    fn change(&self, f: impl FnOnce(&mut ConnectionState)) {
        let wakers = {
            let mut state = self.state.lock();
            f(&mut state);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// One host's endpoint.
pub(super) struct SimEndpoint {
    fabric: Arc<Fabric>,
    name: String,
    address: IpAddr,
}

impl SimEndpoint {
    pub(super) fn new(fabric: Arc<Fabric>, name: &str, address: Ipv4Addr, gate: Gate) -> Self {
        {
            let mut state = fabric.0.lock();
            state.names.insert(name.to_owned(), address.into());
            state.addresses.insert(address.into(), name.to_owned());
            state.gates.insert(name.to_owned(), gate);
        }
        Self { fabric, name: name.to_owned(), address: address.into() }
    }
}

impl Endpoint for SimEndpoint {
    fn address(&self) -> IpAddr {
        self.address
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<Result<Listener, ListenError>> {
        let refuse = |why: &str, in_use| Err(ListenError { at, why: why.to_owned(), in_use });
        let result = (|| {
            let ours = at.ip().is_unspecified() || at.ip().is_loopback() || at.ip() == self.address;
            if !ours {
                return refuse("cannot assign requested address", false);
            }
            let mut state = self.fabric.0.lock();
            let port = if at.port() == 0 { state.free_port() } else { at.port() };
            let local = SocketAddr::new(at.ip(), port);
            let ours = state.listeners.entry(self.name.clone()).or_default();
            let clash = ours.iter().any(|(l, sender)| {
                l.port() == port
                    && !sender.is_closed()
                    && (l.ip() == local.ip() || l.ip().is_unspecified() || local.ip().is_unspecified())
            });
            if clash {
                return refuse("address already in use", true);
            }
            let (sender, incoming) = mpsc::unbounded_channel();
            ours.insert(local, sender);
            Ok(Listener { local, inner: Box::new(SimListener(incoming)) })
        })();
        Box::pin(std::future::ready(result))
    }

    #[allow(clippy::disallowed_methods, reason = "a silent peer costs true time")]
    fn dial(&self, host: String, port: u16) -> BoxFuture<Result<Stream, DialError>> {
        let (fabric, name, address) = (self.fabric.clone(), self.name.clone(), self.address);
        Box::pin(async move {
            let to = format!("{host}:{port}");
            match fabric.connect(&name, address, &host, port) {
                Ok(stream) => Ok(stream),
                Err(kind) => {
                    if kind == DialErrorKind::TimedOut {
                        tokio::time::sleep(DIAL_TIMEOUT).await;
                    }
                    Err(DialError { to, kind })
                }
            }
        })
    }

    fn reaches(&self, host: &str, port: u16) -> Option<bool> {
        let mut state = self.fabric.0.lock();
        let found = state.find(&self.name, self.address, host, port);
        Some(found.is_ok_and(|(to, ..)| state.runs(&self.name) && state.runs(&to)))
    }
}

impl State {
    fn free_port(&mut self) -> u16 {
        // The ephemeral range of Linux, in order, so that two runs agree.
        self.next_port =
            if self.next_port < 32_768 || self.next_port >= 60_998 { 32_768 } else { self.next_port + 1 };
        self.next_port
    }

    /// Who listens at `host:port` as `from` sees it: the machine's name, its address, the listener.
    fn find(
        &mut self,
        from: &str,
        source: IpAddr,
        host: &str,
        port: u16,
    ) -> Result<(String, IpAddr, mpsc::UnboundedSender<Stream>), DialErrorKind> {
        let local =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) || host == from;
        let (to, ip) = if local {
            (from.to_owned(), IpAddr::from(Ipv4Addr::LOCALHOST))
        } else {
            let found = match host.parse::<IpAddr>() {
                Ok(ip) => self.addresses.get(&ip).map(|name| (name.clone(), ip)),
                Err(_) => Some(
                    self.names
                        .get_key_value(host)
                        .map(|(n, a)| (n.clone(), *a))
                        .ok_or(DialErrorKind::NoSuchHost)?,
                ),
            };
            // An address that nobody has: packets vanish.
            found.ok_or(DialErrorKind::TimedOut)?
        };
        if self.cuts.contains(&pair(from, &to)) {
            return Err(DialErrorKind::TimedOut);
        }
        let reachable = |l: &SocketAddr| {
            l.port() == port
                && (l.ip().is_unspecified()
                    || l.ip() == ip
                    || (to == from && (l.ip().is_loopback() || l.ip() == source)))
        };
        let listener = self.listeners.get_mut(&to).and_then(|theirs| {
            theirs.retain(|_, sender| !sender.is_closed());
            theirs.iter().find(|(l, _)| reachable(l)).map(|(_, sender)| sender.clone())
        });
        Ok((to, ip, listener.ok_or(DialErrorKind::Refused)?))
    }

    fn runs(&self, name: &str) -> bool {
        self.gates.get(name).is_some_and(Gate::is_open)
    }
}

impl Fabric {
    fn connect(&self, from: &str, source: IpAddr, host: &str, port: u16) -> Result<Stream, DialErrorKind> {
        let mut state = self.0.lock();
        let (to, ip, listener) = state.find(from, source, host, port)?;
        let source_ip = if ip.is_loopback() { ip } else { source };
        let (a, b) = (SocketAddr::new(source_ip, state.free_port()), SocketAddr::new(ip, port));
        let connection = Arc::new(Connection { from: from.to_owned(), to, port, state: Mutex::default() });
        if state.connections.len() >= state.sweep_at {
            state.connections.retain(|c| c.strong_count() > 0);
            state.sweep_at = (state.connections.len() * 2).max(64);
        }
        state.connections.push(Arc::downgrade(&connection));
        let (near, far) = tokio::io::duplex(WINDOW);
        let near = SimStream { inner: near, connection: connection.clone() };
        let far = SimStream { inner: far, connection };
        listener
            .send(Stream { local: b, remote: a, io: Box::new(far) })
            .map_err(|_| DialErrorKind::Refused)?;
        Ok(Stream { local: a, remote: b, io: Box::new(near) })
    }
}

struct SimListener(mpsc::UnboundedReceiver<Stream>);

impl Accept for SimListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        self.0.poll_recv(cx).map(|stream| stream.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

struct SimStream {
    inner: DuplexStream,
    connection: Arc<Connection>,
}

impl SimStream {
    /// Ready with an error after a reset, pending while the hosts are cut off from each other.
    fn gate(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.connection.state.lock();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !state.wakers.iter().any(|w| w.will_wake(cx.waker())) {
            // At most one waker per task and direction: read and write side of both ends.
            if state.wakers.len() >= 8 {
                state.wakers.remove(0);
            }
            state.wakers.push(cx.waker().clone());
        }
        if state.cut { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

macro_rules! gated {
    ($self:ident, $cx:ident) => {
        match $self.gate($cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending => return Poll::Pending,
        }
    };
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        gated!(self, cx);
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        gated!(self, cx);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        gated!(self, cx);
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        gated!(self, cx);
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        gated!(self, cx);
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
