//! PodTopologyLabels: a pod knows the zone and the region of its node by its own labels.

use api::{object::ObjectExt as _, status::Status};

use super::{Operation, Review, Tools};

/// The gate, and the first release in which it is open.
const GATE: (&str, u16) = ("PodTopologyLabelsAdmission", 35);
const LABELS: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// Copies the labels onto a binding, from which the pod gets them, or onto a pod that is bound already.
pub(super) async fn mutate(tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
    if review.operation != Operation::Create || !review.is("", "pods") || !tools.has_gate(GATE) {
        return Ok(());
    }
    let Some(object) = review.new_object() else { return Ok(()) };
    let node = match review.subresource {
        "" => object.str_at("/spec/nodeName"),
        "binding" if object.str_at("/target/kind") == "Node" => object.str_at("/target/name"),
        _ => return Ok(()),
    };
    tools.ready(review, &[&tools.informers.nodes]).await?;
    // A node that is not known has no labels: nobody is refused for it.
    let Some(node) = tools.informers.nodes.get(None, node) else { return Ok(()) };
    let Some(object) = review.object.as_deref_mut() else { return Ok(()) };
    for label in LABELS {
        if let Some(value) = node.label(label) {
            object.set_label(label, value);
        }
    }
    Ok(())
}
