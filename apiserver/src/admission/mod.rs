//! What the cluster says about a write before it is stored: first the plugins that may change the
//! object, then those that may only refuse it, each pass in upstream's order.
//!
//! ```text
//!  mutate:   NamespaceLifecycle ─ LimitRanger ─ ServiceAccount ─ NodeRestriction ─ TaintNodesByCondition
//!            ─ Priority ─ DefaultTolerationSeconds ─ StorageObjectInUseProtection ─ MutatingAdmissionPolicy
//!            └─ all of them once more if a policy changed something
//!  validate: LimitRanger ─ ServiceAccount ─ Priority ─ CertificateApproval ─ CertificateSigning
//!            ─ CertificateSubjectRestriction ─ ValidatingAdmissionPolicy ─ ResourceQuota
//! ```
//!
//! Last, whatever plugins are on, a role or binding must not grant more than its writer holds.
//!
//! What a plugin needs to know it reads from the server's informers, and what these do not have it
//! asks through the loopback client: the failures of that client surface here, in users' faces.

mod amounts;
mod certificates;
mod escalation;
mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod node_restriction;
mod notes;
pub mod plugins;
pub(crate) mod policy;
mod priority;
mod refusal;
mod resource_quota;
mod service_account;
mod small;

use std::sync::Arc;

use api::{object::ObjectExt as _, status::Status};
use client::Rest;
use serde_json::Value;
use world::{Host, Wall};

use crate::{authz::Authz, catalog::Catalog, identity::User, informers::Informers};
pub use notes::{Annotations, Notes};
pub use plugins::{Enabled, Plugin, PluginError};

/// What is being done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object, or something posted to a subresource.
    Create,
    /// A change, by PUT or PATCH.
    Update,
    /// A deletion.
    Delete,
    /// A stream to a subresource, such as `exec`.
    Connect,
}

impl Operation {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A write that asks for admission.
#[derive(Debug)]
pub struct Review<'a> {
    /// What is being done.
    pub operation: Operation,
    /// API group of the resource.
    pub group: &'a str,
    /// Version of the resource.
    pub version: &'a str,
    /// Plural of the resource.
    pub resource: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// Kind of [`Review::object`].
    pub kind: &'a str,
    /// The namespace; empty for cluster-scoped objects, a namespace's own name for namespaces.
    pub namespace: &'a str,
    /// The name in the request; empty on a create that leaves it to the server.
    pub name: &'a str,
    /// Who asks.
    pub user: &'a User,
    /// The object as it is to become; none on deletes.
    pub object: Option<&'a mut Value>,
    /// The object as it is; none on creates.
    pub old: Option<&'a Value>,
    /// Whether nothing is to be stored.
    pub dry_run: bool,
    /// When the request was received.
    pub now: Wall,
    /// What is said beside the verdict.
    pub notes: Notes<'a>,
}

impl Review<'_> {
    /// The object as it is to become.
    fn new_object(&self) -> Option<&Value> {
        self.object.as_deref()
    }

    /// Whether this is the resource of that group, subresource aside.
    fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource
    }

    /// The object's name: the request's, or the one in the object itself.
    fn object_name(&self) -> &str {
        if self.name.is_empty() { self.new_object().map(|o| o.name()).unwrap_or_default() } else { self.name }
    }
}

/// What the plugins share.
struct Tools {
    host: Host,
    informers: Informers,
    rest: Rest,
    authz: Arc<Authz>,
    catalog: Catalog,
}

/// The admission chain.
pub struct Admission {
    enabled: Enabled,
    tools: Tools,
    namespace_lifecycle: namespace_lifecycle::NamespaceLifecycle,
    limit_ranger: limit_ranger::LimitRanger,
    resource_quota: resource_quota::ResourceQuota,
    policies: policy::Policies,
}

