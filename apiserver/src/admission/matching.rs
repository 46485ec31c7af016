//! Which requests a policy or a webhook means: its rules, its selectors, and the same resource under
//! the names of its other versions.

use std::sync::Arc;

use api::{object::ObjectExt as _, selector::LabelSelector, status::Status};
use client::Resource;
use serde_json::Value;

use super::{Form, Operation, Review, Tools};
use crate::catalog::Served;

impl Form {
    /// As the request names it.
    pub(super) fn of(tools: &Tools, review: &Review<'_>) -> Form {
        let served = tools.catalog.find(review.group, review.version, review.resource);
        let subresource = served.as_ref().and_then(|served| served.subresource(review.subresource));
        let (kind_group, kind_version, kind) = match subresource {
            Some(subresource) => (&*subresource.group, &*subresource.version, &*subresource.kind),
            None => (review.group, review.version, review.kind),
        };
        Form {
            group: review.group.to_owned(),
            version: review.version.to_owned(),
            resource: review.resource.to_owned(),
            kind_group: kind_group.to_owned(),
            kind_version: kind_version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// In another version; `None` if what the request is about is not served there.
    fn in_version(served: &Served, subresource: &str) -> Option<Form> {
        let (kind_group, kind_version, kind) = match subresource {
            "" => (&served.group, &served.version, &served.kind),
            name => {
                let subresource = served.subresource(name)?;
                (&subresource.group, &subresource.version, &subresource.kind)
            }
        };
        Some(Form {
            group: served.group.to_string(),
            version: served.version.to_string(),
            resource: served.plural.to_string(),
            kind_group: kind_group.to_string(),
            kind_version: kind_version.to_string(),
            kind: kind.to_string(),
        })
    }

    /// Under the other names of the same resource.
    fn equivalents(tools: &Tools, review: &Review<'_>) -> Vec<Form> {
        let Some(own) = tools.catalog.find(review.group, review.version, review.resource) else {
            return Vec::new();
        };
        let same = |other: &&Arc<Served>| {
            other.is_stored()
                && other.storage == own.storage
                && (&other.group, &other.version) != (&own.group, &own.version)
        };
        let all = tools.catalog.all();
        all.iter().filter(same).filter_map(|other| Form::in_version(other, review.subresource)).collect()
    }
}

/// The namespace that the request is about: a namespace's own name if it is about one.
pub(super) fn namespace_of<'a>(review: &'a Review<'_>) -> &'a str {
    if review.namespace.is_empty() && review.is("", "namespaces") {
        return review.object_name();
    }
    review.namespace
}

/// One of `rules` or `resourceRules`.
#[derive(Debug)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    /// Objects by name; none means all.
    names: Vec<String>,
    scope: String,
}

impl Rule {
    fn new(rule: &Value) -> Self {
        let texts = |pointer: &str| -> Vec<String> {
            rule.list_at(pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            operations: texts("/operations"),
            groups: texts("/apiGroups"),
            versions: texts("/apiVersions"),
            resources: texts("/resources"),
            names: texts("/resourceNames"),
            scope: rule.str_at("/scope").to_owned(),
        }
    }

    /// Whether it means the request, whatever version that names.
    fn means(&self, review: &Review<'_>) -> bool {
        self.is_in_scope(review)
            && listed(&self.operations, review.operation.as_str())
            && (self.names.is_empty() || self.names.iter().any(|name| name == review.object_name()))
    }

    /// Whether it names a resource in a version.
    fn names(&self, review: &Review<'_>, group: &str, version: &str, resource: &str) -> bool {
        listed(&self.groups, group)
            && listed(&self.versions, version)
            && self.resources.iter().any(|item| {
                let (name, sub) = item.split_once('/').unwrap_or((item, ""));
                (name == "*" || name == resource) && (sub == "*" || sub == review.subresource)
            })
    }

    /// Namespaces themselves belong to the cluster, though requests about them name one.
    fn is_in_scope(&self, review: &Review<'_>) -> bool {
        let cluster = namespace_of(review).is_empty() || review.is("", "namespaces");
        match self.scope.as_str() {
            "" | "*" => true,
            "Namespaced" => !cluster,
            "Cluster" => cluster,
            _ => false,
        }
    }
}

/// Whether a list names something, by itself or by its star.
fn listed(items: &[String], wanted: &str) -> bool {
    items.iter().any(|item| item == "*" || item == wanted)
}

/// Which requests somebody is to be asked about.
#[derive(Debug)]
pub(super) struct Criteria {
    /// `None`: whatever the resource is.
    rules: Option<Vec<Rule>>,
    excluded: Vec<Rule>,
    namespaces: Result<LabelSelector, String>,
    objects: Result<LabelSelector, String>,
    /// Whether a rule that names another version of a resource means the resource.
    equivalent: bool,
}

impl Criteria {
    /// A webhook's: one without rules is never asked.
    pub(super) fn of_webhook(webhook: &Value) -> Self {
        Self::new(webhook, "/rules", LabelSelector::nothing)
    }

