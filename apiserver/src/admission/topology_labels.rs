//! PodTopologyLabels: a pod knows the zone and the region of its node by its own labels.

use api::object::ObjectExt as _;

use super::{Operation, Review, Tools};

/// The gate, and the first release in which it is open.
const GATE: (&str, u16) = ("PodTopologyLabelsAdmission", 35);
const LABELS: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// Copies the labels onto a binding, from which the pod gets them, or onto a pod that is bound already.
pub(super) fn mutate(tools: &Tools, review: &mut Review<'_>) {
    if review.operation != Operation::Create || !review.is("", "pods") || !tools.has_gate(GATE) {
        return;
    }
    let Some(object) = review.new_object() else { return };
    let node = match review.subresource {
        "" => object.str_at("/spec/nodeName"),
        "binding" if object.str_at("/target/kind") == "Node" => object.str_at("/target/name"),
        _ => return,
    };
    // A node that is not known has no labels: nobody is refused for it.
    let Some(node) = tools.informers.nodes.get(None, node) else { return };
    let Some(object) = review.object.as_deref_mut() else { return };
    for label in LABELS {
        if let Some(value) = node.label(label) {
            object.set_label(label, value);
        }
    }
}
