//! Addresses of services and the ranges that they are taken from.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    super::{Strategy, check::Complaints, path::Path},
    GROUP, SPEC, cidr, segment,
};
use crate::{names, object::ObjectExt};

const CIDRS: Path<'static> = Path::root("spec.cidrs");
const IMMUTABLE: &str = "field is immutable";

pub(super) const ADDRESS: Strategy = Strategy {
    validate: |address, complaints| {
        let at = SPEC.child("parentRef");
        let Some(parent) = address.at("/spec/parentRef").filter(|parent| parent.is_object()) else {
            return complaints.required(at, "");
        };
        complaints.optional_name(at.child("group"), parent.str_at("/group"), names::dns1123_subdomain);
        complaints.name(at.child("resource"), parent.str_at("/resource"), segment);
        complaints.name(at.child("name"), parent.str_at("/name"), segment);
        complaints.optional_name(at.child("namespace"), parent.str_at("/namespace"), segment);
    },
    validate_update: |new, old, _, complaints| {
        complaints.immutable(SPEC.child("parentRef"), new, old, "/spec/parentRef");
    },
    ..Strategy::of(GROUP, "IPAddress")
};

pub(super) const RANGE: Strategy = Strategy {
    validate: validate_range,
    validate_update: |new, old, subresource, complaints| {
        if subresource == "status" {
            return;
        }
        let (now, before) = (new.list_at("/spec/cidrs"), old.list_at("/spec/cidrs"));
        // One family may become two.
        if now.len() != before.len() && (before.len(), now.len()) != (1, 2) {
            return complaints.invalid(CIDRS, json!(now), IMMUTABLE);
        }
        for (index, (now, before)) in now.iter().zip(before).enumerate() {
            if now != before {
                complaints.invalid(CIDRS.index(index), now.clone(), IMMUTABLE);
            }
        }
    },
    ..Strategy::of(GROUP, "ServiceCIDR")
};

fn validate_range(range: &Value, complaints: &mut Complaints) {
    let cidrs = range.list_at("/spec/cidrs");
    if cidrs.is_empty() {
        return complaints.required(CIDRS, "at least one CIDR required");
    }
    if cidrs.len() > 2 {
        return complaints.invalid(CIDRS, json!(cidrs), "may only hold up to 2 values");
    }
    for (index, text) in cidrs.iter().enumerate() {
        cidr(text.as_str().unwrap_or_default(), CIDRS.index(index), complaints);
    }
    let family =
        |cidr: &Value| cidr.as_str()?.split('/').next()?.parse::<IpAddr>().ok().map(|ip| ip.is_ipv4());
    if let [first, second] = cidrs
        && family(first).is_some()
        && family(first) == family(second)
    {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        complaints.invalid(CIDRS, json!(cidrs), detail);
    }
}
