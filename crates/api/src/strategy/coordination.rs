//! Leases.

use super::{Strategy, path::Path};
use crate::object::ObjectExt;

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    validate: |lease, complaints| {
        let spec = Path::root("spec");
        complaints.positive(spec.child("leaseDurationSeconds"), lease.i64_at("/spec/leaseDurationSeconds"));
        complaints.non_negative(spec.child("leaseTransitions"), lease.i64_at("/spec/leaseTransitions"));
        let strategy = lease.str_at("/spec/strategy");
        complaints.optional_one_of(spec.child("strategy"), strategy, &["OldestEmulationVersion"]);
        if !lease.str_at("/spec/preferredHolder").is_empty() && strategy.is_empty() {
            let detail = "may only be specified if `strategy` is defined";
            complaints.forbidden(spec.child("preferredHolder"), detail);
        }
    },
    ..Strategy::of("coordination.k8s.io", "Lease")
}];
