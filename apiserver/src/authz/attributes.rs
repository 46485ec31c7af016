//! What is asked: who, which verb, on what.

use std::fmt;

use api::selector::{FieldSelector, LabelSelector};

use crate::identity::User;

/// A question to an authorizer.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields of authorization.k8s.io ResourceAttributes")]
pub struct Attributes<'a> {
    pub user: &'a User,
    pub verb: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// The path, of a request that is for no resource.
    pub path: &'a str,
    /// Whether the request is for a resource.
    pub resource_request: bool,
    pub field_selector: Option<&'a FieldSelector>,
    pub label_selector: Option<&'a LabelSelector>,
}

impl<'a> Attributes<'a> {
    /// A question of `user` with everything else empty, to fill in by struct update.
    pub fn of(user: &'a User) -> Self {
        Self {
            user,
            verb: "",
            group: "",
            version: "",
            resource: "",
            subresource: "",
            namespace: "",
            name: "",
            path: "",
            resource_request: false,
            field_selector: None,
            label_selector: None,
        }
    }

    /// Whether nothing is changed by it.
    pub fn is_read_only(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }

    /// Whether the field selector demands that `field` equal `value`.
    pub(super) fn selects(&self, field: &str, value: &str) -> bool {
        let requirements = self.field_selector.map(|s| s.requirements()).unwrap_or_default();
        requirements.iter().any(|r| r.equal && r.field == field && r.value == value)
    }
}

/// `User "u" cannot get resource "pods/log" in API group "" in the namespace "ns"`, with what HTML
/// could take for markup escaped.
impl fmt::Display for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, verb) = (escaped(&self.user.name), escaped(self.verb));
        if !self.resource_request {
            return write!(f, "User {user:?} cannot {verb} path {:?}", escaped(self.path));
        }
        let mut resource = escaped(self.resource);
        if !self.subresource.is_empty() {
            resource.push('/');
            resource.push_str(&escaped(self.subresource));
        }
        write!(
            f,
            "User {user:?} cannot {verb} resource {resource:?} in API group {:?} ",
            escaped(self.group)
        )?;
        if self.namespace.is_empty() {
            f.write_str("at the cluster scope")
        } else {
            write!(f, "in the namespace {:?}", escaped(self.namespace))
        }
    }
}

/// What HTML could take for markup, as upstream writes it into refusals.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
