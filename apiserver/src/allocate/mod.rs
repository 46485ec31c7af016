//! Addresses and node ports of services.
//!
//! From 1.33 on an address is taken by posting an `ipaddresses` object through the loopback client:
//! when that client is dead no service gets an address. Before, and for node ports in every version,
//! the server works on an object of its own in the store.

mod addresses;
mod bitmap;
mod ports;
mod repair;
mod reservation;
mod subnet;

use std::{net::IpAddr, sync::Arc};

use api::{object::ObjectExt, status::Status};
use client::{DeleteParams, Resource, Rest};
use serde_json::{Value, json};
use store::Store;
use world::Host;

use bitmap::{Bitmap, Refused};
use ports::{has_node_ports, node_ports};
pub(crate) use repair::run as repair;
pub use reservation::Reservation;
use reservation::Taken;
pub use subnet::Subnet;

use crate::{catalog::Served, informers::Informers, options::Options, pipeline::write::Scope};

const IP_ADDRESSES: Resource = Resource::new("networking.k8s.io", "v1", "ipaddresses");

/// Gives out addresses and ports. Clones share nothing but what is outside: the store and the API.
#[derive(Clone)]
pub struct Allocator(Arc<Shared>);

struct Shared {
    host: Host,
    store: Arc<dyn Store>,
    rest: Rest,
    informers: Arc<Informers>,
    ranges: Vec<(String, Subnet)>,
    by_objects: bool,
    ports: Bitmap,
    first_port: u16,
    last_port: u16,
}

fn is_service(served: &Served) -> bool {
    served.plural == "services" && served.group.is_empty()
}

fn service_type(service: &Value) -> &str {
    match service.str_at("/spec/type") {
        "" => "ClusterIP",
        other => other,
    }
}

/// Addresses that a service holds.
fn addresses(service: &Value) -> Vec<IpAddr> {
    let many = service.list_at("/spec/clusterIPs").iter().filter_map(Value::as_str);
    let mut all: Vec<IpAddr> = many.filter_map(|ip| ip.parse().ok()).collect();
    if all.is_empty() {
        all.extend(service.str_at("/spec/clusterIP").parse::<IpAddr>());
    }
    all
}

impl Allocator {
    /// An allocator for the ranges of the flags.
    pub fn new(
        host: &Host,
        options: &Options,
        store: Arc<dyn Store>,
        rest: &Rest,
        informers: Arc<Informers>,
    ) -> Self {
        let ranges = options.service_cluster_ip_ranges.iter();
        let ranges = ranges.filter_map(|r| Some((r.clone(), Subnet::parse(r)?))).collect();
        let (first_port, last_port) = options.service_node_ports;
        let ports = Bitmap::new(
            "/registry/ranges/servicenodeports",
            format!("{first_port}-{last_port}"),
            u64::from(last_port - first_port) + 1,
        );
        Self(Arc::new(Shared {
            host: host.clone(),
            store,
            rest: rest.clone(),
            informers,
            ranges,
            by_objects: options.profile.ip_allocation_by_objects(),
            ports,
            first_port,
            last_port,
        }))
    }

    /// Fills an update's gaps with what the service has already: a client that says nothing about
    /// addresses and ports wants to keep them.
    pub fn keep(&self, served: &Served, new: &mut Value, old: &Value) {
        if !is_service(served) {
            return;
        }
        let (needs, needed) = (service_type(new) != "ExternalName", service_type(old) != "ExternalName");
        if needs && needed && new.str_at("/spec/clusterIP").is_empty() {
            for field in ["clusterIP", "clusterIPs"] {
                let pointer = format!("/spec/{field}");
                if let Some(value) = old.at(&pointer) {
                    new.set_at(&pointer, value.clone());
                }
            }
        }
        if has_node_ports(new) && has_node_ports(old) {
            let known: Vec<(i64, String, Value)> = old
                .list_at("/spec/ports")
                .iter()
                .filter_map(|p| {
                    Some((p.i64_at("/port")?, p.str_at("/protocol").to_owned(), p.get("nodePort")?.clone()))
                })
                .collect();
            if let Some(ports) = new.at_mut("/spec/ports").and_then(Value::as_array_mut) {
                for port in ports.iter_mut().filter(|p| p.i64_at("/nodePort").unwrap_or(0) == 0) {
                    let same = |(number, protocol, _): &&(i64, String, Value)| {
                        port.i64_at("/port") == Some(*number)
                            && (port.str_at("/protocol") == protocol || port.str_at("/protocol").is_empty())
                    };
                    if let Some((.., node_port)) = known.iter().find(same) {
                        port["nodePort"] = node_port.clone();
                    }
                }
            }
        }
    }