impl Admission {
    /// A chain of the enabled plugins over the server's own informers and loopback client.
    pub fn new(
        host: &Host,
        informers: &Informers,
        rest: &Rest,
        authz: Arc<Authz>,
        catalog: &Catalog,
        enabled: Enabled,
    ) -> Self {
        let missing = enabled.not_implemented();
        if !missing.is_empty() {
            tracing::info!(
                plugins = missing.join(","),
                "these admission plugins are on, as upstream has them by default or as the flags say, but are \
                 not implemented here: they let everything pass"
            );
        }
        let (informers, rest, catalog) = (informers.clone(), rest.clone(), catalog.clone());
        let tools = Tools { host: host.clone(), informers, rest, authz, catalog };
        Self {
            enabled,
            tools,
            namespace_lifecycle: namespace_lifecycle::NamespaceLifecycle::default(),
            limit_ranger: limit_ranger::LimitRanger::default(),
            resource_quota: resource_quota::ResourceQuota::default(),
            policies: policy::Policies::default(),
        }
    }

    /// The mutating pass, and a second one if something was changed that others may want to see.
    ///
    /// # Errors
    /// The first plugin's refusal.
    pub async fn mutate(&self, review: &mut Review<'_>) -> Result<(), Status> {
        let mut passes = policy::Passes::default();
        self.mutate_once(review, &mut passes).await?;
        if passes.changed {
            passes.is_second = true;
            self.mutate_once(review, &mut passes).await?;
        }
        Ok(())
    }

    async fn mutate_once(&self, review: &mut Review<'_>, passes: &mut policy::Passes) -> Result<(), Status> {
        let tools = &self.tools;
        if self.enabled.has(Plugin::NamespaceLifecycle) {
            self.namespace_lifecycle.admit(tools, review).await?;
        }
        if self.enabled.has(Plugin::LimitRanger) {
            self.limit_ranger.mutate(tools, review).await?;
        }
        if self.enabled.has(Plugin::ServiceAccount) {
            service_account::mutate(tools, review).await?;
        }
        if self.enabled.has(Plugin::NodeRestriction) {
            node_restriction::admit(tools, review)?;
        }
        if self.enabled.has(Plugin::TaintNodesByCondition) {
            small::taint_new_node(review);
        }
        if self.enabled.has(Plugin::Priority) {
            priority::mutate(tools, review)?;
        }
        if self.enabled.has(Plugin::DefaultTolerationSeconds) {
            small::tolerate_not_ready(review);
        }
        if self.enabled.has(Plugin::StorageObjectInUseProtection) {
            small::protect_storage(review);
        }
        if self.enabled.has(Plugin::MutatingAdmissionPolicy) {
            self.policies.mutate(tools, review, passes).await?;
        }
        Ok(())
    }

    /// The validating pass.
    ///
    /// # Errors
    /// The first plugin's refusal.
    pub async fn validate(&self, review: &Review<'_>) -> Result<(), Status> {
        let tools = &self.tools;
        if self.enabled.has(Plugin::LimitRanger) {
            self.limit_ranger.validate(tools, review).await?;
        }
        if self.enabled.has(Plugin::ServiceAccount) {
            service_account::validate(tools, review).await?;
        }
        if self.enabled.has(Plugin::Priority) {
            priority::validate(tools, review)?;
        }
        if self.enabled.has(Plugin::CertificateApproval) {
            certificates::approval(tools, review)?;
        }
        if self.enabled.has(Plugin::CertificateSigning) {
            certificates::signing(tools, review)?;
        }
        if self.enabled.has(Plugin::CertificateSubjectRestriction) {
            certificates::subject(review)?;
        }
        if self.enabled.has(Plugin::ValidatingAdmissionPolicy) {
            self.policies.validate(tools, review).await?;
        }
        if self.enabled.has(Plugin::ResourceQuota) {
            self.resource_quota.validate(tools, review).await?;
        }
        escalation::validate(tools, review).await
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admission({:?})", self.enabled)
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