    /// `matchConstraints` of a policy or `matchResources` of a binding: without rules they mean everything.
    pub(super) fn of_policy(resources: &Value) -> Self {
        let this = Self::new(resources, "/resourceRules", LabelSelector::everything);
        Self { rules: this.rules.filter(|rules| !rules.is_empty()), ..this }
    }

    fn new(criteria: &Value, rules: &str, unless_said: fn() -> LabelSelector) -> Self {
        let read = |pointer: &str| criteria.list_at(pointer).iter().map(Rule::new).collect();
        let selector = |pointer: &str| match criteria.at(pointer).filter(|selector| !selector.is_null()) {
            Some(selector) => LabelSelector::from_object(selector).map_err(|e| e.to_string()),
            None => Ok(unless_said()),
        };
        Self {
            rules: Some(read(rules)),
            excluded: read("/excludeResourceRules"),
            namespaces: selector("/namespaceSelector"),
            objects: selector("/objectSelector"),
            equivalent: criteria.str_at("/matchPolicy") == "Equivalent",
        }
    }

    /// The form in which a request is meant; `None` if it is not.
    ///
    /// # Errors
    /// It is meant, and whether the selectors take it cannot be found out: 404 for a missing namespace, 500 for
    /// a selector that is none.
    pub(super) async fn form_of(&self, tools: &Tools, review: &Review<'_>) -> Result<Option<Form>, Status> {
        let by_namespace = self.selects_namespace(tools, review).await;
        let by_object = self.selects_object(review);
        if by_namespace == Ok(false) || by_object == Ok(false) {
            return Ok(None);
        }
        if self.first(tools, review, &self.excluded).is_some() {
            return Ok(None);
        }
        let found = match &self.rules {
            Some(rules) => self.first(tools, review, rules),
            None => Some(Form::of(tools, review)),
        };
        // Whom a request is no concern of, its errors are none of the request's.
        if found.is_some() {
            by_namespace?;
            by_object?;
        }
        Ok(found)
    }

    /// The name under which the first of some rules means the request: the request's own, or, if other versions
    /// count too, one of those.
    fn first(&self, tools: &Tools, review: &Review<'_>, rules: &[Rule]) -> Option<Form> {
        let rules: Vec<&Rule> = rules.iter().filter(|rule| rule.means(review)).collect();
        if rules.iter().any(|rule| rule.names(review, review.group, review.version, review.resource)) {
            return Some(Form::of(tools, review));
        }
        if !self.equivalent || rules.is_empty() {
            return None;
        }
        let forms = Form::equivalents(tools, review);
        let named = |rule: &&Rule| {
            forms.iter().find(|form| rule.names(review, &form.group, &form.version, &form.resource)).cloned()
        };
        rules.iter().find_map(named)
    }

    /// Whether the request's namespace is taken. What is in no namespace always is.
    async fn selects_namespace(&self, tools: &Tools, review: &Review<'_>) -> Result<bool, Status> {
        let name = namespace_of(review);
        let is_namespace = review.is("", "namespaces");
        if name.is_empty() && !is_namespace {
            return Ok(true);
        }
        let selector = selector(&self.namespaces)?;
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
        Ok(selector.matches(&*namespace(tools, name).await?))
    }

    /// Whether the object is taken, as it is to become or as it is.
    fn selects_object(&self, review: &Review<'_>) -> Result<bool, Status> {
        let selector = selector(&self.objects)?;
        let objects = [review.new_object(), review.old];
        Ok(selector.is_everything() || objects.into_iter().flatten().any(|object| selector.matches(object)))
    }
}

fn selector(parsed: &Result<LabelSelector, String>) -> Result<&LabelSelector, Status> {
    parsed.as_ref().map_err(Status::internal)
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
