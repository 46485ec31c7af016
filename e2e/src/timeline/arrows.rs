//! Who spoke to whom. A handshake is recorded at both ends, a request only where it was answered.

use std::collections::{BTreeMap, VecDeque};

use world::Event;

use super::{lanes::Lanes, schema::Arrow, weave::field};

/// Both ends of one handshake are recorded within this time, in microseconds: client and server give up after 10 s.
const TOGETHER: i64 = 15_000_000;

/// Host of the client, host of the server, port.
type Way = (usize, usize, u16);

/// One end of a handshake that waits for the other.
#[derive(Clone, Copy, Debug)]
struct End {
    event: usize,
    t: i64,
    lane: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Arrows {
    found: Vec<Arrow>,
    clients: BTreeMap<Way, VecDeque<End>>,
    servers: BTreeMap<Way, VecDeque<End>>,
    /// Who listens where, as far as handshakes told.
    listeners: BTreeMap<(usize, u16), usize>,
}

impl Arrows {
    /// Takes in the event of number `at`, in `lane` at time `t`.
    pub(super) fn see(&mut self, lanes: &mut Lanes, at: usize, t: i64, lane: usize, event: &Event) {
        match event.kind {
            "request" => self.request(lanes, at, lane, event),
            "handshake" => self.handshake(lanes, End { event: at, t, lane }, event),
            _ => {}
        }
    }

    /// A request comes from the program that its sender says it is.
    fn request(&mut self, lanes: &mut Lanes, at: usize, lane: usize, event: &Event) {
        let (from, agent) = (field(event, "from"), field(event, "agent"));
        let Some(host) = lanes.meant(from, lanes.host_of(lane)) else { return };
        let agent = if agent.is_empty() { "client" } else { agent };
        let sender = lanes.lane(host, agent);
        if sender != lane {
            self.found.push((at, sender, lane, -1));
        }
    }

    fn handshake(&mut self, lanes: &Lanes, end: End, event: &Event) {
        let here = lanes.host_of(end.lane);
        let client = field(event, "side") == "client";
        let (peer, port) = match client {
            true => field(event, "peer").rsplit_once(':').unwrap_or_default(),
            false => (field(event, "peer"), field(event, "port")),
        };
        let (Some(there), Ok(port)) = (lanes.meant(peer, here), port.parse::<u16>()) else { return };
        let way = if client { (here, there, port) } else { (there, here, port) };
        if !client {
            self.listeners.insert((here, port), end.lane);
        }
        let others = if client { &mut self.servers } else { &mut self.clients };
        let waiting = others.entry(way).or_default();
        // Who waited longer than a handshake may take has no other end in the record.
        let mut met = None;
        while let Some(other) = waiting.pop_front() {
            if end.t - other.t <= TOGETHER {
                met = Some(other);
                break;
            }
            if !client {
                self.found.extend(lonely(&self.listeners, lanes, way, other));
            }
        }
        match met {
            Some(other) => {
                let (client, server) = if client { (end, other) } else { (other, end) };
                self.found.push((client.event, client.lane, server.lane, server.event as i64));
            }
            None if client => self.clients.entry(way).or_default().push_back(end),
            None => self.servers.entry(way).or_default().push_back(end),
        }
    }

    /// All arrows, in the order of their events.
    pub(super) fn done(mut self, lanes: &Lanes) -> Vec<Arrow> {
        for (way, ends) in &self.clients {
            self.found.extend(ends.iter().filter_map(|end| lonely(&self.listeners, lanes, *way, *end)));
        }
        self.found.retain(|(_, from, to, _)| from != to);
        self.found.sort_unstable();
        self.found
    }
}

/// A client's end alone: it points at who listens there, or at the host.
fn lonely(listeners: &BTreeMap<(usize, u16), usize>, lanes: &Lanes, way: Way, client: End) -> Option<Arrow> {
    let listener = listeners.get(&(way.1, way.2)).copied().or_else(|| lanes.some_lane(way.1))?;
    Some((client.event, client.lane, listener, -1))
}
