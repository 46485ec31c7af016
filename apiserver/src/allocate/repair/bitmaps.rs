//! Ports, and up to 1.32 addresses: what services hold, against the bitmap in the store.

use std::collections::BTreeMap;

use client::{ClientError, recorder::Recorder};
use serde_json::Value;

use super::{services, store_error};
use crate::allocate::{
    Shared, Subnet, addresses,
    bitmap::{Bitmap, Bits},
    family, node_ports,
};

/// In so many rounds something nobody holds has to be seen before it is given out again: who has taken it may not
/// have written its service yet.
const ROUNDS: u32 = 3;

/// Offsets that nobody holds, and in how many more rounds they may be seen.
#[derive(Default)]
pub(super) struct Leaks(BTreeMap<u64, u32>);

/// What is wrong with something that a service holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotAllocated,
    AlreadyAllocated,
    OutOfRange,
}

/// What a bitmap is about.
pub(super) trait Held {
    /// What a service holds: how it is shown, and where in the bitmap it is, if it belongs there.
    fn of(&self, shared: &Shared, service: &Value) -> Vec<(String, Option<u64>)>;
    /// The reason and the words of an event.
    fn event(&self, shared: &Shared, fault: Fault, shown: &str) -> (&'static str, String);
    /// What is leaked, for the log.
    fn name(&self, shared: &Shared, offset: u64) -> String;
}

/// Node ports.
pub(super) struct Ports;

impl Held for Ports {
    fn of(&self, shared: &Shared, service: &Value) -> Vec<(String, Option<u64>)> {
        let mut ports = node_ports(service);
        // One port of two protocols is one port.
        ports.sort_unstable();
        ports.dedup();
        ports.into_iter().map(|port| (port.to_string(), shared.port_offset(port))).collect()
    }

    fn event(&self, shared: &Shared, fault: Fault, port: &str) -> (&'static str, String) {
        match fault {
            Fault::NotAllocated => ("PortNotAllocated", format!("Port {port} is not allocated; repairing")),
            Fault::AlreadyAllocated => (
                "PortAlreadyAllocated",
                format!("Port {port} was assigned to multiple services; please recreate service"),
            ),
            Fault::OutOfRange => (
                "PortOutOfRange",
                format!(
                    "Port {port} is not within the port range {}-{}; please recreate service",
                    shared.first_port, shared.last_port
                ),
            ),
        }
    }

    fn name(&self, shared: &Shared, offset: u64) -> String {
        format!("node port {}", u64::from(shared.first_port) + offset)
    }
}

/// Addresses of one range.
pub(super) struct Addresses<'a> {
    pub(super) range: &'a str,
    pub(super) subnet: Subnet,
}

impl Held for Addresses<'_> {
    fn of(&self, _: &Shared, service: &Value) -> Vec<(String, Option<u64>)> {
        let own = addresses(service).into_iter().filter(|ip| ip.is_ipv6() == self.subnet.is_v6());
        own.map(|ip| (format!("[{}]:{ip}", family(ip)), self.subnet.offset(ip))).collect()
    }

    fn event(&self, _: &Shared, fault: Fault, ip: &str) -> (&'static str, String) {
        match fault {
            Fault::NotAllocated => {
                ("ClusterIPNotAllocated", format!("Cluster IP {ip} is not allocated; repairing"))
            }
            Fault::AlreadyAllocated => (
                "ClusterIPAlreadyAllocated",
                format!("Cluster IP {ip} was assigned to multiple services; please recreate service"),
            ),
            Fault::OutOfRange => (
                "ClusterIPOutOfRange",
                format!(
                    "Cluster IP {ip} is not within the service CIDR {}; please recreate service",
                    self.range
                ),
            ),
        }
    }

    fn name(&self, _: &Shared, offset: u64) -> String {
        self.subnet.address(offset).map_or_else(String::new, |ip| format!("cluster IP [{}]:{ip}", family(ip)))
    }
}

/// One round: the bitmap becomes what services hold, and what may be held by one that is being written.
pub(super) async fn round(
    shared: &Shared,
    held: &impl Held,
    map: &Bitmap,
    leaks: &mut Leaks,
    recorder: &Recorder,
) -> Result<(), ClientError> {
    loop {
        // Read before the services: what is taken after it makes the write fail.
        let (stored, revision) = map.read(&*shared.store).await.map_err(|e| store_error(&e))?;
        let services = services(shared).await?;
        let mut events = Vec::new();
        let mut rebuilt = Bits::default();
        for service in &services {
            for (shown, offset) in held.of(shared, service) {
                let fault = match offset {
                    None => Fault::OutOfRange,
                    Some(offset) if rebuilt.has(offset) => Fault::AlreadyAllocated,
                    Some(offset) => {
                        rebuilt.put(offset, true);
                        if stored.has(offset) {
                            continue;
                        }
                        Fault::NotAllocated
                    }
                };
                events.push((service, held.event(shared, fault, &shown)));
            }
        }
        let mut left = BTreeMap::new();
        for offset in stored.given_out().filter(|offset| !rebuilt.has(*offset)).collect::<Vec<_>>() {
            let name = held.name(shared, offset);
            match leaks.0.get(&offset) {
                Some(0) => tracing::warn!("the {name} appears to have leaked: cleaning up"),
                seen => {
                    if seen.is_none() {
                        tracing::warn!("the {name} may have leaked: flagging for later clean up");
                    }
                    left.insert(offset, seen.map_or(ROUNDS - 1, |rounds| *rounds) - 1);
                    rebuilt.put(offset, true);
                }
            }
        }
        let same = rebuilt.given_out().eq(stored.given_out());
        if !same && !map.write(&*shared.store, &rebuilt, revision).await.map_err(|e| store_error(&e))? {
            continue;
        }
        leaks.0 = left;
        for (service, (reason, message)) in events {
            recorder.warning(service, reason, message);
        }
        return Ok(());
    }
}
