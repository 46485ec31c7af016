//! Runtime classes.

use serde_json::Value;

use super::{Strategy, check::Complaints, fill::canonicalize, path::Path, pods};
use crate::{names, object::ObjectExt};

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    default: |class| canonicalize(class, "/overhead/podFixed"),
    validate,
    validate_update: |new, old, _, complaints| {
        complaints.immutable(Path::root("handler"), new, old, "/handler");
    },
    ..Strategy::of("node.k8s.io", "RuntimeClass")
}];

fn validate(class: &Value, complaints: &mut Complaints) {
    let handler = class.str_at("/handler");
    complaints.each(Path::root("handler"), handler, names::dns1123_label(handler));
    let overhead = Path::root("overhead");
    complaints.amounts(overhead.child("podFixed"), class.map_at("/overhead/podFixed"));
    let scheduling = Path::root("scheduling");
    complaints.labels(scheduling.child("nodeSelector"), class.map_at("/scheduling/nodeSelector"));
    let tolerations = class.list_at("/scheduling/tolerations");
    pods::validate_tolerations(tolerations, scheduling.child("tolerations"), complaints);
}
