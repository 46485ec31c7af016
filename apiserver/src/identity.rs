//! Who is asking: the user that authentication makes and that everything after it judges.

use std::collections::BTreeMap;

use api::names::{is_dns1123_label, is_dns1123_subdomain};
use serde_json::{Map, Value, json};

/// The group that is allowed everything.
pub const MASTERS: &str = "system:masters";
/// The group of everyone who proved an identity.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everyone who did not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user that a request without any credential acts as.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of all kubelets.
pub const NODES: &str = "system:nodes";
/// What a kubelet's user name begins with; the node's name follows.
pub const NODE_USER_PREFIX: &str = "system:node:";
/// What a service account's user name begins with; `<namespace>:<name>` follows.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// Key in [`User::extra`] that names the credential used.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// An identity, as `authentication.k8s.io/v1 UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Unique among active users.
    pub name: String,
    /// Unique over time; empty where nothing gives one.
    pub uid: String,
    /// Groups, in the order in which they were learnt.
    pub groups: Vec<String>,
    /// What else the authenticator knows.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user with a name and groups only.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|g| (*g).to_owned()).collect();
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// Who asks without any credential.
    pub fn anonymous() -> Self {
        Self::new(ANONYMOUS, &[UNAUTHENTICATED])
    }

    /// The identity that a service account's tokens prove.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            name: format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            uid: uid.to_owned(),
            groups: Self::service_account_groups(namespace).to_vec(),
            extra: BTreeMap::new(),
        }
    }

    /// The groups of every service account of a namespace.
    pub fn service_account_groups(namespace: &str) -> [String; 2] {
        ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
    }

    /// Whether the user is in `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node that this user is the kubelet of. `Some("")` for a kubelet that names no node:
    /// that is an identity, only a useless one.
    pub fn node_name(&self) -> Option<&str> {
        let name = self.name.strip_prefix(NODE_USER_PREFIX)?;
        self.is_in(NODES).then_some(name)
    }

    /// Namespace and name of the service account that this user is: a name with the prefix that no account could
    /// have is anybody's.
    pub fn service_account_name(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.name.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
        (is_dns1123_label(namespace) && is_dns1123_subdomain(name)).then_some((namespace, name))
    }

    /// Adds `system:authenticated`, unless the user is anonymous or the groups already say which of
    /// the two it is.
    pub(crate) fn mark_authenticated(&mut self) {
        if self.name != ANONYMOUS && !self.is_in(AUTHENTICATED) && !self.is_in(UNAUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
    }

    /// The user of a review.
    pub fn from_value(user: &Value) -> Self {
        let texts = |list: &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let text = |key: &str| user.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let extra = user.get("extra").and_then(Value::as_object).into_iter().flatten();
        Self {
            name: text("username"),
            uid: text("uid"),
            groups: user.get("groups").map(texts).unwrap_or_default(),
            extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
        }
    }

    /// As the `userInfo` or `user` of a review; fields without content are left out.
    pub fn to_value(&self) -> Value {
        let mut user = Map::new();
        let mut put = |key: &str, value: Value, is_empty: bool| {
            if !is_empty {
                user.insert(key.to_owned(), value);
            }
        };
        put("username", json!(self.name), self.name.is_empty());
        put("uid", json!(self.uid), self.uid.is_empty());
        put("groups", json!(self.groups), self.groups.is_empty());
        put("extra", json!(self.extra), self.extra.is_empty());
        Value::Object(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_name_with_the_prefix_in_the_group() {
        let check = |name: &str, groups: &[&str], node: Option<&str>| {
            assert_eq!(User::new(name, groups).node_name(), node, "{name} in {groups:?}");
        };
        check("system:node:n1", &["system:nodes"], Some("n1"));
        check("system:node:n1", &["system:authenticated", "system:nodes"], Some("n1"));
        check("system:node:", &["system:nodes"], Some(""));
        check("system:node:n1", &[], None);
        check("n1", &["system:nodes"], None);
    }

    #[test]
    fn a_service_account_has_a_namespace_and_a_name() {
        let check = |name: &str, account: Option<(&str, &str)>| {
            assert_eq!(User::new(name, &[]).service_account_name(), account, "{name}");
        };
        check("system:serviceaccount:ns:robot", Some(("ns", "robot")));
        check("system:serviceaccount:ns:robot.v2", Some(("ns", "robot.v2")));
        check("system:serviceaccount:ns:robot:x", None);
        check("system:serviceaccount:ns", None);
        check("system:serviceaccount:ns:", None);
        check("system:serviceaccount::robot", None);
        check("system:serviceaccount:n.s:robot", None);
        check("system:serviceaccount:NS:robot", None);
        check("jane", None);
    }

    #[test]
    fn authenticated_is_added_once_and_never_to_the_anonymous() {
        let check = |mut user: User, groups: &[&str]| {
            user.mark_authenticated();
            assert_eq!(user.groups, groups, "{}", user.name);
        };
        check(User::new("jane", &["dev"]), &["dev", "system:authenticated"]);
        check(User::new("jane", &["system:authenticated"]), &["system:authenticated"]);
        check(User::new("jane", &["system:unauthenticated"]), &["system:unauthenticated"]);
        check(User::anonymous(), &["system:unauthenticated"]);
    }
}
