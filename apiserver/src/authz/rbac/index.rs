//! The tables behind [`Rbac`](super::Rbac): roles in numbered places, and grants by subject that name a place.
//!
//! ```text
//!   cluster ┐                     ┌ users:  name ─▶ grants ┐
//!           ├ scope of a namespace┤                        ├ grant: binding, place of its role, reason
//!   ns      ┘                     └ groups: name ─▶ grants ┘
//! ```
//!
//! A role that changes changes in its place, whoever holds it. A place is kept while there is a role or a grant of it.

use std::{collections::HashMap, fmt, sync::Arc};

use api::object::ObjectExt as _;
use serde_json::Value;

use crate::{
    authz::rule::Rule,
    identity::{SERVICE_ACCOUNT_PREFIX, User},
    policy::GROUP,
};

/// Namespace (empty for cluster scope) and name.
type Key = (String, String);

/// Hashed maps are asked by key only: their order must not show.
#[derive(Default)]
pub(super) struct Index {
    places: Vec<Place>,
    free: Vec<usize>,
    roles: HashMap<Key, usize>,
    bindings: HashMap<Key, Binding>,
    cluster: Scope,
    namespaces: HashMap<String, Scope>,
}

/// Where a role is, or would be.
struct Place {
    key: Key,
    rules: Option<Arc<[Rule]>>,
    /// What is said of a grant of it when there is no such role.
    missing: String,
    grants: usize,
}

#[derive(Default)]
struct Scope {
    users: HashMap<String, Vec<Grant>>,
    groups: HashMap<String, Vec<Grant>>,
}

/// One role held through one binding.
pub(super) struct Grant {
    /// Name of the binding: grants of one subject are in this order.
    binding: Arc<str>,
    /// Which of its subjects.
    subject: usize,
    /// The role, or why there can be none.
    role: Result<usize, Arc<str>>,
    /// `RBAC: allowed by …`
    pub(super) reason: Arc<str>,
}

/// What a binding put into the index, to take it out again.
struct Binding {
    name: Arc<str>,
    role: Result<usize, Arc<str>>,
    subjects: Vec<Holder>,
}

/// Whose grants to look in.
enum Holder {
    User(String),
    Group(String),
}

impl Index {
    /// Puts a role into its place, or takes it away.
    pub(super) fn set_role(&mut self, namespace: &str, name: &str, rules: Option<Arc<[Rule]>>) {
        let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
        let place = self.place(kind, namespace, name);
        if let Some(held) = self.places.get_mut(place) {
            held.rules = rules;
        }
        self.tidy(place);
    }

