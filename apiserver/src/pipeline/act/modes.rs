//! What allows somebody to be somebody else: the verb `impersonate`, which allows everything that the other may do,
//! or one of the verbs that are for some requests alone (KEP-5284; `pkg/endpoints/filters/impersonation` of the
//! apiserver's library).
//!
//! | mode | for | permissions |
//! |---|---|---|
//! | `associated-node` | service accounts, of the node that their token is bound to | `impersonate:associated-node` on nodes `*` |
//! | `arbitrary-node` | any node | `impersonate:arbitrary-node` on the node |
//! | `serviceaccount` | service accounts | `impersonate:serviceaccount` on the account |
//! | `user-info` | anybody else, with groups, UID and extra | `impersonate:user-info` on each of them |
//! | legacy | anybody | `impersonate` on each part |
//!
//! All but the last need `impersonate-on:<mode>:<verb>` on what is requested besides. Upstream remembers for ten
//! seconds who may; here each request is asked about.

use std::collections::BTreeMap;

use api::{
    names::is_dns1123_subdomain,
    status::{FieldError, Status},
};
use parking_lot::Mutex;

use crate::{
    authz::{Attributes, Authz},
    identity::{ANONYMOUS, MASTERS, NODE_USER_PREFIX, NODES, UNAUTHENTICATED, User},
};

const IDENTITIES: &str = "authentication.k8s.io";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// In place of all else that is known of a service account which becomes its own node.
const NODE_KEYS: &str = "authentication.kubernetes.io/associated-node-keys";
/// From so many groups or extra values on, all of them are asked about at once before each by itself.
const MANY: usize = 4;
/// Users whose last way is remembered; when they are more, all are forgotten.
const MOST_REMEMBERED: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Legacy,
}

impl Mode {
    const ALL: [Mode; 5] =
        [Self::AssociatedNode, Self::ArbitraryNode, Self::ServiceAccount, Self::UserInfo, Self::Legacy];

    fn verb(self) -> &'static str {
        match self {
            Self::AssociatedNode => "impersonate:associated-node",
            Self::ArbitraryNode => "impersonate:arbitrary-node",
            Self::ServiceAccount => "impersonate:serviceaccount",
            Self::UserInfo => "impersonate:user-info",
            Self::Legacy => "impersonate",
        }
    }

    /// The verb on the request itself.
    fn on(self, verb: &str) -> String {
        format!("impersonate-on:{}:{verb}", self.verb().trim_start_matches("impersonate:"))
    }

    /// Whether it is for this user at all.
    fn is_for(self, wanted: &User, requestor: &User) -> bool {
        let name_only = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        let (node, account) = (node_of(wanted), wanted.service_account_name());
        match self {
            Self::AssociatedNode => {
                let own = match requestor.extra.get(NODE_NAME).map(Vec::as_slice) {
                    Some([one]) => one.as_str(),
                    _ => "",
                };
                name_only && node == Some(own) && requestor.service_account_name().is_some()
            }
            Self::ArbitraryNode => name_only && node.is_some(),
            Self::ServiceAccount => name_only && account.is_some(),
            Self::UserInfo => node.is_none() && account.is_none(),
            Self::Legacy => true,
        }
    }

    fn is_constrained(self) -> bool {
        self != Self::Legacy
    }
}

/// The node that the name is of.
fn node_of(user: &User) -> Option<&str> {
    user.name.strip_prefix(NODE_USER_PREFIX).filter(|name| is_dns1123_subdomain(name))
}

/// Which way each user came to be somebody else last: it is tried first. See the module.
#[derive(Debug, Default)]
pub struct Modes(Mutex<BTreeMap<String, usize>>);

impl Modes {
    /// Who the request is carried out as, and by which verb if that is for some requests alone.
    ///
    /// # Errors
    /// 403 in the words of the first mode that is for this user.
    pub(super) async fn become_user(
        &self,
        authz: &Authz,
        request: &Attributes<'_>,
        wanted: &User,
        constrained: bool,
    ) -> Result<(User, Option<&'static str>), Status> {
        if !constrained {
            let user = Check { authz, requestor: request.user, mode: Mode::Legacy }.identity(wanted).await?;
            return Ok((user, None));
        }
        let last = self.0.lock().get(&request.user.name).copied();
        let mut order: Vec<usize> = (0..Mode::ALL.len()).collect();
        // Sorting is stable: the others stay as they are.
        order.sort_by_key(|index| Some(*index) != last);
        let mut refused = None;
        for index in order {
            let Some(mode) = Mode::ALL.get(index).copied().filter(|m| m.is_for(wanted, request.user)) else {
                continue;
            };
            match allowed(authz, mode, request, wanted).await {
                Ok(user) => {
                    self.remember(&request.user.name, index, last);
                    return Ok((user, mode.is_constrained().then_some(mode.verb())));
                }
                Err(status) => {
                    refused.get_or_insert(status);
                }
            }
        }
        Err(refused.unwrap_or_else(|| Status::internal("all impersonation modes failed")))
    }

    fn remember(&self, name: &str, index: usize, last: Option<usize>) {
        if last == Some(index) {
            return;
        }
        let mut known = self.0.lock();
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(name.to_owned(), index);
    }
}

