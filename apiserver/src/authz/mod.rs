//! May this user do that? Authorizers are asked in the order of the [`configuration`], after the one that comes before
//! all: `system:masters` may do everything.
//!
//! ```text
//!  Attributes ─▶ masters? ─▶ Node ─▶ RBAC ─▶ … ─▶ Verdict
//!                  allow      each: allow, deny, or no opinion and why
//! ```
//!
//! * [`configuration`]: which ones, from flags or from a file that is read again.
//! * [`rule`]: one policy rule, [`rbac`]: rules by subject, from four informers.
//! * [`node`]: what a kubelet may reach through the pods that are bound to its node.
//! * [`abac`]: a file of policies. [`webhook`]: somebody else decides.
//! * [`escalation`]: who may write roles and bindings.
//! * [`review`]: the review kinds answered.

pub mod abac;
mod attributes;
pub mod configuration;
pub mod escalation;
pub mod modes;
pub mod node;
pub(crate) mod pod_references;
pub mod rbac;
mod reload;
pub mod review;
pub mod rule;
mod verdict;
pub mod webhook;

use std::{path::PathBuf, sync::Arc};

use api::{
    profile::Profile,
    status::{GroupResource, Status},
};
use futures::FutureExt as _;
use parking_lot::RwLock;
use world::Host;

use crate::{
    identity::{MASTERS, User},
    informers::Informers,
    metrics::{AuthzCounts, Decisions},
    options::Options,
    webhook_client::WebhookClient,
};
use abac::Abac;
pub use attributes::Attributes;
pub(crate) use attributes::escaped;
pub use configuration::Configuration;
use configuration::WebhookEntry;
pub use modes::{Mode, ModeError};
use node::NodeAuthorizer;
use rbac::Rbac;
use rule::Rule;
pub use verdict::{Decision, Reason, Verdict};
use webhook::{Conditions, Settings, Webhook};

/// One authorizer of the chain.
#[derive(Clone)]
enum Authorizer {
    Node(Arc<NodeAuthorizer>),
    Rbac(Arc<Rbac>),
    Abac(Arc<Abac>),
    Webhook(Arc<Webhook>),
    AlwaysAllow,
    AlwaysDeny,
}

/// An authorizer with its counters.
#[derive(Clone)]
struct Link {
    authorizer: Authorizer,
    decisions: Arc<Decisions>,
}

/// What authorizers are made from. Those that learn from informers or from a file of their own are made once, at
/// start, and stay over reloads.
struct Parts {
    rbac: Arc<Rbac>,
    node: Option<Arc<NodeAuthorizer>>,
    abac: Option<Arc<Abac>>,
    hooks: Option<Hooks>,
    counts: Arc<AuthzCounts>,
}

/// What it takes to call somebody.
struct Hooks {
    host: Host,
    profile: Profile,
}

/// The chain of authorizers.
pub struct Authz {
    chain: RwLock<Arc<[Link]>>,
    parts: Parts,
    /// Whether what a list selects counts (gate AuthorizeWithSelectors).
    by_selectors: bool,
}

impl Authz {
    /// A chain of `modes` that learns from `informers`: of those that need neither a file nor the network.
    ///
    /// # Errors
    /// One of the modes needs more.
    pub fn new(profile: Profile, modes: &[Mode], informers: &Informers) -> Result<Self, String> {
        Self::build(profile, &Configuration::of_modes(modes), informers, None, None)
    }

    /// The chain of a command line. With a file of `--authorization-config` it follows the file.
    ///
    /// # Errors
    /// A policy file or a webhook's kubeconfig that cannot be used.
    pub fn start(
        host: &Host,
        options: &Options,
        configuration: Configuration,
        informers: &Informers,
    ) -> Result<Arc<Self>, String> {
        let abac = match configuration.modes().contains(&Mode::Abac) {
            true => {
                // Without a file upstream opens the nameless one.
                let path = options.authorization.policy_file.clone().unwrap_or_default();
                Some(Arc::new(Abac::file(host.disk(), &path).map_err(|e| e.to_string())?))
            }
            false => None,
        };
        let hooks = Hooks { host: host.clone(), profile: options.profile };
        let this = Self::build(options.profile, &configuration, informers, abac, Some(hooks))?;
        let this = Arc::new(this);
        if let Some(path) = &options.authorization.config_file {
            reload::keep_fresh(&this, host, options.profile, path.clone(), configuration);
        }
        Ok(this)
    }

