//! Who did something, and where: programs on hosts, found by name and by address.

use std::{collections::BTreeMap, net::IpAddr};

use super::schema::{Host, Lane};

/// Programs in the order in which a node starts them; others follow by name.
const ORDER: &[&str] =
    &["init", "kubeadm", "kubelet", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// Hosts and lanes while they are found. Numbers hold until [`Lanes::sorted`].
#[derive(Debug, Default)]
pub(super) struct Lanes {
    hosts: Vec<Host>,
    by_name: BTreeMap<String, usize>,
    by_address: BTreeMap<IpAddr, usize>,
    lanes: Vec<Lane>,
    by_place: BTreeMap<(usize, String), usize>,
}

impl Lanes {
    /// Begins with the hosts that are known.
    pub(super) fn new(known: &[(String, IpAddr)]) -> Self {
        let mut lanes = Self::default();
        let mut known: Vec<_> = known.to_vec();
        known.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        for (name, address) in known {
            let host = lanes.host(&name);
            lanes.hosts[host].address = address.to_string();
            lanes.by_address.insert(address, host);
        }
        lanes
    }

    /// The host of that name.
    pub(super) fn host(&mut self, name: &str) -> usize {
        if let Some(host) = self.by_name.get(name) {
            return *host;
        }
        let host = self.hosts.len();
        self.hosts.push(Host { name: name.to_owned(), ..Host::default() });
        self.by_name.insert(name.to_owned(), host);
        host
    }

    /// The host that `address`, a name or an IP address, means to a program on `on`, if it is one of this world's.
    pub(super) fn meant(&self, address: &str, on: usize) -> Option<usize> {
        if address == "localhost" {
            return Some(on);
        }
        match address.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => self.by_address.get(&ip).copied().or_else(|| ip.is_loopback().then_some(on)),
            Err(_) => self.by_name.get(address).copied(),
        }
    }

    /// The lane of that program.
    pub(super) fn lane(&mut self, host: usize, actor: &str) -> usize {
        if let Some(lane) = self.by_place.get(&(host, actor.to_owned())) {
            return *lane;
        }
        let lane = self.lanes.len();
        self.lanes.push(Lane { host, actor: actor.to_owned() });
        self.by_place.insert((host, actor.to_owned()), lane);
        lane
    }

    /// On which host a lane is.
    pub(super) fn host_of(&self, lane: usize) -> usize {
        self.lanes[lane].host
    }

    /// What runs in a lane.
    pub(super) fn actor(&self, lane: usize) -> &str {
        &self.lanes[lane].actor
    }

    /// A lane of the host to point at when it is not known which; the first that was found.
    pub(super) fn some_lane(&self, host: usize) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.host == host)
    }

    /// For changes to a host.
    pub(super) fn host_mut(&mut self, host: usize) -> &mut Host {
        &mut self.hosts[host]
    }

    /// Hosts, lanes in the order of their hosts and of [`ORDER`], and for each number of a lane its new one.
    pub(super) fn sorted(self) -> (Vec<Host>, Vec<Lane>, Vec<usize>) {
        let rank = |lane: &Lane| {
            let known = ORDER.iter().position(|name| *name == lane.actor);
            (lane.host, known.unwrap_or(ORDER.len()), lane.actor.clone())
        };
        let mut order: Vec<usize> = (0..self.lanes.len()).collect();
        order.sort_by_key(|lane| rank(&self.lanes[*lane]));
        let mut new = vec![0; order.len()];
        for (at, lane) in order.iter().enumerate() {
            new[*lane] = at;
        }
        let lanes = order.iter().map(|lane| self.lanes[*lane].clone()).collect();
        (self.hosts, lanes, new)
    }
}