async fn allowed(authz: &Authz, mode: Mode, request: &Attributes<'_>, wanted: &User) -> Result<User, Status> {
    // Of a service account that becomes its own node no more counts than that it is bound to one.
    let bound = (mode == Mode::AssociatedNode).then(|| {
        let keys = request.user.extra.keys().cloned().collect();
        User { extra: BTreeMap::from([(NODE_KEYS.to_owned(), keys)]), ..request.user.clone() }
    });
    let requestor = bound.as_ref().unwrap_or(request.user);
    let check = Check { authz, requestor, mode };
    if mode.is_constrained() {
        let verb = mode.on(request.verb);
        check.may(&Attributes { user: requestor, verb: &verb, ..*request }).await?;
    }
    check.identity(wanted).await
}

struct Check<'a> {
    authz: &'a Authz,
    requestor: &'a User,
    mode: Mode,
}

impl Check<'_> {
    async fn may(&self, asked: &Attributes<'_>) -> Result<(), Status> {
        let mut verdict = self.authz.authorize(asked).await;
        if verdict.is_allowed() {
            return Ok(());
        }
        if !verdict.errors.is_empty() {
            let why = verdict.errors.join(", ");
            let reason = &*verdict.reason;
            let words = if reason.is_empty() { why } else { format!("{why}: {reason}") };
            verdict.reason = words.into();
        }
        Err(Authz::forbidden(asked, &verdict))
    }

    fn asked<'s>(&'s self, group: &'s str, resource: &'s str) -> Attributes<'s> {
        Attributes {
            verb: self.mode.verb(),
            group,
            version: "v1",
            resource,
            resource_request: true,
            ..Attributes::of(self.requestor)
        }
    }

    /// Whether each part of `wanted` is allowed; the user with what goes without saying.
    async fn identity(&self, wanted: &User) -> Result<User, Status> {
        let group = if self.mode.is_constrained() { IDENTITIES } else { "" };
        let mut user = wanted.clone();
        let (mut resource, mut namespace, mut name) = ("users", "", wanted.name.as_str());
        if let Some(node) = node_of(wanted).filter(|_| self.mode.is_constrained()) {
            // An account's own node is none by name.
            name = if self.mode == Mode::AssociatedNode { "*" } else { node };
            resource = "nodes";
            user.groups = vec![NODES.to_owned()];
        }
        if let Some((space, account)) = wanted.service_account_name() {
            (resource, namespace, name) = ("serviceaccounts", space, account);
            if user.groups.is_empty() {
                user.groups = User::service_account_groups(space).to_vec();
            }
        }
        self.may(&Attributes { namespace, name, ..self.asked(group, resource) }).await?;
        if !wanted.uid.is_empty() {
            self.may(&Attributes { name: &wanted.uid, ..self.asked(IDENTITIES, "uids") }).await?;
        }
        self.groups(group, &wanted.groups).await?;
        self.extra(&wanted.extra).await?;
        if user.name == ANONYMOUS && !user.is_in(UNAUTHENTICATED) {
            user.groups.push(UNAUTHENTICATED.to_owned());
        }
        user.mark_authenticated();
        Ok(user)
    }

    async fn groups(&self, api_group: &str, groups: &[String]) -> Result<(), Status> {
        let asked = self.asked(api_group, "groups");
        if self.mode.is_constrained() {
            let never = [("", "empty string"), (MASTERS, MASTERS)];
            if let Some((name, what)) = never.into_iter().find(|(name, _)| groups.iter().any(|g| g == name)) {
                let why = format!("impersonating the {what} group is not allowed");
                return Err(Authz::forbidden_because(&Attributes { name, ..asked }, &why));
            }
            if groups.len() >= MANY && self.may(&Attributes { name: "*", ..asked }).await.is_ok() {
                return Ok(());
            }
        }
        for name in groups {
            self.may(&Attributes { name, ..asked }).await?;
        }
        Ok(())
    }

    async fn extra(&self, extra: &BTreeMap<String, Vec<String>>) -> Result<(), Status> {
        let asked = self.asked(IDENTITIES, "userextras");
        if self.mode.is_constrained() {
            if let Some(why) = extra.iter().find_map(|(key, values)| unfit(key, values)) {
                return Err(Authz::forbidden_because(&asked, &why));
            }
            let count = extra.values().map(Vec::len).sum::<usize>();
            if count.max(extra.len()) >= MANY {
                let all = Attributes { subresource: "*", name: "*", ..asked };
                if self.may(&all).await.is_ok() {
                    return Ok(());
                }
            }
        }
        for (key, values) in extra {
            for value in values {
                self.may(&Attributes { subresource: key, name: value, ..asked }).await?;
            }
        }
        Ok(())
    }
}

/// Why an extra key with its values may not be: keys are paths below a domain.
fn unfit(key: &str, values: &[String]) -> Option<String> {
    let fits =
        key.split_once('/').is_some_and(|(domain, path)| is_dns1123_subdomain(domain) && !path.is_empty());
    let what = if key.is_empty() {
        "the empty string key in extra is not allowed".to_owned()
    } else if !fits {
        let why = FieldError::invalid(
            "extra.key",
            key,
            r#"must be a domain-prefixed path (such as "acme.io/foo")"#,
        );
        format!("an invalid key in extra is not allowed: {why}")
    } else if key != key.to_lowercase() {
        format!("a non-lowercase key in extra is not allowed: {key:?}")
    } else if values.is_empty() {
        "empty values in extra is not allowed".to_owned()
    } else if values.iter().any(String::is_empty) {
        "the empty string value in extra is not allowed".to_owned()
    } else {
        return None;
    };
    Some(format!("impersonating {what}"))
}
