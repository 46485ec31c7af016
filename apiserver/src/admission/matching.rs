//! Which requests a policy or a webhook means: its rules, its selectors, and the same resource under
//! the names of its other versions.

use std::sync::Arc;

use api::{object::ObjectExt as _, selector::LabelSelector, status::Status};
use client::Resource;
use serde_json::Value;

use super::{Operation, Review, Tools};

/// A resource as a rule names it, and the kind of what is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the parts of its name")]
pub(super) struct Target {
    pub group: String,
    pub version: String,
    pub resource: String,
    pub kind: String,
    /// API version of the kind: that of a subresource may be another than the resource's.
    pub api_version: String,
}

impl Target {
    /// As the request names it.
    pub(super) fn of(tools: &Tools, review: &Review<'_>) -> Target {
        let (mut kind, mut api_version) = (review.kind.to_owned(), joined(review.group, review.version));
        if !review.subresource.is_empty()
            && let Some(served) = tools.catalog.find(review.group, review.version, review.resource)
            && let Some(subresource) = served.subresource(review.subresource)
        {
            kind = subresource.kind.to_string();
            api_version = joined(&subresource.group, &subresource.version);
        }
        Target {
            group: review.group.to_owned(),
            version: review.version.to_owned(),
            resource: review.resource.to_owned(),
            kind,
            api_version,
        }
    }

    /// The other names of the same resource.
    fn equivalents(tools: &Tools, review: &Review<'_>) -> Vec<Target> {
        let Some(own) = tools.catalog.find(review.group, review.version, review.resource) else {
            return Vec::new();
        };
        let same = |other: &&Arc<crate::catalog::Served>| {
            other.is_stored()
                && other.storage == own.storage
                && other.kind == own.kind
                && (&other.group, &other.version) != (&own.group, &own.version)
        };
        let target = |other: &Arc<crate::catalog::Served>| {
            let (kind, api_version) = match review.subresource {
                "" => (other.kind.to_string(), other.api_version()),
                name => {
                    let subresource = other.subresource(name)?;
                    (subresource.kind.to_string(), joined(&subresource.group, &subresource.version))
                }
            };
            Some(Target {
                group: other.group.to_string(),
                version: other.version.to_string(),
                resource: other.plural.to_string(),
                kind,
                api_version,
            })
        };
        tools.catalog.all().iter().filter(same).filter_map(target).collect()
    }
}

