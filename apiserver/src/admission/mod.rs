//! What the cluster says about a write before it is stored: first the plugins that may change the
//! object, then those that may only refuse it, each pass in the order of `plugins`, or of the list that old
//! releases are given.
//!
//! Between the two, whatever plugins are on, a role or binding must not grant more than its writer holds.
//!
//! What a plugin needs to know it reads from the server's informers, and what these do not have it
//! asks through the loopback client: the failures of that client surface here, in users' faces.

mod amounts;
mod aside;
mod certificates;
mod classes;
pub mod config_file;
mod escalation;
mod event_rate_limit;
mod external_ips;
mod images;
mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod namespaces;
mod node_restriction;
mod node_selector;
mod owner_references;
mod plugin_history;
pub mod plugins;
mod pod_rules;
mod pod_security;
pub(crate) mod policy;
mod priority;
mod ready;
mod refusal;
mod resource_quota;
mod runtime_class;
mod service_account;
mod small;
mod steps;
mod tolerations;
mod topology_labels;
mod webhook;

use std::sync::Arc;

use api::{
    fields,
    object::ObjectExt as _,
    profile::Profile,
    status::{FieldError, Status},
};
use client::Rest;
use serde_json::Value;
use world::{Host, Wall};

use crate::{
    authz::Authz, callout::Callouts, catalog::Catalog, identity::User, informers::Informers,
    metrics::WebhookCounts, pipeline::Remarks,
};
pub use aside::{Aside, Form, Outside};
pub use config_file::{ConfigFile, ConfigFileError};
pub use plugins::{Enabled, Plugin, PluginError, PluginFlags};
use steps::{Mutates, Progress, Validates};
use webhook::{Logins, Webhooks};

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
    /// Where plugins warn and annotate.
    pub remarks: &'a Remarks,
    /// What concerns the request rather than the object.
    pub aside: Aside<'a>,
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
    profile: Profile,
    /// Feature gates that the flags open or close.
    gates: Vec<(String, bool)>,
}

impl Tools {
    /// Whether a gate is open: as the flags say, else from that minor on.
    fn has_gate(&self, (name, since): (&str, u16)) -> bool {
        let said = self.gates.iter().rev().find(|(gate, _)| gate == name).map(|(_, open)| *open);
        said.unwrap_or(self.profile.minor() >= since)
    }
}

/// How a chain is set up, beside what it learns from the cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The plugins that are on.
    pub enabled: Enabled,
    /// Their configuration.
    pub config: ConfigFile,
    /// Upstream's release.
    pub profile: Profile,
    /// Feature gates that the flags open or close.
    pub gates: Vec<(String, bool)>,
    /// The kinds that owners are of.
    pub catalog: Catalog,
    /// How long pods stay on a node that is not ready, and on one that cannot be reached, in seconds.
    pub tolerations: (i64, i64),
}

impl From<Enabled> for Setup {
    /// The newest release without configuration.
    fn from(enabled: Enabled) -> Self {
        Self {
            enabled,
            config: ConfigFile::default(),
            profile: Profile::NEWEST,
            gates: Vec::new(),
            catalog: Catalog::builtin(),
            tolerations: small::TOLERATIONS,
        }
    }
}

/// A plugin whose section of the configuration cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't init admission plugin {plugin:?}: {why}")]
pub struct SetupError {
    plugin: &'static str,
    why: String,
}

/// The admission chain.
pub struct Admission {
    enabled: Enabled,
    tools: Tools,
    tolerations: (i64, i64),
    namespace_lifecycle: namespace_lifecycle::NamespaceLifecycle,
    limit_ranger: limit_ranger::LimitRanger,
    pod_security: pod_security::PodSecurity,
    node_selector: node_selector::NodeSelector,
    toleration_restriction: tolerations::Restriction,
    event_rate_limit: event_rate_limit::EventRateLimit,
    resource_quota: resource_quota::ResourceQuota,
    webhooks: Webhooks,
    policies: policy::Policies,
}

