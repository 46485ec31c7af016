//! `pods/binding`: a pod gets its node, once.

use std::sync::Arc;

use api::{
    object::ObjectExt,
    status::{FieldError, Status},
};
use http::Response;
use serde_json::json;
use wire::Body;

use super::{update::change, wanted};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Refusal, WriteOptions, read_object, write::Scope},
};

/// The first release in which a binding's labels become the pod's: admission puts the node's topology there.
const LABELS_SINCE: u16 = 35;

pub(super) async fn bind(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = WriteOptions::parse(&permitted.request().query, "CreateOptions")?;
    let mut binding = read_object(ctx, &permitted, "v1", "Binding").await?;
    let now = permitted.request().received_at;
    let scope = Scope::new(&permitted, served, options);
    scope.admit_posted(ctx, &mut binding).await?;
    let node = binding.str_at("/target/name").to_owned();
    let mut complaints = Vec::new();
    if !matches!(binding.str_at("/target/kind"), "" | "Node") {
        let kind = binding.str_at("/target/kind").to_owned();
        complaints.push(FieldError::not_supported("target.kind", kind, &["Node", "<empty>"]));
    }
    if node.is_empty() {
        complaints.push(FieldError::required("target.name", ""));
    }
    if !complaints.is_empty() {
        return Err(Status::invalid("Binding", binding.name(), complaints).into());
    }
    // The pod's own rules do not let anybody move it: the node is set below them, as a binding.
    let pod = scope.consequence(scope.served.clone(), &scope.name, "binding");
    let uid = binding.uid().to_owned();
    let takes_labels = ctx.options.profile.minor() >= LABELS_SINCE;
    change(ctx, &pod, |stored| {
        let (name, there) = (&pod.name, stored.object.str_at("/spec/nodeName"));
        let conflict = |why: String| Err(Status::conflict("pods/binding", name, why));
        if !uid.is_empty() && uid != stored.object.uid() {
            return conflict(format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                stored.object.uid()
            ));
        }
        if stored.object.is_terminating() {
            return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        if !there.is_empty() {
            return conflict(format!("pod {name} is already assigned to node \"{there}\""));
        }
        if !stored.object.list_at("/spec/schedulingGates").is_empty() {
            return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        let mut next = serde_json::Value::clone(&stored.object);
        next.set_at("/spec/nodeName", node.as_str());
        for (key, value) in binding.annotations() {
            next.set_annotation(key, value);
        }
        if takes_labels {
            binding.labels().for_each(|(key, value)| next.set_label(key, value));
        }
        let scheduled = json!({
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": null,
            "lastTransitionTime": world::rfc3339(now),
        });
        let mut conditions = next.list_at("/status/conditions").to_vec();
        conditions.retain(|c| c.str_at("/type") != "PodScheduled");
        conditions.push(scheduled);
        next.set_at("/status/conditions", conditions);
        Ok(next)
    })
    .await?;
    let success =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(wanted.value(201, &success))
}
