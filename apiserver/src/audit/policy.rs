//! `--audit-policy-file`: which requests are written down, and how much of each.

use api::object::ObjectExt;
use serde::Serialize;
use serde_json::Value;

use crate::{identity::User, pipeline::RequestInfo};

/// How much of a request is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Level {
    /// Nothing.
    None,
    /// Who asked for what, and what became of it.
    Metadata,
    /// The request's body too.
    Request,
    /// And the answer's.
    RequestResponse,
}

/// When something is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Stage {
    /// Before anything is done.
    RequestReceived,
    /// The header of a stream's answer was sent.
    ResponseStarted,
    /// All is done.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

const LEVELS: [(&str, Level); 4] = [
    ("None", Level::None),
    ("Metadata", Level::Metadata),
    ("Request", Level::Request),
    ("RequestResponse", Level::RequestResponse),
];
const STAGES: [(&str, Stage); 4] = [
    ("RequestReceived", Stage::RequestReceived),
    ("ResponseStarted", Stage::ResponseStarted),
    ("ResponseComplete", Stage::ResponseComplete),
    ("Panic", Stage::Panic),
];

/// What the policy says about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub level: Level,
    pub omit_stages: Vec<Stage>,
    pub omit_managed_fields: bool,
}

#[derive(Debug)]
struct Resources {
    group: String,
    resources: Vec<String>,
    names: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    level: Level,
    users: Vec<String>,
    groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<Resources>,
    namespaces: Vec<String>,
    urls: Vec<String>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

/// The rules, in order: the first that fits decides.
#[derive(Debug)]
pub(crate) struct Policy {
    rules: Vec<Rule>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: bool,
}

impl Policy {
    /// Reads a policy, JSON or YAML.
    ///
    /// # Errors
    /// What is wrong with it, in upstream's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_saphyr::from_str(text)
            .map_err(|e| format!("failed decoding: {}", e.to_string().lines().next().unwrap_or_default()))?;
        let known = matches!(value.api_version(), "audit.k8s.io/v1") && value.kind() == "Policy";
        if !known {
            return Err(format!(
                "failed decoding: no kind \"{}\" is registered for version \"{}\": use kind Policy of audit.k8s.io/v1",
                value.kind(),
                value.api_version()
            ));
        }
        let mut errors = Vec::new();
        let rules: Vec<Rule> = value
            .list_at("/rules")
            .iter()
            .enumerate()
            .map(|(n, rule)| read(rule, &format!("rules[{n}]"), &mut errors))
            .collect();
        let omit_stages = stages(&value, "omitStages", &mut errors);
        match errors.as_slice() {
            [] if rules.is_empty() => Err("loaded illegal policy with 0 rules".to_owned()),
            [] => Ok(Self { rules, omit_stages, omit_managed_fields: value.bool_at("/omitManagedFields") }),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }

