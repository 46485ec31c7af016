//! PodNodeSelector: a namespace's pods run on a namespace's nodes.
//!
//! The namespace's annotation says where, else the cluster's default of the admission configuration; the
//! same section can name the only labels that a namespace's pods may select by.

use std::collections::BTreeMap;

use api::{object::ObjectExt as _, status::Status};
use serde_json::Value;

use super::{Operation, Review, Tools, namespaces};

const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";
const CLUSTER_DEFAULT: &str = "clusterDefaultNodeSelector";
const SECTION: &str = "podNodeSelectorPluginConfig";

type Labels = BTreeMap<String, String>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct NodeSelector {
    /// Selectors as they are written, by namespace.
    selectors: BTreeMap<String, String>,
}

impl NodeSelector {
    /// With a section of the admission configuration, or none. What cannot be read is not there, as upstream.
    pub(super) fn new(section: Option<&Value>) -> Self {
        let entries = section.and_then(|s| s.get(SECTION)).and_then(Value::as_object).into_iter().flatten();
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        Self { selectors: entries.filter_map(text).collect() }
    }

    pub(super) async fn mutate(&self, tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
        if !applies(review) {
            return Ok(());
        }
        namespaces::ready(tools, review).await?;
        let wanted = self.of_namespace(tools, review).await?;
        let own = selector(review);
        if conflict(&wanted, &own) {
            return Err(conflicts(review));
        }
        if let Some(pod) = review.object.as_deref_mut()
            && !(wanted.is_empty() && own.is_empty())
        {
            let merged: serde_json::Map<String, Value> =
                wanted.into_iter().chain(own).map(|(key, value)| (key, value.into())).collect();
            pod.set_at("/spec/nodeSelector", merged);
        }
        self.validate(tools, review).await
    }

    pub(super) async fn validate(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        if !applies(review) {
            return Ok(());
        }
        let wanted = self.of_namespace(tools, review).await?;
        let own = selector(review);
        if conflict(&wanted, &own) {
            return Err(conflicts(review));
        }
        let allowed = parse(self.selectors.get(review.namespace).map_or("", String::as_str))?;
        if allowed.is_empty() || own.iter().all(|(key, value)| allowed.get(key) == Some(value)) {
            return Ok(());
        }
        Err(refused(review, "pod node label selector labels conflict with its namespace whitelist"))
    }

    async fn of_namespace(&self, tools: &Tools, review: &Review<'_>) -> Result<Labels, Status> {
        let namespace = namespaces::find(tools, review.namespace)
            .await
            .map_err(|_| Status::internal(format_args!("namespace {} does not exist", review.namespace)))?;
        match namespace.annotation(ANNOTATION) {
            Some(text) => parse(text),
            None => parse(self.selectors.get(CLUSTER_DEFAULT).map_or("", String::as_str)),
        }
    }
}

fn applies(review: &Review<'_>) -> bool {
    review.operation == Operation::Create && review.is("", "pods") && review.subresource.is_empty()
}

fn selector(review: &Review<'_>) -> Labels {
    let held = review.new_object().and_then(|pod| pod.map_at("/spec/nodeSelector"));
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    held.into_iter().flatten().filter_map(text).collect()
}

fn conflict(one: &Labels, other: &Labels) -> bool {
    one.iter().any(|(key, value)| other.get(key).is_some_and(|v| v != value))
}

fn conflicts(review: &Review<'_>) -> Status {
    refused(review, "pod node label selector conflicts with its namespace node label selector")
}

/// Upstream names the pod by its name alone: one whose name is still to be made has none.
fn refused(review: &Review<'_>, why: &str) -> Status {
    Status::forbidden("pods", review.new_object().map(|pod| pod.name()).unwrap_or_default(), why)
}

/// `a=b,c=d`; empty text is no labels.
fn parse(text: &str) -> Result<Labels, Status> {
    let mut labels = Labels::new();
    if text.is_empty() {
        return Ok(labels);
    }
    for pair in text.split(',') {
        let parts: Vec<&str> = pair.split('=').collect();
        let [key, value] = parts.as_slice() else {
            return Err(Status::unclassified(format!("invalid selector: [{pair}]")));
        };
        let (key, value) = (key.trim(), value.trim());
        let complaints =
            api::names::qualified_name(key).into_iter().chain(api::names::label_value(value)).next();
        if let Some(why) = complaints {
            return Err(Status::unclassified(format!("invalid label in selector {pair:?}: {why}")));
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}
