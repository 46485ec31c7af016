//! The section `ResourceQuota` of the admission configuration: what may be used only where a quota allows it.

use std::{collections::BTreeSet, sync::Arc};

use api::{object::ObjectExt as _, quota::usage as counting, status::Status};
use serde_json::Value;

use crate::admission::{Review, amounts::Amounts, refusal::forbidden};

/// Versions in which the section may be written, each with its kind.
const VERSIONS: [(&str, &str); 4] = [
    ("apiserver.config.k8s.io/v1", "ResourceQuotaConfiguration"),
    ("resourcequota.admission.k8s.io/v1beta1", "Configuration"),
    ("resourcequota.admission.k8s.io/v1alpha1", "Configuration"),
    ("resourcequota.admission.k8s.io/v1", "Configuration"),
];

/// The limited resources.
#[derive(Debug, Default)]
pub(super) struct Limited {
    resources: Vec<Resource>,
}

#[derive(Debug)]
struct Resource {
    group: String,
    plural: String,
    /// Parts of the names of what is limited.
    contains: Vec<String>,
    /// Scopes that an object may be in only where a quota has them too.
    scopes: Vec<Value>,
}

impl Limited {
    pub(super) fn read(section: &Value) -> Result<Self, String> {
        if !VERSIONS.contains(&(section.api_version(), section.kind())) {
            return Err(format!(
                "no kind {:?} is registered for version {:?}: write kind {} of {}",
                section.kind(),
                section.api_version(),
                VERSIONS[0].1,
                VERSIONS[0].0
            ));
        }
        let (mut resources, mut wrong) = (Vec::new(), Vec::new());
        for (at, entry) in section.list_at("/limitedResources").iter().enumerate() {
            if entry.str_at("/resource").is_empty() {
                wrong.push(api::status::FieldError::required(format!("limitedResources[{at}].resource"), ""));
            }
            let text = |value: &Value| value.as_str().map(str::to_owned);
            resources.push(Resource {
                group: entry.str_at("/apiGroup").to_owned(),
                plural: entry.str_at("/resource").to_owned(),
                contains: entry.list_at("/matchContains").iter().filter_map(text).collect(),
                scopes: entry.list_at("/matchScopes").to_vec(),
            });
        }
        match wrong.is_empty() {
            true => Ok(Self { resources }),
            false => Err(crate::admission::pod_security::config::joined(wrong)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Whether a quota covers what is limited.
    pub(super) fn check(
        &self,
        review: &Review<'_>,
        object: &Value,
        usage: &Amounts,
        covered: &BTreeSet<String>,
        quotas: &[Arc<Value>],
    ) -> Result<(), Status> {
        let own = || self.resources.iter().filter(|r| review.is(&r.group, &r.plural));
        let limits = |name: &str| own().any(|r| r.contains.iter().any(|part| name.contains(part.as_str())));
        let used = usage.iter().filter(|(_, amount)| !amount.is_zero() && !amount.is_negative());
        let open: Vec<&str> = used
            .map(|(name, _)| name.as_str())
            .filter(|name| limits(name) && !covered.contains(*name))
            .collect();
        if !open.is_empty() {
            return Err(forbidden(review, format_args!("insufficient quota to consume: {}", open.join(","))));
        }
        let matches = |scope: &Value| counting::has_scope(review.group, review.resource, scope, object);
        let held: Vec<Value> = quotas.iter().flat_map(|quota| counting::scopes(quota)).collect();
        let covers = |scope: &Value| {
            held.iter().any(|h| h.str_at("/scopeName") == scope.str_at("/scopeName") && matches(h))
        };
        let open: Vec<String> = self
            .resources
            .iter()
            .flat_map(|r| &r.scopes)
            .filter(|scope| matches(scope) && !covers(scope))
            .map(shown)
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        // Upstream does not make a 403 of it.
        let open = open.join(" ");
        Err(Status::unclassified(format!("insufficient quota to match these scopes: [{open}]")))
    }
}

/// As Go prints the struct.
fn shown(scope: &Value) -> String {
    let values: Vec<&str> = scope.list_at("/values").iter().filter_map(Value::as_str).collect();
    format!("{{{} {} [{}]}}", scope.str_at("/scopeName"), scope.str_at("/operator"), values.join(" "))
}