impl Admission {
    /// A chain of the enabled plugins over the server's own informers and loopback client.
    ///
    /// # Errors
    /// What is wrong with the configuration of a plugin that is on.
    pub fn new(
        host: &Host,
        informers: &Informers,
        rest: &Rest,
        authz: Arc<Authz>,
        setup: impl Into<Setup>,
    ) -> Result<Self, SetupError> {
        let Setup { enabled, config, profile, gates, catalog, tolerations } = setup.into();
        let missing = enabled.not_implemented();
        if !missing.is_empty() {
            tracing::info!(
                plugins = missing.join(","),
                "these admission plugins are on, as upstream has them by default or as the flags say, but are \
                 not implemented here: they let everything pass"
            );
        }
        let fail = |plugin: &'static str| move |why: String| SetupError { plugin, why };
        let own = |plugin: &str| config.section(plugin);
        let tools = Tools {
            host: host.clone(),
            informers: informers.clone(),
            rest: rest.clone(),
            authz,
            catalog,
            profile,
            gates,
        };
        Ok(Self {
            tools,
            tolerations,
            namespace_lifecycle: namespace_lifecycle::NamespaceLifecycle::default(),
            limit_ranger: limit_ranger::LimitRanger::default(),
            pod_security: pod_security::PodSecurity::new(own("PodSecurity")).map_err(fail("PodSecurity"))?,
            node_selector: node_selector::NodeSelector::new(own("PodNodeSelector")),
            toleration_restriction: tolerations::Restriction::new(own("PodTolerationRestriction"))
                .map_err(fail("PodTolerationRestriction"))?,
            event_rate_limit: event_rate_limit::EventRateLimit::new(own("EventRateLimit"))
                .map_err(fail("EventRateLimit"))?,
            resource_quota: resource_quota::ResourceQuota::new(
                own("ResourceQuota"),
                &informers.resource_quotas,
            )
            .map_err(fail("ResourceQuota"))?,
            policies: policy::Policies::default(),
            webhooks: Webhooks::new(
                host,
                informers,
                Logins::read(host, &config).map_err(|(p, why)| fail(p)(why))?,
            ),
            enabled,
        })
    }

    /// The same chain, with this way to call webhooks.
    #[must_use]
    pub(crate) fn calling(self, callouts: &Callouts) -> Self {
        Self { webhooks: self.webhooks.calling(callouts), ..self }
    }

    /// What webhooks were asked.
    pub(crate) fn webhook_counts(&self) -> &WebhookCounts {
        &self.webhooks.counts
    }

    /// The mutating pass, and another one if a policy or a webhook changed the object.
    ///
    /// # Errors
    /// The first plugin's refusal.
    pub async fn mutate(&self, review: &mut Review<'_>) -> Result<(), Status> {
        let mut progress = Progress::default();
        loop {
            self.pass(review, &mut progress).await?;
            if !progress.rounds.next(progress.policies.changed) {
                break;
            }
            progress.policies.is_second = true;
        }
        if let Some(before) = progress.rounds.managed_fields_before() {
            keep_managed_fields(review, before);
        }
        Ok(())
    }

    async fn pass(&self, review: &mut Review<'_>, progress: &mut Progress) -> Result<(), Status> {
        for plugin in self.enabled.plugins() {
            match steps::of(*plugin).0 {
                Mutates::Not => {}
                Mutates::Changes(step) => step(self, review),
                Mutates::Asking(step) => step(self, review, progress).await?,
            }
        }
        Ok(())
    }

    /// What stands between the passes: whether a role or binding grants more than its writer holds.
    ///
    /// # Errors
    /// 403 that names what is missing; 404 for the role that a binding refers to.
    pub async fn check_escalation(&self, review: &Review<'_>) -> Result<(), Status> {
        escalation::check(&self.tools, review).await
    }

    /// The validating pass.
    ///
    /// # Errors
    /// The first plugin's refusal.
    pub async fn validate(&self, review: &Review<'_>) -> Result<(), Status> {
        for plugin in self.enabled.plugins() {
            match steps::of(*plugin).1 {
                Validates::Not => {}
                Validates::AtOnce(step) => step(self, review)?,
                Validates::Asking(step) => step(self, review).await?,
            }
        }
        Ok(())
    }
}

/// What is wrong with the expressions of a webhook configuration.
pub(crate) fn validate_webhooks(configuration: &Value, old: Option<&Value>) -> Vec<FieldError> {
    webhook::validate_conditions(configuration, old)
}

/// Managed fields that a webhook made unreadable are put back as they were.
fn keep_managed_fields(review: &mut Review<'_>, before: Option<Value>) {
    let Some(object) = review.object.as_deref_mut() else { return };
    let Err(why) = fields::Managed::decode(object.list_at("/metadata/managedFields")) else { return };
    match before {
        Some(before) => object.set_at("/metadata/managedFields", before),
        None => {
            object.remove_at("/metadata/managedFields");
        }
    }
    review.remarks.warn(format!(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated \
         mutating admission controller; please fix your requests: {why}"
    ));
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
