//! Which requests a webhook is asked about: rules, in the request's version or an equivalent one, then
//! the selectors of namespaces and objects.

use api::{object::ObjectExt as _, selector::LabelSelector, status::Status};
use client::Resource;
use serde_json::Value;

use super::{
    super::{Form, Operation, Review, Tools},
    hook::Hook,
};

/// One of `rules`.
#[derive(Debug)]
pub(super) struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    scope: String,
}

impl Rule {
    pub(super) fn new(rule: &Value) -> Self {
        let texts = |pointer: &str| -> Vec<String> {
            rule.list_at(pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            operations: texts("/operations"),
            groups: texts("/apiGroups"),
            versions: texts("/apiVersions"),
            resources: texts("/resources"),
            scope: rule.str_at("/scope").to_owned(),
        }
    }

    fn matches(&self, review: &Review<'_>, group: &str, version: &str, resource: &str) -> bool {
        let any = |items: &[String], wanted: &str| items.iter().any(|item| item == "*" || item == wanted);
        self.scope_fits(review)
            && any(&self.operations, review.operation.as_str())
            && any(&self.groups, group)
            && any(&self.versions, version)
            && self.resources.iter().any(|item| {
                let (name, sub) = item.split_once('/').unwrap_or((item, ""));
                (name == "*" || name == resource) && (sub == "*" || sub == review.subresource)
            })
    }

    /// Namespaces themselves belong to the cluster, though requests about them name one.
    fn scope_fits(&self, review: &Review<'_>) -> bool {
        let cluster = namespace_of(review).is_empty() || review.is("", "namespaces");
        match self.scope.as_str() {
            "" | "*" => true,
            "Namespaced" => !cluster,
            "Cluster" => cluster,
            _ => false,
        }
    }
}

/// The namespace that the request is about: a namespace's own name if it is about one.
pub(super) fn namespace_of<'a>(review: &'a Review<'_>) -> &'a str {
    if review.namespace.is_empty() && review.is("", "namespaces") {
        return review.object_name();
    }
    review.namespace
}

/// What is never asked about: a webhook or policy could lock everybody out of its own repair.
pub(super) fn is_exempt(review: &Review<'_>) -> bool {
    let exempt = [
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    ];
    review.group == "admissionregistration.k8s.io" && exempt.contains(&review.resource)
}

/// The request as it came.
pub(super) fn own_form(review: &Review<'_>) -> Form {
    if let Some(outside) = review.aside.outside {
        return outside.own();
    }
    let object = review.new_object().or(review.old);
    let api_version = object.map(|o| o.api_version()).unwrap_or_default();
    let (kind_group, kind_version) = match api_version.split_once('/') {
        Some((group, version)) => (group, version),
        None if api_version.is_empty() => (review.group, review.version),
        None => ("", api_version),
    };
    let kind = object.map(|o| o.kind()).filter(|kind| !kind.is_empty()).unwrap_or(review.kind);
    Form {
        group: review.group.to_owned(),
        version: review.version.to_owned(),
        resource: review.resource.to_owned(),
        kind_group: kind_group.to_owned(),
        kind_version: kind_version.to_owned(),
        kind: kind.to_owned(),
    }
}

/// The form in which a webhook is to be asked about a request; `None` if it is not.
///
/// # Errors
/// It would be asked, and whether its selectors fit cannot be found out: 404 for a missing namespace.
pub(super) async fn form_for(
    tools: &Tools,
    hook: &Hook,
    review: &Review<'_>,
) -> Result<Option<Form>, Status> {
    let namespace = namespace_fits(tools, hook, review).await;
    if namespace == Ok(false) {
        return Ok(None);
    }
    let object = object_fits(hook, review);
    if object == Ok(false) {
        return Ok(None);
    }
    let own = hook.rules.iter().any(|r| r.matches(review, review.group, review.version, review.resource));
    let form = if own { Some(own_form(review)) } else { equivalent(hook, review) };
    let Some(form) = form else { return Ok(None) };
    namespace?;
    object?;
    Ok(Some(form))
}

/// By the first rule that another version of the resource matches.
fn equivalent(hook: &Hook, review: &Review<'_>) -> Option<Form> {
    let outside = review.aside.outside.filter(|_| hook.equivalent)?;
    let forms = outside.equivalents();
    hook.rules.iter().find_map(|rule| {
        forms.iter().find(|form| rule.matches(review, &form.group, &form.version, &form.resource)).cloned()
    })
}

async fn namespace_fits(tools: &Tools, hook: &Hook, review: &Review<'_>) -> Result<bool, Status> {
    let name = namespace_of(review);
    // Nothing else of the cluster's is selected by a namespace.
    if name.is_empty() && review.resource != "namespaces" {
        return Ok(true);
    }
    let selector = selector(&hook.namespaces)?;
    if selector.is_everything() {
        return Ok(true);
    }
    let itself = review.resource == "namespaces"
        && review.subresource.is_empty()
        && matches!(review.operation, Operation::Create | Operation::Update);
    if let Some(namespace) = review.new_object().filter(|_| itself) {
        return Ok(selector.matches(namespace));
    }
    if let Some(namespace) = tools.informers.namespaces.get(None, name) {
        return Ok(selector.matches(&namespace));
    }
    match tools.rest.get(&Resource::core("namespaces"), None, name).await {
        Ok(namespace) => Ok(selector.matches(&namespace)),
        Err(error) => Err(match error.status() {
            Some(status) if status.is_not_found() => status.clone(),
            _ => Status::internal(error),
        }),
    }
}

/// The new object or the old one.
fn object_fits(hook: &Hook, review: &Review<'_>) -> Result<bool, Status> {
    let selector = selector(&hook.objects)?;
    Ok(selector.is_everything()
        || review.new_object().is_some_and(|object| selector.matches(object))
        || review.old.is_some_and(|object| selector.matches(object)))
}

fn selector(parsed: &Result<LabelSelector, String>) -> Result<&LabelSelector, Status> {
    parsed.as_ref().map_err(Status::internal)
}
