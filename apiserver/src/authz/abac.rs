//! Attribute-based access control: a file of policies, one JSON object a line, read once at start.
//!
//! ```text
//! {"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"bob","resource":"pods",…}}
//! {"user":"bob","readonly":true,"resource":"pods"}        the form without a version, still taken
//! ```
//!
//! It allows or has no opinion; it never denies.

use std::path::{Path, PathBuf};

use api::object::json_type;
use serde_json::Value;
use world::{Disk, DiskError};

use super::{Attributes, Verdict, rule::Rule};
use crate::identity::{AUTHENTICATED, User};

const GROUP: &str = "abac.authorization.kubernetes.io";
const ALL: &str = "*";

/// A policy file that cannot be used, in upstream's words.
#[derive(Debug, thiserror::Error)]
pub enum AbacError {
    /// No file, or no right to read it.
    #[error("{0}")]
    Read(#[from] DiskError),
    /// A line that is no policy.
    #[error("error reading policy file {}, line {line}: {text}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line of it, from 1.
        line: usize,
        /// What is written there.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Not text at all.
    #[error("error reading policy file {}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// One policy, in the form of v1beta1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Policy {
    user: String,
    group: String,
    readonly: bool,
    api_group: String,
    namespace: String,
    resource: String,
    path: String,
}

/// The policies of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abac {
    policies: Vec<Policy>,
}

impl Abac {
    /// Reads a policy file.
    ///
    /// # Errors
    /// No file, or the first line that is no policy.
    pub fn file(disk: &Disk, path: &Path) -> Result<Self, AbacError> {
        let text = String::from_utf8(disk.read(path)?).map_err(|_| AbacError::File {
            path: path.to_owned(),
            why: "it is not UTF-8 text; write one JSON object a line there".to_owned(),
        })?;
        let mut policies = Vec::new();
        let mut unversioned = false;
        for (number, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let bad =
                |why| AbacError::Line { path: path.to_owned(), line: number + 1, text: line.to_owned(), why };
            let value: Value = serde_json::from_str(trimmed)
                .map_err(|e| bad(format!("couldn't get version/kind; json parse error: {e}")))?;
            let (policy, versioned) = Policy::read(&value).map_err(bad)?;
            unversioned |= !versioned;
            policies.push(policy);
        }
        if unversioned {
            tracing::warn!(
                "Policy file {} contained unversioned rules. See docs/admin/authorization.md#abac-mode for ABAC \
                 file format details.",
                path.display()
            );
        }
        Ok(Self { policies })
    }

    /// Allows what a policy allows.
    pub fn authorize(&self, request: &Attributes<'_>) -> Verdict {
        if self.policies.iter().any(|policy| policy.allows(request)) {
            return Verdict::allow();
        }
        Verdict::no_opinion("No policy matched.")
    }

    /// What `user` may do in `namespace`.
    pub fn rules_for(&self, user: &User, namespace: &str) -> Vec<Rule> {
        let theirs = self.policies.iter().filter(|policy| {
            policy.is_for(user) && (policy.namespace == ALL || policy.namespace == namespace)
        });
        theirs.flat_map(Policy::rules).collect()
    }
}

