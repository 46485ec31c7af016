//! Rules by subject: who holds which roles, everywhere or in one namespace.
//!
//! Four informers feed the tables; a change marks the index stale, and the next question rebuilds it
//! from the compiled rules. Reading is a lookup by user name and one per group, without allocation.
//! When the informers stand still, so does what everybody may do.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use api::object::ObjectExt as _;
use client::{Change, Informer};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use super::{Attributes, Decision, Verdict, rule::Rule};
use crate::{
    identity::{SERVICE_ACCOUNT_PREFIX, User},
    informers::Informers,
    policy::GROUP,
};

/// Namespace (empty for cluster scope) and name.
type Key = (String, String);

/// The RBAC authorizer.
pub struct Rbac {
    tables: Mutex<Tables>,
    stale: AtomicBool,
    index: RwLock<Arc<Index>>,
}

#[derive(Default)]
struct Tables {
    roles: BTreeMap<Key, Arc<[Rule]>>,
    bindings: BTreeMap<Key, Arc<Binding>>,
}

/// A binding, read.
#[derive(Debug)]
struct Binding {
    namespace: String,
    name: String,
    role_kind: String,
    role_name: String,
    subjects: Vec<Subject>,
}

#[derive(Clone, Debug)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

/// Upstream's answer when a binding names a role that is not there.
fn missing_role(kind: &str, name: &str) -> String {
    match kind {
        "Role" => format!("role.{GROUP} {name:?} not found"),
        "ClusterRole" => format!("clusterrole.{GROUP} {name:?} not found"),
        other => format!("unsupported role reference kind: {other:?}"),
    }
}

/// One role held through one binding.
struct Grant {
    binding: Arc<Binding>,
    subject: usize,
    /// The rules, or why there are none.
    rules: Result<Arc<[Rule]>, String>,
}

#[derive(Default)]
struct Scope {
    users: HashMap<String, Vec<Grant>>,
    groups: HashMap<String, Vec<Grant>>,
}

#[derive(Default)]
struct Index {
    cluster: Scope,
    namespaces: HashMap<String, Scope>,
}

/// The rules that somebody holds, and what could not be resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The rules, in the order in which they were found.
    pub rules: Vec<Rule>,
    /// Bindings to roles that do not exist.
    pub errors: Vec<String>,
}

impl Rbac {
    /// An authorizer that follows the four kinds' informers.
    pub fn new(informers: &Informers) -> Arc<Self> {
        let this = Arc::new(Self {
            tables: Mutex::default(),
            stale: AtomicBool::new(true),
            index: RwLock::default(),
        });
        for informer in [&informers.roles, &informers.cluster_roles] {
            this.follow(informer, |tables, key, object| match object {
                Some(role) => {
                    let rules = role.list_at("/rules").iter().map(Rule::from_value).collect();
                    tables.roles.insert(key, rules);
                }
                None => {
                    tables.roles.remove(&key);
                }
            });
        }
        for informer in [&informers.role_bindings, &informers.cluster_role_bindings] {
            this.follow(informer, |tables, key, object| match object {
                Some(binding) => {
                    tables.bindings.insert(key, Arc::new(Binding::read(binding)));
                }
                None => {
                    tables.bindings.remove(&key);
                }
            });
        }
        this
    }

    fn follow(
        self: &Arc<Self>,
        informer: &Informer,
        apply: impl Fn(&mut Tables, Key, Option<&Value>) + Send + Sync + 'static,
    ) {
        // The informer outlives its reader otherwise, and the reader the informer.
        let this = Arc::downgrade(self);
        informer.on(move |change| {
            let Some(this) = this.upgrade() else { return };
            let (object, present) = match change {
                Change::Added(object) | Change::Updated { new: object, .. } => (object, true),
                Change::Deleted(object) => (object, false),
            };
            let key = (object.namespace().to_owned(), object.name().to_owned());
            apply(&mut this.tables.lock(), key, present.then_some(&**object));
            this.stale.store(true, Ordering::Release);
        });
    }

    fn index(&self) -> Arc<Index> {
        if self.stale.load(Ordering::Acquire) {
            let tables = self.tables.lock();
            // Under the lock: a change that comes now marks the index stale again.
            if self.stale.swap(false, Ordering::AcqRel) {
                *self.index.write() = Arc::new(Index::build(&tables));
            }
        }
        self.index.read().clone()
    }