    /// Reads a binding anew, or forgets it.
    pub(super) fn set_binding(&mut self, namespace: &str, name: &str, object: Option<&Value>) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(old) = self.bindings.remove(&key) {
            self.withdraw(namespace, old);
        }
        let Some(object) = object else { return };
        let (kind, role_name) = (object.str_at("/roleRef/kind"), object.str_at("/roleRef/name"));
        let role = match kind {
            "Role" if namespace.is_empty() => Err(missing(kind, role_name).into()),
            "Role" => Ok(self.place(kind, namespace, role_name)),
            "ClusterRole" => Ok(self.place(kind, "", role_name)),
            other => Err(Arc::from(format!("unsupported role reference kind: {other:?}"))),
        };
        let mut binding = Binding { name: name.into(), role, subjects: Vec::new() };
        let scope = match namespace.is_empty() {
            true => &mut self.cluster,
            false => self.namespaces.entry(namespace.to_owned()).or_default(),
        };
        for (number, subject) in object.list_at("/subjects").iter().enumerate() {
            let Some(holder) = Holder::of(subject, namespace) else { continue };
            let grant = Grant {
                binding: binding.name.clone(),
                subject: number,
                role: binding.role.clone(),
                reason: reason(namespace, name, kind, role_name, subject).into(),
            };
            let grants = scope.grants(&holder);
            let order = |g: &Grant| (&*g.binding, g.subject) < (&*grant.binding, grant.subject);
            let at = grants.partition_point(order);
            grants.insert(at, grant);
            binding.subjects.push(holder);
        }
        if let Ok(place) = binding.role
            && let Some(place) = self.places.get_mut(place)
        {
            place.grants += 1;
        }
        self.bindings.insert(key, binding);
    }

    fn withdraw(&mut self, namespace: &str, binding: Binding) {
        let scope = match namespace.is_empty() {
            true => Some(&mut self.cluster),
            false => self.namespaces.get_mut(namespace),
        };
        if let Some(scope) = scope {
            for holder in &binding.subjects {
                scope.remove(holder, &binding.name);
            }
            if scope.users.is_empty() && scope.groups.is_empty() && !namespace.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
        let Ok(place) = binding.role else { return };
        if let Some(held) = self.places.get_mut(place) {
            held.grants -= 1;
        }
        self.tidy(place);
    }

    /// The place of a role, a new one if it has none.
    fn place(&mut self, kind: &str, namespace: &str, name: &str) -> usize {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(place) = self.roles.get(&key) {
            return *place;
        }
        let new = Place { key: key.clone(), rules: None, missing: missing(kind, name), grants: 0 };
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(held) => *held = new,
            None => self.places.push(new),
        }
        self.roles.insert(key, place);
        place
    }

    /// Gives up a place that holds no role and that no grant names.
    fn tidy(&mut self, place: usize) {
        let Some(held) = self.places.get(place) else { return };
        if held.rules.is_none() && held.grants == 0 {
            self.roles.remove(&held.key);
            self.free.push(place);
        }
    }

    /// Shows `see` each grant of `user` that counts in `namespace`, with its rules or why there are none, until it
    /// has seen enough.
    pub(super) fn visit<'a>(
        &'a self,
        user: &User,
        namespace: &str,
        mut see: impl FnMut(&'a Grant, Result<&'a [Rule], &'a str>) -> bool,
    ) {
        let local = if namespace.is_empty() { None } else { self.namespaces.get(namespace) };
        for scope in std::iter::once(&self.cluster).chain(local) {
            let own = scope.users.get(&user.name);
            let shared = user.groups.iter().filter_map(|group| scope.groups.get(group));
            for grant in own.into_iter().chain(shared).flatten() {
                if see(grant, self.rules(grant)) {
                    return;
                }
            }
        }
    }

    fn rules<'a>(&'a self, grant: &'a Grant) -> Result<&'a [Rule], &'a str> {
        match &grant.role {
            Ok(place) => match self.places.get(*place) {
                Some(Place { rules: Some(rules), .. }) => Ok(rules),
                Some(place) => Err(&place.missing),
                None => Ok(&[]),
            },
            Err(why) => Err(why),
        }
    }
}

impl Scope {
    fn grants(&mut self, holder: &Holder) -> &mut Vec<Grant> {
        match holder {
            Holder::User(name) => self.users.entry(name.clone()).or_default(),
            Holder::Group(name) => self.groups.entry(name.clone()).or_default(),
        }
    }

    fn remove(&mut self, holder: &Holder, binding: &str) {
        let (table, name) = match holder {
            Holder::User(name) => (&mut self.users, name),
            Holder::Group(name) => (&mut self.groups, name),
        };
        if let Some(grants) = table.get_mut(name) {
            grants.retain(|grant| &*grant.binding != binding);
            if grants.is_empty() {
                table.remove(name);
            }
        }
    }
}

impl Holder {
    fn of(subject: &Value, namespace: &str) -> Option<Self> {
        let name = subject.str_at("/name").to_owned();
        match subject.str_at("/kind") {
            "User" => Some(Self::User(name)),
            "Group" => Some(Self::Group(name)),
            "ServiceAccount" => {
                let namespace = account_namespace(subject, namespace);
                let user = || Self::User(format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"));
                (!namespace.is_empty()).then(user)
            }
            _ => None,
        }
    }
}

/// A service account without a namespace is one of the binding's.
fn account_namespace<'a>(subject: &'a Value, namespace: &'a str) -> &'a str {
    let own = subject.str_at("/namespace");
    if own.is_empty() { namespace } else { own }
}

/// Upstream's words for a role that is not there.
fn missing(kind: &str, name: &str) -> String {
    format!("{}.{GROUP} {name:?} not found", kind.to_ascii_lowercase())
}

/// `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "g"`
fn reason(namespace: &str, name: &str, kind: &str, role: &str, subject: &Value) -> String {
    let binding = match namespace.is_empty() {
        true => format!("ClusterRoleBinding {name:?}"),
        false => format!("RoleBinding {:?}", format!("{name}/{namespace}")),
    };
    let (subject_kind, mut subject_name) = (subject.str_at("/kind"), subject.str_at("/name").to_owned());
    if subject_kind == "ServiceAccount" {
        subject_name = format!("{subject_name}/{}", account_namespace(subject, namespace));
    }
    format!("RBAC: allowed by {binding} of {kind} {role:?} to {subject_kind} {subject_name:?}")
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} roles, {} bindings", self.roles.len(), self.bindings.len())
    }
}
