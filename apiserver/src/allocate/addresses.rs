//! Cluster addresses: by objects of the API, or by a bitmap in the store.

use std::net::IpAddr;

use api::{
    object::ObjectExt,
    status::{FieldError, Status},
};
use serde_json::{Value, json};

use super::{
    Allocator, IP_ADDRESSES, Subnet, Taken, bitmap::Refused, family, reservation::Reservation, words,
};
use crate::pipeline::write::Scope;

/// How often another address is tried when one turns out to be taken.
const ATTEMPTS: usize = 16;

impl Allocator {
    /// Takes what is wanted, or the next free one per family, and writes it into the service.
    pub(super) async fn take_addresses(
        &self,
        scope: &Scope<'_>,
        object: &mut Value,
        wanted: &[IpAddr],
        held: &[IpAddr],
        reservation: &mut Reservation,
    ) -> Result<(), Status> {
        let name = object.name().to_owned();
        let refuse = |shown: Value, why: String| {
            let complaint = FieldError::invalid("spec.clusterIPs", shown, why);
            Status::invalid("Service", &name, vec![complaint])
        };
        let mut taken = Vec::new();
        if wanted.is_empty() {
            let dual = self.0.ranges.len() > 1
                && matches!(object.str_at("/spec/ipFamilyPolicy"), "PreferDualStack" | "RequireDualStack");
            for (_, subnet) in self.0.ranges.iter().take(if dual { 2 } else { 1 }) {
                let ip = self
                    .take_next(scope, object, subnet)
                    .await
                    .map_err(|why| refuse(json!([""]), format!("failed to allocate IP: {why}")))?;
                reservation.taken.push(Taken::Address(ip));
                taken.push(ip);
            }
        }
        for ip in wanted {
            if !held.contains(ip) {
                self.take_this(scope, object, *ip).await.map_err(|why| {
                    let shown: Vec<String> = wanted.iter().map(ToString::to_string).collect();
                    refuse(json!(shown), format!("failed to allocate IP {ip}: {why}"))
                })?;
                reservation.taken.push(Taken::Address(*ip));
            }
            taken.push(*ip);
        }
        let texts: Vec<String> = taken.iter().map(ToString::to_string).collect();
        if let Some(first) = texts.first() {
            object.set_at("/spec/clusterIP", first.as_str());
        }
        let families: Vec<&str> = taken.iter().map(|ip| family(*ip)).collect();
        object.set_at("/spec/ipFamilies", json!(families));
        object.set_at("/spec/clusterIPs", json!(texts));
        Ok(())
    }

    async fn take_next(&self, scope: &Scope<'_>, service: &Value, subnet: &Subnet) -> Result<IpAddr, String> {
        let shared = &self.0;
        let (size, band) = (subnet.size(), subnet.static_band());
        if scope.options.dry_run {
            return subnet.address(band).ok_or_else(|| "range is full".to_owned());
        }
        if !shared.by_objects {
            let map = shared.bitmap_of(subnet);
            return match map.take(&*shared.store, None, band).await {
                Ok(offset) => subnet.address(offset).ok_or_else(|| "range is full".to_owned()),
                Err(refused) => Err(words(refused)),
            };
        }
        // A random start above the static band; what is known to be taken is passed over.
        let upper = size.saturating_sub(band).max(1);
        let start = band + shared.host.entropy().below(upper);
        let candidates = (start..size).chain(band..start).chain(0..band);
        let mut attempts = 0;
        for offset in candidates {
            let Some(ip) = subnet.address(offset) else { continue };
            if shared.informers.ip_addresses.get(None, &ip.to_string()).is_some() {
                continue;
            }
            match shared.post(service, ip).await {
                Ok(()) => return Ok(ip),
                Err(error) if error.is_already_exists() && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("range is full".to_owned())
    }

    async fn take_this(&self, scope: &Scope<'_>, service: &Value, ip: IpAddr) -> Result<(), String> {
        let shared = &self.0;
        let found = shared.ranges.iter().find_map(|(text, s)| Some((text, s, s.offset(ip)?)));
        let Some((_, subnet, offset)) = found else {
            let ranges: Vec<&str> = shared.ranges.iter().map(|(text, _)| text.as_str()).collect();
            return Err(format!(
                "the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}",
                ranges.join(",")
            ));
        };
        if scope.options.dry_run {
            return Ok(());
        }
        if !shared.by_objects {
            let map = shared.bitmap_of(subnet);
            return map.take(&*shared.store, Some(offset), 0).await.map(drop).map_err(words);
        }
        match shared.post(service, ip).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_already_exists() => {
                // Left over from an attempt of this very service that did not come to its end.
                match shared.rest.get(&IP_ADDRESSES, None, &ip.to_string()).await {
                    Ok(there) if belongs_to(&there, service) => Ok(()),
                    _ => Err(words(Refused::Taken)),
                }
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

pub(super) fn belongs_to(address: &Value, service: &Value) -> bool {
    address.str_at("/spec/parentRef/resource") == "services"
        && address.str_at("/spec/parentRef/namespace") == service.namespace()
        && address.str_at("/spec/parentRef/name") == service.name()
}