    /// Allows what a rule of a role that the user holds allows.
    pub fn authorize(&self, request: &Attributes<'_>) -> Verdict {
        let index = self.index();
        let mut errors: Vec<String> = Vec::new();
        let found = index.grants(request.user, request.namespace).find(|grant| match &grant.rules {
            Ok(rules) => rules.iter().any(|rule| rule.allows(request)),
            Err(error) => {
                if !errors.contains(error) {
                    errors.push(error.clone());
                }
                false
            }
        });
        match found {
            Some(grant) => Verdict::new(Decision::Allow, format!("RBAC: allowed by {grant}")),
            None if errors.is_empty() => Verdict::no_opinion(""),
            None => Verdict::no_opinion(format!("RBAC: {}", aggregate(&errors))),
        }
    }

    /// All rules that `user` holds in `namespace` (empty: everywhere).
    pub fn rules_for(&self, user: &User, namespace: &str) -> Resolved {
        let mut resolved = Resolved::default();
        for grant in self.index().grants(user, namespace) {
            match &grant.rules {
                Ok(rules) => resolved.rules.extend(rules.iter().cloned()),
                Err(error) if resolved.errors.contains(error) => {}
                Err(error) => resolved.errors.push(error.clone()),
            }
        }
        resolved
    }
}

impl fmt::Debug for Rbac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = self.tables.lock();
        write!(f, "Rbac({} roles, {} bindings)", tables.roles.len(), tables.bindings.len())
    }
}

/// One error as it is, several as `[a, b]`.
pub(crate) fn aggregate(errors: &[String]) -> String {
    match errors {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

impl Binding {
    fn read(binding: &Value) -> Self {
        let subject = |subject: &Value| Subject {
            kind: subject.str_at("/kind").to_owned(),
            name: subject.str_at("/name").to_owned(),
            namespace: subject.str_at("/namespace").to_owned(),
        };
        Self {
            namespace: binding.namespace().to_owned(),
            name: binding.name().to_owned(),
            role_kind: binding.str_at("/roleRef/kind").to_owned(),
            role_name: binding.str_at("/roleRef/name").to_owned(),
            subjects: binding.list_at("/subjects").iter().map(subject).collect(),
        }
    }

    fn rules(&self, tables: &Tables) -> Result<Arc<[Rule]>, String> {
        let namespace = match self.role_kind.as_str() {
            "Role" => self.namespace.clone(),
            "ClusterRole" => String::new(),
            _ => return Err(missing_role(&self.role_kind, &self.role_name)),
        };
        let found = tables.roles.get(&(namespace, self.role_name.clone())).cloned();
        found.ok_or_else(|| missing_role(&self.role_kind, &self.role_name))
    }
}

impl Index {
    fn build(tables: &Tables) -> Self {
        let mut index = Self::default();
        for binding in tables.bindings.values() {
            let rules = binding.rules(tables);
            let scope = if binding.namespace.is_empty() {
                &mut index.cluster
            } else {
                index.namespaces.entry(binding.namespace.clone()).or_default()
            };
            for (subject, bound) in binding.subjects.iter().enumerate() {
                let grant = Grant { binding: binding.clone(), subject, rules: rules.clone() };
                match bound.kind.as_str() {
                    "User" => scope.users.entry(bound.name.clone()).or_default().push(grant),
                    "Group" => scope.groups.entry(bound.name.clone()).or_default().push(grant),
                    "ServiceAccount" => {
                        let namespace =
                            if bound.namespace.is_empty() { &binding.namespace } else { &bound.namespace };
                        if !namespace.is_empty() {
                            let user = format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{}", bound.name);
                            scope.users.entry(user).or_default().push(grant);
                        }
                    }
                    _ => {}
                }
            }
        }
        index
    }

    fn grants<'a>(&'a self, user: &'a User, namespace: &str) -> impl Iterator<Item = &'a Grant> {
        let local = if namespace.is_empty() { None } else { self.namespaces.get(namespace) };
        std::iter::once(&self.cluster).chain(local).flat_map(move |scope| {
            let own = scope.users.get(&user.name).into_iter();
            own.chain(user.groups.iter().filter_map(|group| scope.groups.get(group))).flatten()
        })
    }
}

/// `ClusterRoleBinding "b" of ClusterRole "r" to Group "g"`
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Binding { namespace, name, role_kind, role_name, subjects } = &*self.binding;
        if namespace.is_empty() {
            write!(f, "ClusterRoleBinding {name:?}")?;
        } else {
            write!(f, "RoleBinding {:?}", format!("{name}/{namespace}"))?;
        }
        write!(f, " of {role_kind} {role_name:?} to ")?;
        match subjects.get(self.subject) {
            Some(s) if s.kind == "ServiceAccount" => {
                let namespace = if s.namespace.is_empty() { namespace } else { &s.namespace };
                write!(f, "{} {:?}", s.kind, format!("{}/{namespace}", s.name))
            }
            Some(s) => write!(f, "{} {:?}", s.kind, s.name),
            None => Ok(()),
        }
    }
}
