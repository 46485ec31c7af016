//! Tolerations as plugins add and compare them.

use std::sync::Arc;

use api::{object::ObjectExt as _, status::Status};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Operation, Review, Tools, namespaces};

const DEFAULTS: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const ALLOWED: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";
const AT: &str = "/spec/tolerations";

/// Whether `wide` tolerates all that `narrow` does.
fn covers(wide: &Value, narrow: &Value) -> bool {
    let text = |toleration: &'_ Value, field: &str| toleration.str_at(field).to_owned();
    if is_same(wide, narrow) {
        return true;
    }
    let (key, operator, effect) = (text(wide, "/key"), text(wide, "/operator"), text(wide, "/effect"));
    if text(narrow, "/key") != key && !(key.is_empty() && operator == "Exists") {
        return false;
    }
    if text(narrow, "/effect") != effect && !effect.is_empty() {
        return false;
    }
    if effect == "NoExecute"
        && let Some(seconds) = wide.i64_at("/tolerationSeconds")
        && narrow.i64_at("/tolerationSeconds").is_none_or(|s| s > seconds)
    {
        return false;
    }
    match operator.as_str() {
        "Equal" | "" => {
            text(narrow, "/operator") == "Equal" && text(narrow, "/value") == text(wide, "/value")
        }
        "Exists" => true,
        _ => false,
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    ["/key", "/operator", "/value", "/effect"].iter().all(|field| one.str_at(field) == other.str_at(field))
        && one.i64_at("/tolerationSeconds") == other.i64_at("/tolerationSeconds")
}

/// Both lists without what another one covers; of equal ones the first stays.
pub(super) fn merge(first: &[Value], second: &[Value]) -> Vec<Value> {
    let all: Vec<&Value> = first.iter().chain(second).collect();
    let mut merged: Vec<Value> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let is_covered = merged.iter().any(|held| covers(held, toleration))
            || all.iter().skip(at + 1).any(|later| !is_same(toleration, later) && covers(later, toleration));
        if !is_covered {
            merged.push((*toleration).clone());
        }
    }
    merged
}

/// ExtendedResourceToleration: who asks for a device tolerates the taint of the nodes that have it.
pub(super) fn for_devices(review: &mut Review<'_>) {
    if !is_pod_write(review) {
        return;
    }
    let Some(pod) = review.object.as_deref_mut() else { return };
    let containers = pod.list_at("/spec/containers").iter().chain(pod.list_at("/spec/initContainers"));
    let asked = containers.filter_map(|c| c.map_at("/resources/requests")).flat_map(|r| r.keys());
    let devices: std::collections::BTreeSet<String> = asked.filter(|n| is_extended(n)).cloned().collect();
    for device in devices {
        let wanted = json!({ "key": device, "operator": "Exists", "effect": "NoSchedule" });
        let matches = |held: &Value| {
            ["/key", "/operator", "/value", "/effect"].iter().all(|f| held.str_at(f) == wanted.str_at(f))
        };
        match pod.at_mut(AT).and_then(Value::as_array_mut) {
            Some(held) if held.iter().any(matches) => {
                held.iter_mut().filter(|h| matches(h)).for_each(|h| *h = wanted.clone());
            }
            _ => super::small::push(pod, AT, wanted),
        }
    }
}

/// A resource of a domain of its own, which is not Kubernetes'.
fn is_extended(name: &str) -> bool {
    name.contains('/')
        && !name.contains("kubernetes.io/")
        && !name.starts_with("requests.")
        && api::names::qualified_name(&format!("requests.{name}")).is_empty()
}

fn is_pod_write(review: &Review<'_>) -> bool {
    matches!(review.operation, Operation::Create | Operation::Update)
        && review.is("", "pods")
        && review.subresource.is_empty()
}

/// PodTolerationRestriction: a namespace's tolerations for its pods, and the only ones that they may have.
#[derive(Debug, Default)]
pub(super) struct Restriction {
    defaults: Vec<Value>,
    allowed: Vec<Value>,
}