    fn build(
        profile: Profile,
        configuration: &Configuration,
        informers: &Informers,
        abac: Option<Arc<Abac>>,
        hooks: Option<Hooks>,
    ) -> Result<Self, String> {
        let node = configuration.modes().contains(&Mode::Node);
        let node = node.then(|| Arc::new(NodeAuthorizer::new(profile, informers)));
        let parts = Parts { rbac: Rbac::new(informers), node, abac, hooks, counts: Arc::default() };
        let chain = RwLock::new(parts.chain(configuration)?);
        Ok(Self { chain, parts, by_selectors: profile.authorizes_by_selectors() })
    }

    /// Asks the chain.
    pub async fn authorize(&self, request: &Attributes<'_>) -> Verdict {
        if request.user.is_in(MASTERS) {
            return Verdict::allow();
        }
        let mut request = *request;
        if !self.by_selectors {
            (request.field_selector, request.label_selector) = (None, None);
        }
        let chain = self.chain.read().clone();
        let (mut reasons, mut errors) = (Vec::new(), Vec::new());
        for Link { authorizer, decisions } in chain.iter() {
            let verdict = match authorizer {
                Authorizer::Node(node) => node.authorize(&request),
                Authorizer::Rbac(rbac) => rbac.authorize(&request),
                Authorizer::Abac(abac) => abac.authorize(&request),
                // Its future is large, and few have one.
                Authorizer::Webhook(webhook) => Box::pin(webhook.authorize(&request)).await,
                Authorizer::AlwaysAllow => Verdict::allow(),
                Authorizer::AlwaysDeny => Verdict::no_opinion("Everything is forbidden."),
            };
            if verdict.decision != Decision::NoOpinion {
                decisions.count(verdict.decision);
                return verdict;
            }
            if !verdict.reason.is_empty() {
                reasons.push(verdict.reason);
            }
            errors.extend(verdict.errors);
        }
        let reason = match reasons.len() {
            0 | 1 => reasons.pop().unwrap_or(Reason::Fixed("")),
            _ => reasons.iter().map(|reason| &**reason).collect::<Vec<_>>().join("\n").into(),
        };
        Verdict { errors, ..Verdict::no_opinion(reason) }
    }

    /// [`Authz::authorize`] where nobody outside is asked; `None` in a chain with a webhook.
    pub fn authorize_at_once(&self, request: &Attributes<'_>) -> Option<Verdict> {
        let waits = self.chain.read().iter().any(|link| matches!(link.authorizer, Authorizer::Webhook(_)));
        if waits { None } else { self.authorize(request).now_or_never() }
    }

    /// The refusal that follows from a verdict other than allow.
    pub fn forbidden(request: &Attributes<'_>, verdict: &Verdict) -> Status {
        Self::forbidden_because(request, &verdict.reason)
    }

    /// A refusal of what no authorizer needs to be asked about.
    pub fn forbidden_because(request: &Attributes<'_>, reason: &str) -> Status {
        let resource = GroupResource { group: request.group, resource: request.resource };
        if reason.is_empty() {
            Status::forbidden(resource, request.name, request)
        } else {
            Status::forbidden(resource, request.name, format_args!("{request}: {reason}"))
        }
    }

