//! The simulated network: who listens where, who reaches whom, and the connections between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    connection::Connection,
    link::Link,
    resolver::{Resolution, Resolver},
    troubled::Troubled,
};
use crate::{
    Entropy,
    clock::BoxFuture,
    net::{Accept, DialError, DialErrorKind, Endpoint, ListenError, Listener, Stream},
    process::Gate,
};

/// How long a dial waits for a host that does not answer (Go's dialer in client-go: 30 s).
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// All hosts, listeners and connections of one world.
pub(super) struct Fabric {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, IpAddr>,
    addresses: BTreeMap<IpAddr, String>,
    gates: BTreeMap<String, Gate>,
    resolver: Resolver,
    /// By host: a world has thousands of them, a host a handful.
    listeners: BTreeMap<String, BTreeMap<SocketAddr, mpsc::UnboundedSender<Stream>>>,
    connections: Vec<Weak<Connection>>,
    /// How many connections there may be before those that have ended are looked for.
    sweep_at: usize,
    /// By sender and receiver: those that ever had a fault.
    links: BTreeMap<(String, String), Arc<Link>>,
    /// Hosts without power.
    off: BTreeSet<String>,
    next_port: u16,
}

impl Fabric {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, state: Mutex::default() }
    }

    fn connections(&self, mut wanted: impl FnMut(&Connection) -> bool) -> Vec<Arc<Connection>> {
        let mut state = self.state.lock();
        state.connections.retain(|c| c.strong_count() > 0);
        state.connections.iter().filter_map(Weak::upgrade).filter(|c| wanted(c)).collect()
    }

    pub(super) fn reset(&self, from: &str, to: &str, port: u16) -> usize {
        let hit = self.connections(|c| c.is(from, to, port));
        hit.iter().for_each(|c| c.reset());
        hit.len()
    }

    /// Changes the way from one host to the other, and lets their connections know.
    pub(super) fn change_link(&self, from: &str, to: &str, change: impl FnOnce(&Link)) {
        change(&self.links(from, to)[0]);
        for connection in self.connections(|c| c.is_between(from, to)) {
            self.trouble(&connection, |_| {});
        }
    }

    /// Everything between the ends of such connections has forgotten them.
    pub(super) fn forget(&self, from: &str, to: &str, port: u16) -> usize {
        let hit = self.connections(|c| c.is(from, to, port));
        hit.iter().for_each(|c| self.trouble(c, Troubled::forget));
        hit.len()
    }

    /// The host has no power from now on, or has it again.
    pub(super) fn power(&self, host: &str, on: bool) {
        {
            let mut state = self.state.lock();
            if on {
                state.off.remove(host)
            } else {
                state.off.insert(host.to_owned())
            };
        }
        for connection in self.connections(|c| c.hosts.iter().any(|h| h == host)) {
            self.trouble(&connection, |troubled| {
                for end in [0, 1].into_iter().filter(|end| connection.hosts[*end] == host) {
                    if on { troubled.power_on(end) } else { troubled.power_off(end) }
                }
            });
        }
    }

    pub(super) fn resolve(&self, on: &str, name: &str, resolution: Option<Resolution>) {
        self.state.lock().resolver.set(on, name, resolution);
    }

    fn trouble(&self, connection: &Connection, change: impl FnOnce(&mut Troubled)) {
        let [from, to] = &connection.hosts;
        connection.trouble(&self.links(from, to), change);
    }

    /// The ways there and back.
    fn links(&self, from: &str, to: &str) -> [Arc<Link>; 2] {
        let mut state = self.state.lock();
        [(from, to), (to, from)].map(|(from, to)| {
            let new =
                || Arc::new(Link::new(Entropy::seeded(self.seed, &format!("link from {from} to {to}"))));
            state.links.entry((from.to_owned(), to.to_owned())).or_insert_with(new).clone()
        })
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
            let mut state = fabric.state.lock();
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
            let mut state = self.fabric.state.lock();
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

    fn dial(&self, host: String, port: u16) -> BoxFuture<Result<Stream, DialError>> {
        let dial = Dial { fabric: self.fabric.clone(), from: self.name.clone(), source: self.address };
        Box::pin(async move {
            let to = format!("{host}:{port}");
            dial.connect(&host, port).await.map_err(|kind| DialError { to, kind })
        })
    }

    fn reaches(&self, host: &str, port: u16) -> Option<bool> {
        let mut state = self.fabric.state.lock();
        let Ok((to, ip)) = state.route(&self.name, host) else { return Some(false) };
        let runs = state.runs(&self.name) && state.runs(&to) && state.answers(&self.name, &to);
        Some(runs && state.listener(&self.name, self.address, &to, ip, port).is_some())
    }
}

impl State {
    fn free_port(&mut self) -> u16 {
        // The ephemeral range of Linux, in order, so that two runs agree.
        self.next_port =
            if self.next_port < 32_768 || self.next_port >= 60_998 { 32_768 } else { self.next_port + 1 };
        self.next_port
    }