impl Policy {
    /// A line's policy, and whether the line says its version.
    fn read(value: &Value) -> Result<(Self, bool), String> {
        if !value.is_object() {
            let why = format!("json: cannot unmarshal {} into Go value of type struct", json_type(value));
            return Err(format!("couldn't get version/kind; json parse error: {why}"));
        }
        let (version, kind) = (text(value, "apiVersion", "")?, text(value, "kind", "")?);
        let spec = value.get("spec").filter(|spec| !spec.is_null());
        match (version.strip_prefix(GROUP).and_then(|v| v.strip_prefix('/')), kind.as_str()) {
            (Some("v1beta1"), "Policy") => Self::v1beta1(spec).map(|policy| (policy, true)),
            (Some("v0"), "Policy") => Self::v0(value).map(|policy| (policy, true)),
            // What says no version or no kind is taken for the old form.
            _ if version.is_empty() && matches!(kind.as_str(), "" | "Policy") => {
                Self::v0(value).map(|policy| (policy, false))
            }
            (Some("v0" | "v1beta1"), "") => Self::v0(value).map(|policy| (policy, false)),
            _ if version.is_empty() => Err(format!(
                "no kind {kind:?} is registered for version \"{GROUP}/v0\" in scheme \"pkg/apis/abac/register.go\""
            )),
            _ => Err(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/apis/abac/register.go\""
            )),
        }
    }

    fn v1beta1(spec: Option<&Value>) -> Result<Self, String> {
        let Some(spec) = spec else { return Ok(Self::default()) };
        if !spec.is_object() {
            let found = json_type(spec);
            return Err(format!(
                "json: cannot unmarshal {found} into Go struct field Policy.spec of type v1beta1.PolicySpec"
            ));
        }
        let field = |name: &str| text(spec, name, "spec.");
        let policy = Self {
            user: field("user")?,
            group: field("group")?,
            readonly: flag(spec, "readonly", "spec.")?,
            api_group: field("apiGroup")?,
            namespace: field("namespace")?,
            resource: field("resource")?,
            path: field("nonResourcePath")?,
        };
        Ok(policy.for_everybody_who_is_known())
    }

    /// The old form, where what is left out is everything.
    fn v0(line: &Value) -> Result<Self, String> {
        let field = |name: &str| text(line, name, "");
        let (mut user, mut group) = (field("user")?, field("group")?);
        let or_all = |word: String| if word.is_empty() { ALL.to_owned() } else { word };
        let (namespace, resource) = (field("namespace")?, field("resource")?);
        let path = if namespace.is_empty() && resource.is_empty() { ALL } else { "" }.to_owned();
        if user.is_empty() && group.is_empty() {
            (user, group) = (String::new(), AUTHENTICATED.to_owned());
        }
        let policy = Self {
            user,
            group,
            readonly: flag(line, "readonly", "")?,
            api_group: ALL.to_owned(),
            namespace: or_all(namespace),
            resource: or_all(resource),
            path,
        };
        Ok(policy.for_everybody_who_is_known())
    }

    /// A star for the user or the group is everybody who proved an identity, and the other one does not matter.
    fn for_everybody_who_is_known(mut self) -> Self {
        if self.user == ALL || self.group == ALL {
            self.user.clear();
            AUTHENTICATED.clone_into(&mut self.group);
        }
        self
    }

    fn allows(&self, request: &Attributes<'_>) -> bool {
        let is = |held: &str, wanted: &str| held == ALL || held == wanted;
        self.is_for(request.user)
            && (!self.readonly || request.is_read_only())
            && match request.resource_request {
                true => {
                    is(&self.namespace, request.namespace)
                        && is(&self.resource, request.resource)
                        && is(&self.api_group, request.group)
                }
                false => self.reaches(request.path),
            }
    }

    fn reaches(&self, path: &str) -> bool {
        let prefix = self.path.strip_suffix('*').map(|prefix| prefix.trim_end_matches('*'));
        self.path == path || prefix.is_some_and(|prefix| path.starts_with(prefix))
    }

    /// Without a user and without a group it is for nobody; with both it is for who is both.
    fn is_for(&self, user: &User) -> bool {
        (!self.user.is_empty() || !self.group.is_empty())
            && (self.user.is_empty() || self.user == user.name)
            && (self.group.is_empty() || user.is_in(&self.group))
    }

    /// As rules of RBAC: one for resources, one for paths.
    fn rules(&self) -> impl Iterator<Item = Rule> + '_ {
        let one = |word: &String| vec![word.clone()];
        let verbs = || {
            let verbs: &[&str] = if self.readonly { &["get", "list", "watch"] } else { &[ALL] };
            verbs.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()
        };
        let resource = (!self.resource.is_empty()).then(|| Rule {
            verbs: verbs(),
            api_groups: one(&self.api_group),
            resources: one(&self.resource),
            ..Rule::default()
        });
        let path = (!self.path.is_empty()).then(|| Rule {
            verbs: verbs(),
            non_resource_urls: one(&self.path),
            ..Rule::default()
        });
        resource.into_iter().chain(path)
    }
}

fn wrong(value: &Value, at: &str, name: &str, wanted: &str) -> String {
    let holder = if at.is_empty() { "Policy" } else { "PolicySpec" };
    format!(
        "json: cannot unmarshal {} into Go struct field {holder}.{at}{name} of type {wanted}",
        json_type(value)
    )
}

fn text(holder: &Value, name: &str, at: &str) -> Result<String, String> {
    match holder.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(wrong(other, at, name, "string")),
    }
}

fn flag(holder: &Value, name: &str, at: &str) -> Result<bool, String> {
    match holder.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong(other, at, name, "bool")),
    }
}
