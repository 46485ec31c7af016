//! One flow schema: which requests are its, and to which flow of it one belongs.

use std::sync::Arc;

use api::object::ObjectExt;
use http::HeaderValue;
use serde_json::Value;

use super::level::Level;
use crate::{identity::User, pipeline::RequestInfo};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distinguisher {
    None,
    User,
    Namespace,
}

#[derive(Debug)]
enum Subject {
    User(String),
    Group(String),
    /// Namespace, and name or `*`.
    Account(String, String),
}

#[derive(Debug)]
struct Resources {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    namespaces: Vec<String>,
    cluster: bool,
}

#[derive(Debug)]
struct Urls {
    verbs: Vec<String>,
    urls: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<Resources>,
    urls: Vec<Urls>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Schema {
    pub name: String,
    pub uid: HeaderValue,
    pub level: Arc<Level>,
    pub precedence: i64,
    distinguisher: Distinguisher,
    rules: Vec<Rule>,
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    value.list_at(field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn holds(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

impl Schema {
    pub(super) fn read(object: &Value, level: Arc<Level>) -> Self {
        let rules = object.list_at("/spec/rules").iter().map(Rule::read).collect();
        Self {
            name: object.name().to_owned(),
            uid: HeaderValue::from_str(object.uid()).unwrap_or(HeaderValue::from_static("")),
            level,
            precedence: object.i64_at("/spec/matchingPrecedence").unwrap_or(1000),
            distinguisher: match object.str_at("/spec/distinguisherMethod/type") {
                "ByUser" => Distinguisher::User,
                "ByNamespace" => Distinguisher::Namespace,
                _ => Distinguisher::None,
            },
            rules,
        }
    }

    pub(super) fn fits(&self, info: &RequestInfo, user: &User) -> bool {
        self.rules.iter().any(|rule| rule.fits(info, user))
    }

    /// The flow that shares its turns with nobody.
    pub(super) fn flow(&self, info: &RequestInfo, user: &User) -> String {
        let by = match self.distinguisher {
            Distinguisher::None => "",
            Distinguisher::User => &user.name,
            Distinguisher::Namespace => &info.namespace,
        };
        format!("{}/{by}", self.name)
    }
}

impl Rule {
    fn read(rule: &Value) -> Self {
        let subject = |s: &Value| match s.str_at("/kind") {
            "User" => Some(Subject::User(s.str_at("/user/name").to_owned())),
            "Group" => Some(Subject::Group(s.str_at("/group/name").to_owned())),
            "ServiceAccount" => Some(Subject::Account(
                s.str_at("/serviceAccount/namespace").to_owned(),
                s.str_at("/serviceAccount/name").to_owned(),
            )),
            _ => None,
        };
        let resources = |r: &Value| Resources {
            verbs: texts(r, "/verbs"),
            groups: texts(r, "/apiGroups"),
            resources: texts(r, "/resources"),
            namespaces: texts(r, "/namespaces"),
            cluster: r.bool_at("/clusterScope"),
        };
        let urls = |r: &Value| Urls { verbs: texts(r, "/verbs"), urls: texts(r, "/nonResourceURLs") };
        Self {
            subjects: rule.list_at("/subjects").iter().filter_map(subject).collect(),
            resources: rule.list_at("/resourceRules").iter().map(resources).collect(),
            urls: rule.list_at("/nonResourceRules").iter().map(urls).collect(),
        }
    }

    fn fits(&self, info: &RequestInfo, user: &User) -> bool {
        if !self.subjects.iter().any(|subject| subject.is(user)) {
            return false;
        }
        if !info.resource_request {
            return self.urls.iter().any(|rule| {
                holds(&rule.verbs, &info.verb)
                    && rule.urls.iter().any(|url| match url.strip_suffix('*') {
                        Some(start) => info.path.starts_with(start),
                        None => *url == info.path,
                    })
            });
        }
        self.resources.iter().any(|rule| {
            let whole = |entry: &String| match entry.split_once('/') {
                None => entry == "*" || *entry == info.resource && info.subresource.is_empty(),
                Some((resource, sub)) => {
                    (resource == "*" || resource == info.resource) && (sub == "*" || sub == info.subresource)
                }
            };
            let placed = if info.namespace.is_empty() {
                rule.cluster
            } else {
                holds(&rule.namespaces, &info.namespace)
            };
            placed
                && holds(&rule.verbs, &info.verb)
                && holds(&rule.groups, &info.group)
                && rule.resources.iter().any(whole)
        })
    }
}

impl Subject {
    fn is(&self, user: &User) -> bool {
        match self {
            Self::User(name) => name == "*" || *name == user.name,
            Self::Group(name) => name == "*" || user.is_in(name),
            Self::Account(namespace, name) => {
                let account = user.name.strip_prefix(crate::identity::SERVICE_ACCOUNT_PREFIX);
                account
                    .and_then(|account| account.split_once(':'))
                    .is_some_and(|(ns, account)| ns == namespace && (name == "*" || name == account))
            }
        }
    }
}