impl Restriction {
    /// With a section of the admission configuration, or none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(section: Option<&Value>) -> Result<Self, String> {
        let Some(section) = section else { return Ok(Self::default()) };
        let known = section.kind() == "Configuration"
            && section.api_version().starts_with("podtolerationrestriction.admission.k8s.io/");
        if !known {
            return Err(format!(
                "no kind {:?} is registered for version {:?}: write kind Configuration of \
                 podtolerationrestriction.admission.k8s.io/v1alpha1",
                section.kind(),
                section.api_version()
            ));
        }
        let list = |field: &str| section.list_at(field).to_vec();
        Ok(Self { defaults: list("/default"), allowed: list("/whitelist") })
    }

    pub(super) async fn mutate(&self, tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
        if !is_pod_write(review) {
            return Ok(());
        }
        namespaces::ready(tools, review).await?;
        let mut added = Vec::new();
        if review.operation == Operation::Create {
            let namespace = namespaces::demand(tools, review.namespace).await?;
            added = written(&namespace, DEFAULTS)?.unwrap_or_else(|| self.defaults.clone());
        }
        if let Some(pod) = review.object.as_deref_mut() {
            let mut merged = match pod.list_at(AT) {
                [] => added,
                own if added.is_empty() => own.to_vec(),
                own => merge(&added, own),
            };
            if !api::quota::usage::is_best_effort(pod) {
                let pressure = json!({
                    "key": "node.kubernetes.io/memory-pressure",
                    "operator": "Exists",
                    "effect": "NoSchedule",
                });
                merged = merge(&merged, &[pressure]);
            }
            if !merged.is_empty() {
                pod.set_at(AT, merged);
            }
        }
        self.validate(tools, review).await
    }

    pub(super) async fn validate(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        if !is_pod_write(review) {
            return Ok(());
        }
        let held = review.new_object().map(|pod| pod.list_at(AT)).unwrap_or_default();
        if held.is_empty() {
            return Ok(());
        }
        let namespace: Arc<Value> = namespaces::demand(tools, review.namespace).await?;
        let own = written(&namespace, ALLOWED)?;
        let (scope, allowed) = match &own {
            Some(allowed) => ("namespace", allowed),
            None => ("cluster", &self.allowed),
        };
        let is_fine = allowed.is_empty() || held.iter().all(|h| allowed.iter().any(|a| covers(a, h)));
        if is_fine {
            return Ok(());
        }
        // Upstream does not make a 403 of it.
        Err(Status::unclassified(format!(
            "pod tolerations (possibly merged with {scope} default tolerations) conflict with its {scope} whitelist"
        )))
    }
}

/// The tolerations in an annotation of a namespace; empty text is an empty list.
fn written(namespace: &Value, annotation: &str) -> Result<Option<Vec<Value>>, Status> {
    let Some(text) = namespace.annotation(annotation) else { return Ok(None) };
    if text.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let list = Vec::<Value>::deserialize(&mut reader).map_err(|e| Status::unclassified(e.to_string()))?;
    Ok(Some(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_covers_is_left_out() {
        let check = |first: Value, second: Value, wanted: Value| {
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            assert_eq!(Value::from(merge(&list(&first), &list(&second))), wanted, "{first} and {second}");
        };
        let all = json!({"operator": "Exists"});
        let a = json!({"key": "a", "operator": "Equal", "value": "1", "effect": "NoSchedule"});
        let any_a = json!({"key": "a", "operator": "Exists"});
        let short = json!({"key": "b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
        let long = json!({"key": "b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9});
        check(json!([a]), json!([a]), json!([a]));
        check(json!([a]), json!([any_a]), json!([any_a]));
        check(json!([any_a]), json!([a]), json!([any_a]));
        check(json!([a, short]), json!([all]), json!([all]));
        check(json!([short]), json!([long]), json!([long]));
        check(json!([a]), json!([short]), json!([a, short]));
    }

    #[test]
    fn devices_have_a_domain_of_their_own() {
        for (name, wanted) in [
            ("example.com/gpu", true),
            ("cpu", false),
            ("hugepages-2Mi", false),
            ("kubernetes.io/x", false),
            ("requests.example.com/gpu", false),
            ("example.com/", false),
        ] {
            assert_eq!(is_extended(name), wanted, "{name}");
        }
    }
}
