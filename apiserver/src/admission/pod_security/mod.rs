//! PodSecurity: the Pod Security Standards, as a namespace's labels ask for them.
//!
//! Pods are refused by `enforce`; `warn` and `audit` speak of pods and of all that makes pods from a
//! template. A namespace that begins to enforce more is told which of its pods would not pass.

mod checks;
pub(super) mod config;
mod existing;
mod policy;

use api::{
    object::ObjectExt as _,
    status::{FieldError, Status},
};
use serde_json::Value;

use super::{Operation, Review, Tools, namespaces};
use checks::Finding;
use config::Config;
use policy::{Level, LevelVersion, Policy};

const ANNOTATION: &str = "pod-security.kubernetes.io/";
/// Subresources of pods that do not carry a pod.
const IGNORED: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];
/// The release in which who enforces is warned as strictly.
const WARN_FOLLOWS_SINCE: u16 = 26;
/// The last release in which a changed seccomp annotation was judged anew.
const LAST_SECCOMP_ANNOTATION: u16 = 26;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PodSecurity {
    config: Config,
}

impl PodSecurity {
    /// With a section of the admission configuration, or none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(section: Option<&Value>) -> Result<Self, String> {
        Ok(Self { config: section.map(Config::read).transpose()?.unwrap_or_default() })
    }

    pub(super) async fn validate(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        if !matches!(review.operation, Operation::Create | Operation::Update) {
            return Ok(());
        }
        match (review.group, review.resource) {
            ("", "namespaces") if review.subresource.is_empty() => self.namespace(tools, review),
            ("", "pods") if !IGNORED.contains(&review.subresource) => self.pod(tools, review).await,
            _ if review.subresource.is_empty() => {
                if let Some((metadata, spec)) = template_of(review) {
                    self.template(tools, review, metadata, spec).await;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn policy_of(&self, tools: &Tools, namespace: &Value) -> (Policy, Vec<FieldError>) {
        let warn_follows = tools.profile.minor() >= WARN_FOLLOWS_SINCE;
        Policy::of(namespace, &self.config.defaults, warn_follows)
    }

    /// Labels must be readable when they are set; what exists is looked at when more is enforced.
    fn namespace(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        let Some(namespace) = review.new_object() else { return Ok(()) };
        let (new, wrong) = self.policy_of(tools, namespace);
        let is_exempt = self.config.namespaces.contains(review.namespace);
        let exempt_warning = || {
            if !new.is_privileged() && !new.is_equivalent(&self.config.defaults) {
                review.remarks.warn(format!(
                    "namespace {:?} is exempt from Pod Security, and the policy ({}) will be ignored",
                    namespace.name(),
                    new.compact(namespace)
                ));
            }
        };
        let invalid = |wrong| Err(Status::invalid("Namespace", review.object_name(), wrong));
        let Some(old) = review.old.filter(|_| review.operation == Operation::Update) else {
            if !wrong.is_empty() {
                return invalid(wrong);
            }
            if is_exempt {
                exempt_warning();
            }
            return Ok(());
        };
        let (old, old_wrong) = self.policy_of(tools, old);
        if !wrong.is_empty() && wrong != old_wrong {
            return invalid(wrong);
        }
        let (to, from) = (new.enforce, old.enforce);
        if to == from || to.level == Level::Privileged || to.version == from.version && to.level <= from.level
        {
            return Ok(());
        }
        if is_exempt {
            exempt_warning();
        } else {
            existing::warn(tools, review, &self.config, namespace.name(), to);
        }
        Ok(())
    }

    async fn pod(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        if self.is_exempt(review) {
            return Ok(());
        }
        let namespace = match namespaces::find(tools, review.namespace).await {
            Ok(namespace) => namespace,
            Err(error) => {
                let status =
                    Status::internal(format_args!("failed to lookup namespace {:?}", review.namespace));
                annotate(review, "error", format!("{}: {error}", status.message));
                return Err(status);
            }
        };
        let (policy, wrong) = self.policy_of(tools, &namespace);
        if wrong.is_empty() && policy.is_privileged() {
            annotate(review, "enforce-policy", policy.enforce.to_string());
            return Ok(());
        }
        let Some(pod) = review.new_object() else { return Ok(()) };
        if let Some(old) = review.old.filter(|_| review.operation == Operation::Update)
            && !is_significant(pod, old, tools.profile.minor() <= LAST_SECCOMP_ANNOTATION)
        {
            return Ok(());
        }
        let (metadata, spec) = (pod.get("metadata"), pod.get("spec"));
        self.judge(tools, review, Case { policy, wrong, metadata, spec, is_enforced: true })
    }

    async fn template(&self, tools: &Tools, review: &Review<'_>, metadata: Option<&Value>, spec: &Value) {
        if self.is_exempt(review) {
            return;
        }
        let namespace = match namespaces::find(tools, review.namespace).await {
            Ok(namespace) => namespace,
            Err(error) => {
                let why = format!("failed to lookup namespace {:?}: {error}", review.namespace);
                return annotate(review, "error", why);
            }
        };
        let (policy, wrong) = self.policy_of(tools, &namespace);
        let is_silent = [policy.warn, policy.audit].iter().all(|mode| mode.level == Level::Privileged);
        if !(wrong.is_empty() && is_silent) {
            // Nothing is enforced on templates, so nothing can be refused.
            let case = Case { policy, wrong, metadata, spec: Some(spec), is_enforced: false };
            let _ = self.judge(tools, review, case);
        }
    }

    fn is_exempt(&self, review: &Review<'_>) -> bool {
        let why = if self.config.namespaces.contains(review.namespace) {
            "namespace"
        } else if self.config.usernames.contains(&review.user.name) {
            "user"
        } else {
            return false;
        };
        annotate(review, "exempt", why);
        true
    }

    fn judge(&self, tools: &Tools, review: &Review<'_>, case: Case<'_>) -> Result<(), Status> {
        let Case { policy, wrong, metadata, spec, is_enforced } = case;
        let (metadata, spec) = (metadata.unwrap_or(&Value::Null), spec.unwrap_or(&Value::Null));
        if self.config.runtime_classes.contains(spec.str_at("/runtimeClassName")) {
            annotate(review, "exempt", "runtimeClass");
            return Ok(());
        }
        if !wrong.is_empty() {
            annotate(review, "error", format!("Failed to parse policy: {}", config::joined(wrong)));
        }
        let release = u64::from(tools.profile.minor());
        let found = |mode: LevelVersion| checks::evaluate(mode, metadata, spec, release);
        let would = |mode: LevelVersion, findings: &[Finding]| {
            format!("would violate PodSecurity \"{mode}\": {}", checks::in_detail(findings))
        };
        let enforced = if is_enforced {
            annotate(review, "enforce-policy", policy.enforce.to_string());
            found(policy.enforce)
        } else {
            Vec::new()
        };
        let audited = found(policy.audit);
        if !audited.is_empty() {
            annotate(review, "audit-violations", would(policy.audit, &audited));
        }
        if !enforced.is_empty() {
            let why =
                format!("violates PodSecurity \"{}\": {}", policy.enforce, checks::in_detail(&enforced));
            return Err(Status::forbidden("pods", review.object_name(), why));
        }
        let warned = found(policy.warn);
        if !warned.is_empty() {
            review.remarks.warn(would(policy.warn, &warned));
        }
        Ok(())
    }
}

/// What is judged: a pod, or what the pods of a template will be.
struct Case<'a> {
    /// The namespace's.
    policy: Policy,
    /// What could not be read of it.
    wrong: Vec<FieldError>,
    metadata: Option<&'a Value>,
    spec: Option<&'a Value>,
    /// Nothing is enforced on templates.
    is_enforced: bool,
}

fn annotate(review: &Review<'_>, key: &str, value: impl Into<String>) {
    review.remarks.annotate(&format!("{ANNOTATION}{key}"), value);
}

/// Metadata and spec of the pods that an object makes.
fn template_of<'a>(review: &'a Review<'_>) -> Option<(Option<&'a Value>, &'a Value)> {
    let at = match (review.group, review.resource) {
        ("", "podtemplates") => "/template",
        ("", "replicationcontrollers")
        | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => "/spec/template",
        ("batch", "cronjobs") => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    let template = review.new_object()?.at(at)?;
    Some((template.get("metadata"), template.get("spec")?))
}

/// Whether an update changes anything that is checked: what can change in a pod are its images and its
/// ephemeral containers.
fn is_significant(new: &Value, old: &Value, with_seccomp: bool) -> bool {
    let changed = |container: &Value, before: &Value| {
        let key = || format!("container.seccomp.security.alpha.kubernetes.io/{}", container.str_at("/name"));
        container.str_at("/image") != before.str_at("/image")
            || with_seccomp && new.annotation(&key()) != old.annotation(&key())
    };
    for list in ["/spec/containers", "/spec/initContainers"] {
        let (now, before) = (new.list_at(list), old.list_at(list));
        if now.len() != before.len() || now.iter().zip(before).any(|(c, b)| changed(c, b)) {
            return true;
        }
    }
    let before = old.list_at("/spec/ephemeralContainers");
    new.list_at("/spec/ephemeralContainers").iter().any(|container| {
        let held = before.iter().find(|b| b.str_at("/name") == container.str_at("/name"));
        held.is_none_or(|held| changed(container, held))
    })
}