    /// Takes what a new or changed service needs and writes it into the object.
    ///
    /// # Errors
    /// 422: nothing left, taken, or out of range; and the transport's words when the API is not
    /// reached.
    pub async fn reserve(
        &self,
        scope: &Scope<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<Reservation, Status> {
        if !is_service(&scope.served) || !scope.subresource.is_empty() {
            return Ok(Reservation::default());
        }
        let mut reservation =
            Reservation { allocator: Some(self.clone()), taken: Vec::new(), freed: Vec::new() };
        let held = old.map(addresses).unwrap_or_default();
        if service_type(object) == "ExternalName" {
            reservation.freed.extend(held.iter().map(|ip| Taken::Address(*ip)));
            for field in ["clusterIP", "clusterIPs"] {
                object.remove_at(&format!("/spec/{field}"));
            }
        } else if object.str_at("/spec/clusterIP") != "None" {
            let wanted = addresses(object);
            if wanted.is_empty() || wanted.iter().any(|ip| !held.contains(ip)) {
                self.take_addresses(scope, object, &wanted, &held, &mut reservation).await?;
            }
        } else {
            object.set_at("/spec/clusterIPs", json!(["None"]));
        }
        self.settle_ports(scope, object, old, &mut reservation).await?;
        Ok(reservation)
    }

    /// What a service holds, to be given back when its deletion is confirmed.
    pub fn leaving(&self, served: &Served, object: &Value) -> Reservation {
        if !is_service(served) {
            return Reservation::default();
        }
        let ips = addresses(object).into_iter().map(Taken::Address);
        let freed = ips.chain(node_ports(object).into_iter().map(Taken::Port)).collect();
        Reservation { allocator: Some(self.clone()), taken: Vec::new(), freed }
    }

    fn give_back(&self, taken: Vec<Taken>) {
        if taken.is_empty() {
            return;
        }
        let shared = self.0.clone();
        self.0.host.spawn(async move {
            for one in taken {
                shared.free(one).await;
            }
        });
    }
}

fn words(refused: Refused) -> String {
    match refused {
        Refused::Taken => "provided IP is already allocated".to_owned(),
        Refused::Full => "range is full".to_owned(),
        Refused::Store(status) => status.message,
    }
}

impl Shared {
    fn bitmap_of(&self, subnet: &Subnet) -> Bitmap {
        let first = self.ranges.first().is_some_and(|(_, s)| s == subnet);
        let key = if first { "/registry/ranges/serviceips" } else { "/registry/ranges/secondaryserviceips" };
        let text = self.ranges.iter().find(|(_, s)| s == subnet).map(|(t, _)| t.clone()).unwrap_or_default();
        Bitmap::new(key, text, subnet.size())
    }

    /// Where in the range a port is.
    fn port_offset(&self, port: u16) -> Option<u64> {
        let inside = (self.first_port..=self.last_port).contains(&port);
        inside.then(|| u64::from(port - self.first_port))
    }

    async fn post(&self, service: &Value, ip: IpAddr) -> Result<(), client::ClientError> {
        self.rest.create(&IP_ADDRESSES, None, &address_object(service, ip)).await.map(drop)
    }

    async fn free(&self, taken: Taken) {
        let outcome = match taken {
            Taken::Port(port) => {
                // A service may hold a port of a range that the flags named before: none of these bits is its.
                match self.port_offset(port) {
                    Some(offset) => self.ports.free(&*self.store, offset).await.map_err(words),
                    None => Ok(()),
                }
            }
            Taken::Address(ip) if self.by_objects => {
                let params = DeleteParams::default();
                match self.rest.delete(&IP_ADDRESSES, None, &ip.to_string(), &params).await {
                    Err(error) if !error.is_not_found() => Err(error.to_string()),
                    _ => Ok(()),
                }
            }
            Taken::Address(ip) => match self.ranges.iter().find_map(|(_, s)| Some((s, s.offset(ip)?))) {
                Some((subnet, offset)) => {
                    self.bitmap_of(subnet).free(&*self.store, offset).await.map_err(words)
                }
                None => Ok(()),
            },
        };
        if let Err(why) = outcome {
            tracing::warn!("failed to release {taken:?}: {why}");
        }
    }
}

const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const MANAGER: &str = "ipallocator.k8s.io";

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv6() { "IPv6" } else { "IPv4" }
}

/// The address of a service, as an object.
fn address_object(service: &Value, ip: IpAddr) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": ip.to_string(),
            "labels": { FAMILY: family(ip), MANAGED_BY: MANAGER },
        },
        "spec": {
            "parentRef": {
                "group": "",
                "resource": "services",
                "namespace": service.namespace(),
                "name": service.name(),
            },
        },
    })
}