    /// What is to be written down of a request; `user` is unknown when authentication failed.
    pub(crate) fn evaluate(&self, info: &RequestInfo, user: Option<&User>) -> Verdict {
        let Some(rule) = self.rules.iter().find(|rule| rule.fits(info, user)) else {
            return Verdict { level: Level::None, omit_stages: Vec::new(), omit_managed_fields: false };
        };
        let mut omit_stages = self.omit_stages.clone();
        omit_stages.extend(&rule.omit_stages);
        Verdict {
            level: rule.level,
            omit_stages,
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    value.list_at(&format!("/{field}")).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn stages(value: &Value, path: &str, errors: &mut Vec<String>) -> Vec<Stage> {
    let mut out = Vec::new();
    for (n, name) in texts(value, "omitStages").into_iter().enumerate() {
        match STAGES.iter().find(|(known, _)| *known == name) {
            Some((_, stage)) => out.push(*stage),
            None => errors.push(format!(
                "{path}[{n}]: Invalid value: {name:?}: allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic"
            )),
        }
    }
    out
}

fn read(value: &Value, path: &str, errors: &mut Vec<String>) -> Rule {
    let level = value.str_at("/level");
    let level = match LEVELS.iter().find(|(name, _)| *name == level) {
        Some((_, level)) => *level,
        None => {
            errors.push(if level.is_empty() {
                format!("{path}.level: Required value")
            } else {
                format!(
                    "{path}.level: Unsupported value: {level:?}: supported values: \"None\", \"Metadata\", \"Request\", \"RequestResponse\""
                )
            });
            Level::None
        }
    };
    let resources: Vec<Resources> = value
        .list_at("/resources")
        .iter()
        .map(|group| Resources {
            group: group.str_at("/group").to_owned(),
            resources: texts(group, "resources"),
            names: texts(group, "resourceNames"),
        })
        .collect();
    let rule = Rule {
        level,
        users: texts(value, "users"),
        groups: texts(value, "userGroups"),
        verbs: texts(value, "verbs"),
        resources,
        namespaces: texts(value, "namespaces"),
        urls: texts(value, "nonResourceURLs"),
        omit_stages: stages(value, &format!("{path}.omitStages"), errors),
        omit_managed_fields: value.get("omitManagedFields").and_then(Value::as_bool),
    };
    let regular = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    if regular && !rule.urls.is_empty() {
        errors.push(format!(
            "{path}.nonResourceURLs: Invalid value: {}: rules cannot apply to both regular resources and non-resource URLs",
            Value::from(rule.urls.clone())
        ));
    }
    for (n, url) in rule.urls.iter().enumerate() {
        if url != "*" && !url.starts_with('/') {
            errors.push(format!(
                "{path}.nonResourceURLs[{n}]: Invalid value: {url:?}: non-resource URL rules must begin with a '/' character"
            ));
        } else if url.trim_end_matches('*').contains('*') {
            errors.push(format!(
                "{path}.nonResourceURLs[{n}]: Invalid value: {url:?}: non-resource URL wildcards '*' must be the final character of the rule"
            ));
        }
    }
    for (n, group) in rule.resources.iter().enumerate() {
        if !group.names.is_empty() && group.resources.is_empty() {
            errors.push(format!(
                "{path}.resources[{n}].resourceNames: Invalid value: {}: using resourceNames requires at least one resource",
                Value::from(group.names.clone())
            ));
        }
    }
    rule
}

impl Rule {
    fn fits(&self, info: &RequestInfo, user: Option<&User>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|entry| entry == wanted);
        if !self.users.is_empty() && !user.is_some_and(|user| has(&self.users, &user.name)) {
            return false;
        }
        if !self.groups.is_empty()
            && !user.is_some_and(|user| user.groups.iter().any(|group| has(&self.groups, group)))
        {
            return false;
        }
        if !self.verbs.is_empty() && !has(&self.verbs, &info.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return info.resource_request
                // What has no namespace has the empty one.
                && (self.namespaces.is_empty() || has(&self.namespaces, &info.namespace))
                && (self.resources.is_empty() || self.resources.iter().any(|group| group.fits(info)));
        }
        if !self.urls.is_empty() {
            return !info.resource_request
                && self.urls.iter().any(|url| match url.strip_suffix('*') {
                    Some(start) => info.path.starts_with(start),
                    None => *url == info.path,
                });
        }
        true
    }
}

impl Resources {
    fn fits(&self, info: &RequestInfo) -> bool {
        if self.group != info.group {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        if !self.names.is_empty() && !self.names.contains(&info.name) {
            return false;
        }
        self.resources.iter().any(|entry| match entry.split_once('/') {
            None if entry == "*" => true,
            None => *entry == info.resource && info.subresource.is_empty(),
            Some(("*", sub)) => sub == info.subresource,
            Some((resource, "*")) => resource == info.resource,
            Some((resource, sub)) => resource == info.resource && sub == info.subresource,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::pipeline::Query;

    const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: None
  users: ['system:kube-proxy']
  verbs: [watch]
- level: None
  nonResourceURLs: ['/healthz*', '/version']
- level: Metadata
  resources:
  - group: ''
    resources: [secrets, 'pods/log', 'serviceaccounts/*', '*/binding']
- level: Request
  userGroups: ['system:nodes']
  omitStages: [ResponseStarted]
- level: RequestResponse
  namespaces: [prod]
- level: Request
  resources:
  - group: apps
    resources: [deployments]
    resourceNames: [web]
  omitManagedFields: false
- level: None
  resources:
  - group: apps
- level: Metadata
";

    fn policy(user: &User, method: &str, path: &str) -> Verdict {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let method: Method = method.parse().unwrap();
        let info = RequestInfo::parse(&method, path, &Query::parse(query));
        Policy::parse(POLICY).unwrap().evaluate(&info, Some(user))
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let jane = User::new("jane", &["dev"]);
        let proxy = User::new("system:kube-proxy", &[]);
        let node = User::new("system:node:n", &["system:nodes"]);
        let check = |user: &User, method: &str, path: &str, level: Level| {
            assert_eq!(policy(user, method, path).level, level, "{} {method} {path}", user.name);
        };
        check(&proxy, "GET", "/api/v1/services?watch=1", Level::None);
        check(&proxy, "GET", "/api/v1/services", Level::Metadata);
        check(&jane, "GET", "/healthz/ping", Level::None);
        check(&jane, "GET", "/version", Level::None);
        check(&jane, "GET", "/version/x", Level::Metadata);
        check(&jane, "GET", "/api/v1/namespaces/prod/secrets/s", Level::Metadata);
        check(&jane, "GET", "/api/v1/namespaces/prod/pods/p/log", Level::Metadata);
        check(&jane, "POST", "/api/v1/namespaces/prod/serviceaccounts/a/token", Level::Metadata);
        check(&jane, "POST", "/api/v1/namespaces/prod/pods/p/binding", Level::Metadata);
        check(&jane, "GET", "/api/v1/namespaces/prod/pods/p", Level::RequestResponse);
        check(&node, "GET", "/api/v1/namespaces/prod/pods/p", Level::Request);
        check(&jane, "PUT", "/apis/apps/v1/namespaces/dev/deployments/web", Level::Request);
        check(&jane, "PUT", "/apis/apps/v1/namespaces/dev/deployments/api", Level::None);
        check(&jane, "PUT", "/apis/batch/v1/namespaces/dev/jobs/api", Level::Metadata);
        let node = policy(&node, "GET", "/api/v1/nodes");
        assert_eq!(node.omit_stages, [Stage::RequestReceived, Stage::ResponseStarted]);
        assert!(node.omit_managed_fields);
        assert!(!policy(&jane, "PUT", "/apis/apps/v1/namespaces/dev/deployments/web").omit_managed_fields);
    }

    #[test]
    fn a_policy_that_cannot_be_followed_is_refused() {
        #[track_caller]
        fn check(rules: &str, words: &str) {
            let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: {rules}\n");
            assert_eq!(Policy::parse(&text).unwrap_err(), words);
        }
        check("[]", "loaded illegal policy with 0 rules");
        check(
            "[{level: All}]",
            "rules[0].level: Unsupported value: \"All\": supported values: \"None\", \"Metadata\", \"Request\", \"RequestResponse\"",
        );
        check("[{level: None}, {users: [x]}]", "rules[1].level: Required value");
        check(
            "[{level: None, nonResourceURLs: [healthz]}]",
            "rules[0].nonResourceURLs[0]: Invalid value: \"healthz\": non-resource URL rules must begin with a '/' character",
        );
        check(
            "[{level: None, nonResourceURLs: ['/a*b']}]",
            "rules[0].nonResourceURLs[0]: Invalid value: \"/a*b\": non-resource URL wildcards '*' must be the final character of the rule",
        );
        check(
            "[{level: None, omitStages: [Start]}]",
            "rules[0].omitStages[0]: Invalid value: \"Start\": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic",
        );
        let other = Policy::parse("kind: Pod\napiVersion: v1").unwrap_err();
        assert!(
            other.starts_with("failed decoding: no kind \"Pod\" is registered for version \"v1\""),
            "{other}"
        );
        assert!(Policy::parse(": [").unwrap_err().starts_with("failed decoding: "));
    }
}