/// `v1`, `apps/v1`.
fn joined(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Whether a list of a rule names something, by itself or by its star.
fn names(rule: &Value, list: &str, wanted: &str) -> bool {
    rule.list_at(list).iter().filter_map(Value::as_str).any(|name| name == "*" || name == wanted)
}

/// Whether a rule means an operation on a resource.
pub(super) fn rule_matches(rule: &Value, review: &Review<'_>, target: &Target) -> bool {
    let is_namespace = (target.group.as_str(), target.version.as_str(), target.resource.as_str())
        == ("", "v1", "namespaces");
    let cluster = is_namespace || review.namespace.is_empty();
    let in_scope = match rule.str_at("/scope") {
        "" | "*" => true,
        "Namespaced" => !cluster,
        "Cluster" => cluster,
        _ => false,
    };
    let resource = |name: &str| {
        let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
        (resource == "*" || resource == target.resource)
            && (subresource == "*" || subresource == review.subresource)
    };
    in_scope
        && names(rule, "/operations", review.operation.as_str())
        && names(rule, "/apiGroups", &target.group)
        && names(rule, "/apiVersions", &target.version)
        && rule.list_at("/resources").iter().filter_map(Value::as_str).any(resource)
}

/// Whether a rule that names objects names this one; one that names none means all.
fn names_object(rule: &Value, review: &Review<'_>) -> bool {
    let named = rule.list_at("/resourceNames");
    named.is_empty() || named.iter().any(|name| name.as_str() == Some(review.object_name()))
}

/// The name under which the first of some rules means the request: the request's own, or, if other
/// versions count too (`matchPolicy: Equivalent`), one of those.
pub(super) fn find_rule(
    tools: &Tools,
    review: &Review<'_>,
    rules: &[Value],
    match_policy: &str,
) -> Option<Target> {
    let own = Target::of(tools, review);
    let fits =
        |rule: &Value, target: &Target| rule_matches(rule, review, target) && names_object(rule, review);
    if rules.iter().any(|rule| fits(rule, &own)) {
        return Some(own);
    }
    if match_policy != "Equivalent" || rules.is_empty() {
        return None;
    }
    let others = Target::equivalents(tools, review);
    let pairs = rules.iter().flat_map(|rule| others.iter().map(move |other| (rule, other)));
    pairs.filter(|(rule, other)| fits(rule, other)).map(|(_, other)| other.clone()).next()
}

fn selector(of: Option<&Value>) -> Result<LabelSelector, Status> {
    match of {
        None | Some(Value::Null) => Ok(LabelSelector::everything()),
        Some(selector) => LabelSelector::from_object(selector).map_err(Status::internal),
    }
}

/// A namespace, from the informer or, if that does not know it yet, from the server itself.
///
/// # Errors
/// 404 if there is none, 500 if it cannot be asked for.
pub(super) async fn namespace(tools: &Tools, name: &str) -> Result<Arc<Value>, Status> {
    if let Some(known) = tools.informers.namespaces.get(None, name) {
        return Ok(known);
    }
    match tools.rest.get(&Resource::core("namespaces"), None, name).await {
        Ok(namespace) => Ok(Arc::new(namespace)),
        Err(error) => Err(match error.status() {
            Some(status) if status.is_not_found() => status.clone(),
            _ => Status::internal(error),
        }),
    }
}

/// Whether a selector of namespaces takes the request's. What is in no namespace is always taken.
///
/// # Errors
/// 404 for a namespace that is not there, 500 for a selector that is none.
pub(super) async fn selects_namespace(
    tools: &Tools,
    review: &Review<'_>,
    of: Option<&Value>,
) -> Result<bool, Status> {
    let is_namespace = review.resource == "namespaces";
    if review.namespace.is_empty() && !is_namespace {
        return Ok(true);
    }
    let selector = selector(of)?;
    if selector.is_everything() {
        return Ok(true);
    }
    // The labels that a namespace is about to have count, not those it had.
    let written = is_namespace
        && review.subresource.is_empty()
        && matches!(review.operation, Operation::Create | Operation::Update);
    if let (true, Some(object)) = (written, review.new_object()) {
        return Ok(selector.matches(object));
    }
    Ok(selector.matches(&*namespace(tools, review.namespace).await?))
}

/// Whether a selector takes the object as it is to become, or as it is.
///
/// # Errors
/// 500 for a selector that is none.
pub(super) fn selects_object(review: &Review<'_>, of: Option<&Value>) -> Result<bool, Status> {
    let selector = selector(of)?;
    Ok(selector.is_everything()
        || [review.new_object(), review.old].into_iter().flatten().any(|object| selector.matches(object)))
}

/// What `matchConstraints` of a policy or `matchResources` of a binding say of a request: the name
/// under which it is meant, if it is.
///
/// # Errors
/// What a selector that cannot be asked says, of a request that is meant otherwise.
pub(super) async fn matches(
    tools: &Tools,
    review: &Review<'_>,
    criteria: &Value,
) -> Result<Option<Target>, Status> {
    let by_namespace = selects_namespace(tools, review, criteria.get("namespaceSelector")).await;
    let by_object = selects_object(review, criteria.get("objectSelector"));
    if matches!(by_namespace, Ok(false)) || matches!(by_object, Ok(false)) {
        return Ok(None);
    }
    let policy = criteria.str_at("/matchPolicy");
    if find_rule(tools, review, criteria.list_at("/excludeResourceRules"), policy).is_some() {
        return Ok(None);
    }
    let rules = criteria.list_at("/resourceRules");
    let found = match rules {
        [] => Some(Target::of(tools, review)),
        rules => find_rule(tools, review, rules, policy),
    };
    // Whom a request is no concern of, its errors are none of the request's.
    if found.is_some() {
        by_namespace?;
        by_object?;
    }
    Ok(found)
}