    /// What `user` may do in `namespace`, as far as it can be listed.
    pub fn rules_for(&self, user: &User, namespace: &str) -> review::RulesReview {
        let mut review = review::RulesReview::default();
        let incomplete = |review: &mut review::RulesReview, which: &str| {
            review.incomplete = true;
            review.errors.push(format!("{which} authorizer does not support user rule resolution"));
        };
        for Link { authorizer, .. } in self.chain.read().iter() {
            match authorizer {
                Authorizer::Node(_) if user.node_name().is_some() => incomplete(&mut review, "node"),
                Authorizer::Webhook(_) => incomplete(&mut review, "webhook"),
                Authorizer::Rbac(rbac) => {
                    let resolved = rbac.rules_for(user, namespace);
                    review.rules.extend(resolved.rules);
                    review.errors.extend(resolved.errors);
                }
                Authorizer::Abac(abac) => review.rules.extend(abac.rules_for(user, namespace)),
                Authorizer::AlwaysAllow => review.rules.extend(Rule::full_authority()),
                Authorizer::Node(_) | Authorizer::AlwaysDeny => {}
            }
        }
        review
    }

    /// What was decided.
    pub(crate) fn counts(&self) -> &AuthzCounts {
        &self.parts.counts
    }

    /// Whether what a list selects counts.
    pub fn by_selectors(&self) -> bool {
        self.by_selectors
    }

    /// The rules by subject, whether or not RBAC is one of the modes: the escalation check reads them.
    pub fn rbac(&self) -> &Rbac {
        &self.parts.rbac
    }

    /// Puts another chain in place of this one.
    fn replace(&self, configuration: &Configuration) -> Result<(), String> {
        let chain = self.parts.chain(configuration)?;
        *self.chain.write() = chain;
        Ok(())
    }
}

impl Parts {
    fn chain(&self, configuration: &Configuration) -> Result<Arc<[Link]>, String> {
        let late = |mode: Mode| {
            let mode = mode.name();
            format!("authorizer type {mode} is not allowed if it was not enabled at initial server startup")
        };
        let link = |entry: &configuration::Entry| {
            Ok(match (entry.mode, &entry.webhook) {
                (Mode::Rbac, _) => Authorizer::Rbac(self.rbac.clone()),
                (Mode::AlwaysAllow, _) => Authorizer::AlwaysAllow,
                (Mode::AlwaysDeny, _) => Authorizer::AlwaysDeny,
                (Mode::Node, _) => Authorizer::Node(self.node.clone().ok_or_else(|| late(entry.mode))?),
                (Mode::Abac, _) => Authorizer::Abac(self.abac.clone().ok_or_else(|| late(entry.mode))?),
                (Mode::Webhook, webhook) => {
                    let (Some(webhook), Some(hooks)) = (webhook, &self.hooks) else {
                        return Err(late(entry.mode));
                    };
                    Authorizer::Webhook(Arc::new(hooks.webhook(&entry.name, webhook, &self.counts)?))
                }
            })
        };
        let counted = |entry: &configuration::Entry| {
            let decisions = self.counts.of(entry.mode.name(), &entry.name);
            link(entry).map(|authorizer| Link { authorizer, decisions })
        };
        configuration.authorizers.iter().map(counted).collect()
    }
}

impl Hooks {
    fn webhook(
        &self,
        name: &str,
        entry: &WebhookEntry,
        counts: &Arc<AuthzCounts>,
    ) -> Result<Webhook, String> {
        let path: &PathBuf = &entry.kubeconfig;
        let agent = format!("kube-apiserver/{}", self.profile.git_version());
        let hook = WebhookClient::from_file(&self.host, path, self.profile.go(), &agent);
        let hook = hook.map_err(|e| e.to_string())?.with_timeout(entry.timeout);
        let mut errors = Vec::new();
        let rules: Vec<&str> = entry.conditions.iter().map(String::as_str).collect();
        let conditions = Conditions::parse("matchConditions", &rules, &mut errors);
        if let Some(error) = errors.first() {
            return Err(error.to_string());
        }
        let settings = Settings {
            name: name.to_owned(),
            version: entry.version,
            authorized: entry.authorized,
            unauthorized: entry.unauthorized,
            on_error: entry.on_error,
            conditions,
        };
        Ok(Webhook::new(&self.host, hook, settings).counting(counts))
    }
}

impl std::fmt::Debug for Authz {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authz({} authorizers)", self.chain.read().len())
    }
}

#[cfg(test)]
mod tests;
