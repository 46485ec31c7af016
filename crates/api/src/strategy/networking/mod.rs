//! The networking group: where service addresses come from, ingresses, network policies.

mod addresses;
mod ingresses;
mod policies;

use super::{Strategy, check::Complaints, nodes::is_cidr, path::Path};

const SPEC: Path<'static> = Path::root("spec");
const GROUP: &str = "networking.k8s.io";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

pub(super) static STRATEGIES: &[Strategy] =
    &[addresses::ADDRESS, addresses::RANGE, policies::STRATEGY, ingresses::INGRESS, ingresses::CLASS];

fn segment(name: &str) -> Vec<String> {
    crate::names::path_segment(name, false)
}

fn cidr(text: &str, at: Path<'_>, complaints: &mut Complaints) {
    if !is_cidr(text) {
        complaints.invalid(at, text, CIDR);
    }
}