    /// Whose address `host` is, as `from` sees it.
    fn route(&self, from: &str, host: &str) -> Result<(String, IpAddr), DialErrorKind> {
        let host = match self.resolver.get(from, host) {
            None => host,
            Some(Resolution::Host(other)) => other.as_str(),
            Some(Resolution::Unknown) => return Err(DialErrorKind::NoSuchHost),
            Some(Resolution::Silence) => return Err(DialErrorKind::NoNameServer),
        };
        if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) || host == from {
            return Ok((from.to_owned(), IpAddr::from(Ipv4Addr::LOCALHOST)));
        }
        match host.parse::<IpAddr>() {
            // An address that nobody has: packets vanish.
            Ok(ip) => self.addresses.get(&ip).map(|name| (name.clone(), ip)).ok_or(DialErrorKind::TimedOut),
            Err(_) => self
                .names
                .get_key_value(host)
                .map(|(name, ip)| (name.clone(), *ip))
                .ok_or(DialErrorKind::NoSuchHost),
        }
    }

    /// Whether packets get there and back.
    fn answers(&self, from: &str, to: &str) -> bool {
        let passes = |from: &str, to: &str| {
            self.links.get(&(from.to_owned(), to.to_owned())).is_none_or(|link| link.passes())
        };
        !self.off.contains(to) && (self.links.is_empty() || passes(from, to) && passes(to, from))
    }

    /// Who listens there.
    fn listener(
        &mut self,
        from: &str,
        source: IpAddr,
        to: &str,
        ip: IpAddr,
        port: u16,
    ) -> Option<mpsc::UnboundedSender<Stream>> {
        let reachable = |l: &SocketAddr| {
            l.port() == port
                && (l.ip().is_unspecified()
                    || l.ip() == ip
                    || (to == from && (l.ip().is_loopback() || l.ip() == source)))
        };
        let theirs = self.listeners.get_mut(to)?;
        theirs.retain(|_, sender| !sender.is_closed());
        theirs.iter().find(|(l, _)| reachable(l)).map(|(_, sender)| sender.clone())
    }

    /// The ways there and back, if something is wrong with one of them.
    fn imperfect(&self, from: &str, to: &str) -> Option<[Arc<Link>; 2]> {
        if self.links.is_empty() {
            return None;
        }
        let link = |from: &str, to: &str| self.links.get(&(from.to_owned(), to.to_owned())).cloned();
        let links = [link(from, to)?, link(to, from)?];
        links.iter().any(|link| !link.is_perfect()).then_some(links)
    }

    fn runs(&self, name: &str) -> bool {
        self.gates.get(name).is_some_and(Gate::is_open)
    }
}

/// Somebody who dials.
struct Dial {
    fabric: Arc<Fabric>,
    from: String,
    source: IpAddr,
}

impl Dial {
    #[allow(clippy::disallowed_methods, reason = "packets travel, and are waited for, in true time")]
    async fn connect(&self, host: &str, port: u16) -> Result<Stream, DialErrorKind> {
        let found = self.fabric.state.lock().route(&self.from, host);
        let (to, ip) = match found {
            Ok(found) => found,
            Err(kind) => {
                match kind {
                    DialErrorKind::TimedOut => tokio::time::sleep(DIAL_TIMEOUT).await,
                    DialErrorKind::NoNameServer => tokio::time::sleep(Resolver::PATIENCE).await,
                    _ => {}
                }
                return Err(kind);
            }
        };
        let (answers, links) = {
            let state = self.fabric.state.lock();
            (state.answers(&self.from, &to), state.imperfect(&self.from, &to))
        };
        // SYN and its answer. Who listens hears of the connection when who dials does, not half a round trip later;
        // what is said on it takes its time.
        let round_trip = links.iter().flatten().map(|link| link.travel()).sum::<Duration>();
        if !answers || round_trip >= DIAL_TIMEOUT {
            tokio::time::sleep(DIAL_TIMEOUT).await;
            return Err(DialErrorKind::TimedOut);
        }
        if !round_trip.is_zero() {
            tokio::time::sleep(round_trip).await;
        }
        self.open(to, ip, port, links.as_ref())
    }

    fn open(
        &self,
        to: String,
        ip: IpAddr,
        port: u16,
        links: Option<&[Arc<Link>; 2]>,
    ) -> Result<Stream, DialErrorKind> {
        let mut state = self.fabric.state.lock();
        let listener =
            state.listener(&self.from, self.source, &to, ip, port).ok_or(DialErrorKind::Refused)?;
        let source_ip = if ip.is_loopback() { ip } else { self.source };
        let (a, b) = (SocketAddr::new(source_ip, state.free_port()), SocketAddr::new(ip, port));
        let connection = Connection::new(&self.from, to, port);
        if let Some(links) = links {
            connection.trouble(links, |_| {});
        }
        if state.connections.len() >= state.sweep_at {
            state.connections.retain(|c| c.strong_count() > 0);
            state.sweep_at = (state.connections.len() * 2).max(64);
        }
        state.connections.push(Arc::downgrade(&connection));
        drop(state);
        let [near, far] = connection.streams();
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
