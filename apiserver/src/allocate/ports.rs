//! Node ports, from a bitmap in the store.

use api::{
    object::ObjectExt,
    status::{FieldError, Status},
};
use serde_json::Value;

use super::{Allocator, Taken, bitmap::Refused, reservation::Reservation, service_type};
use crate::pipeline::write::Scope;

/// Whether a service has ports on nodes.
pub(super) fn has_node_ports(service: &Value) -> bool {
    match service_type(service) {
        "NodePort" => true,
        "LoadBalancer" => {
            service.at("/spec/allocateLoadBalancerNodePorts").and_then(Value::as_bool) != Some(false)
        }
        _ => false,
    }
}

/// The node ports that a service holds.
pub(super) fn node_ports(service: &Value) -> Vec<u16> {
    let ports = service.list_at("/spec/ports").iter();
    ports
        .filter_map(|p| p.i64_at("/nodePort"))
        .filter_map(|p| u16::try_from(p).ok())
        .filter(|p| *p > 0)
        .collect()
}

impl Allocator {
    /// Keeps the ports that a service has, takes those it lacks, frees those it gave up.
    pub(super) async fn settle_ports(
        &self,
        scope: &Scope<'_>,
        object: &mut Value,
        old: Option<&Value>,
        reservation: &mut Reservation,
    ) -> Result<(), Status> {
        let shared = &self.0;
        let held = old.map(node_ports).unwrap_or_default();
        if !has_node_ports(object) {
            // Ports of a type that has none any more go away with it.
            if let Some(ports) = object.at_mut("/spec/ports").and_then(Value::as_array_mut) {
                for port in ports.iter_mut() {
                    port.remove_at("/nodePort");
                }
            }
            reservation.freed.extend(held.iter().map(|p| Taken::Port(*p)));
            return Ok(());
        }
        let name = object.name().to_owned();
        let mut kept = Vec::new();
        let count = object.list_at("/spec/ports").len();
        for n in 0..count {
            let pointer = format!("/spec/ports/{n}");
            let wanted = object.at(&pointer).and_then(|p| p.i64_at("/nodePort")).filter(|p| *p > 0);
            let wanted = wanted.and_then(|p| u16::try_from(p).ok());
            if let Some(port) = wanted.filter(|p| held.contains(p) || kept.contains(p)) {
                kept.push(port);
                continue;
            }
            let field = format!("spec.ports[{n}].nodePort");
            let refuse = |shown: i64, why: &str| {
                Status::invalid("Service", &name, vec![FieldError::invalid(field.clone(), shown, why)])
            };
            let offset = match wanted {
                Some(port) => Some(shared.port_offset(port).ok_or_else(|| {
                    let why = format!(
                        "provided port is not in the valid range. The range of valid ports is {}-{}",
                        shared.first_port, shared.last_port
                    );
                    refuse(i64::from(port), &why)
                })?),
                None => None,
            };
            let span = u64::from(shared.last_port - shared.first_port) + 1;
            let from = shared.host.entropy().below(span);
            let port = if scope.options.dry_run {
                wanted.unwrap_or(shared.first_port)
            } else {
                let taken = shared.ports.take(&*shared.store, offset, from).await.map_err(|refused| {
                    refuse(
                        wanted.map_or(0, i64::from),
                        match refused {
                            Refused::Taken => "provided port is already allocated",
                            Refused::Full => "failed to allocate a nodePort: range is full",
                            Refused::Store(_) => "failed to allocate a nodePort: the store does not answer",
                        },
                    )
                })?;
                let port = shared.first_port + u16::try_from(taken).unwrap_or(0);
                reservation.taken.push(Taken::Port(port));
                port
            };
            kept.push(port);
            object.set_at(&format!("{pointer}/nodePort"), port);
        }
        reservation.freed.extend(held.iter().filter(|p| !kept.contains(p)).map(|p| Taken::Port(*p)));
        Ok(())
    }
}
