//! Flow schemas and priority levels: which requests wait where, and for how many seats.

use serde_json::Value;

use super::{Strategy, check::Complaints, fill::fill, path::Path};
use crate::{names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");
const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const EXEMPT: &str = "exempt";
const PRECEDENCE_MAX: i64 = 10_000;
const QUEUES_MAX: i64 = 10_000_000;
/// Bits of a request's hash, which choose its hand of queues.
const HASH_BITS: u32 = 60;
const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        default: |schema| fill(schema, "/spec/matchingPrecedence", 1000),
        validate: validate_schema,
        validate_update: |new, _, subresource, complaints| conditions(new, subresource, complaints),
        ..Strategy::of(GROUP, "FlowSchema")
    },
    Strategy {
        default: default_level,
        validate: validate_level,
        validate_update: |new, _, subresource, complaints| conditions(new, subresource, complaints),
        ..Strategy::of(GROUP, "PriorityLevelConfiguration")
    },
];

fn default_level(level: &mut Value) {
    if level.map_at("/spec/exempt").is_some() || level.str_at("/spec/type") == "Exempt" {
        fill(level, "/spec/exempt/nominalConcurrencyShares", 0);
        fill(level, "/spec/exempt/lendablePercent", 0);
    }
    if level.map_at("/spec/limited").is_some() {
        fill(level, "/spec/limited/nominalConcurrencyShares", 30);
        fill(level, "/spec/limited/lendablePercent", 0);
        if level.map_at("/spec/limited/limitResponse/queuing").is_some() {
            fill(level, "/spec/limited/limitResponse/queuing/queues", 64);
            fill(level, "/spec/limited/limitResponse/queuing/handSize", 8);
            fill(level, "/spec/limited/limitResponse/queuing/queueLengthLimit", 50);
        }
    }
}

fn conditions(object: &Value, subresource: &str, complaints: &mut Complaints) {
    if subresource != "status" {
        return;
    }
    let list = Path::root("status.conditions");
    let all = object.list_at("/status/conditions");
    complaints.unique(all, "/type", |index| list.index(index).child("type").to_string());
    for (index, condition) in all.iter().enumerate() {
        if condition.str_at("/type").is_empty() {
            let at = list.index(index);
            complaints.required(at.child("type"), "must not be empty");
        }
    }
}

fn validate_schema(schema: &Value, complaints: &mut Complaints) {
    let precedence = schema.i64_at("/spec/matchingPrecedence").unwrap_or(0);
    let at = SPEC.child("matchingPrecedence");
    if precedence <= 0 {
        complaints.invalid(at, precedence, "must be a positive value");
    }
    if precedence > PRECEDENCE_MAX {
        complaints.invalid(at, precedence, format!("must not be greater than {PRECEDENCE_MAX}"));
    }
    if precedence == 1 && schema.name() != EXEMPT {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        complaints.invalid(at, precedence, detail);
    }
    if let Some(method) = schema.at("/spec/distinguisherMethod").filter(|method| method.is_object()) {
        let known = ["ByNamespace", "ByUser"];
        if !known.contains(&method.str_at("/type")) {
            let at = SPEC.child("distinguisherMethod");
            complaints.not_supported(at.child("type"), method.clone(), &known);
        }
    }
    let level = SPEC.child("priorityLevelConfiguration");
    match schema.str_at("/spec/priorityLevelConfiguration/name") {
        "" => complaints.required(level.child("name"), "must reference a priority level"),
        name => complaints.each(level.child("name"), name, names::dns1123_subdomain(name)),
    }
    let list = SPEC.child("rules");
    for (index, rule) in schema.list_at("/spec/rules").iter().enumerate() {
        validate_rule(rule, list.index(index), complaints);
    }
}

fn validate_rule(rule: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let subjects = rule.list_at("/subjects");
    let list = at.child("subjects");
    if subjects.is_empty() {
        complaints.required(list, "subjects must contain at least one value");
    }
    for (index, subject) in subjects.iter().enumerate() {
        validate_subject(subject, list.index(index), complaints);
    }
    let (resources, others) = (rule.list_at("/resourceRules"), rule.list_at("/nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        complaints.required(at, detail);
    }
    let list = at.child("resourceRules");
    for (index, rule) in resources.iter().enumerate() {
        let at = list.index(index);
        verbs(rule, at, complaints);
        let groups = "resource rules must supply at least one api group";
        wildcard(rule, "apiGroups", groups, "api groups", at, complaints);
        let resources = "resource rules must supply at least one resource";
        wildcard(rule, "resources", resources, "resources", at, complaints);
        namespaces(rule, at.child("namespaces"), complaints);
    }
    let list = at.child("nonResourceRules");
    for (index, rule) in others.iter().enumerate() {
        let at = list.index(index);
        verbs(rule, at, complaints);
        let urls = "nonResourceURLs must contain at least one value";
        wildcard(rule, "nonResourceURLs", urls, "non-resource URLs", at, complaints);
        let list = at.child("nonResourceURLs");
        for (index, url) in rule.list_at("/nonResourceURLs").iter().enumerate() {
            let url = url.as_str().unwrap_or_default();
            if let Some(wrong) = url_path(url).filter(|_| url != "*") {
                complaints.invalid(list.index(index), url, wrong);
            }
        }
    }
}

fn validate_subject(subject: &Value, at: Path<'_>, complaints: &mut Complaints) {
    const KINDS: [(&str, &str); 3] =
        [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = subject.str_at("/kind");
    let Some((_, own)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        return complaints.not_supported(at.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
    };
    match subject.get(own).filter(|inner| inner.is_object()) {
        None => {
            complaints.required(at.child(own), &format!("{own} is required when subject kind is '{kind}'"));
        }
        Some(inner) => {
            let (at, name) = (at.child(own), inner.str_at("/name"));
            if name.is_empty() {
                complaints.required(at.child("name"), "");
            } else if *own == "serviceAccount" && name != "*" {
                complaints.each(at.child("name"), name, names::dns1123_subdomain(name));
            }
            if *own == "serviceAccount" {
                match inner.str_at("/namespace") {
                    "" => complaints
                        .required(at.child("namespace"), "must specify namespace for service account"),
                    name => complaints.each(at.child("namespace"), name, names::dns1123_label(name)),
                }
            }
        }
    }
    for (other, field) in KINDS.iter().filter(|(other, _)| *other != kind) {
        if subject.get(field).is_some() {
            let detail = format!("{field} is forbidden when subject kind is not '{other}'");
            complaints.forbidden(at.child(field), detail);
        }
    }
}

fn verbs(rule: &Value, at: Path<'_>, complaints: &mut Complaints) {
    wildcard(rule, "verbs", "verbs must contain at least one value", "verbs", at, complaints);
    let given = rule.list_at("/verbs");
    let known = |verb: &Value| verb.as_str().is_some_and(|verb| verb == "*" || VERBS.contains(&verb));
    if !given.iter().all(known) && !given.iter().any(|verb| verb.as_str() == Some("*")) {
        complaints.not_supported(at.child("verbs"), given.to_vec(), VERBS);
    }
}

/// A list that is not empty, in which a star stands alone.
fn wildcard(
    rule: &Value,
    field: &str,
    if_empty: &str,
    others: &str,
    at: Path<'_>,
    complaints: &mut Complaints,
) {
    let values = rule.list_at(&format!("/{field}"));
    if values.is_empty() {
        complaints.required(at.child(field), if_empty);
    } else if values.len() > 1 && values.iter().any(|value| value.as_str() == Some("*")) {
        let detail = format!("if '*' is present, must not specify other {others}");
        complaints.invalid(at.child(field), values.to_vec(), detail);
    }
}

fn namespaces(rule: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let values = rule.list_at("/namespaces");
    if values.is_empty() && !rule.bool_at("/clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        complaints.required(at, detail);
    } else if values.iter().any(|value| value.as_str() == Some("*")) {
        if values.len() > 1 {
            let detail = "if '*' is present, must not specify other namespaces";
            complaints.invalid(at, values.to_vec(), detail);
        }
    } else {
        for (index, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            for wrong in names::dns1123_label(value) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {wrong}");
                complaints.invalid(at.index(index), value, detail);
            }
        }
    }
}

fn url_path(path: &str) -> Option<&'static str> {
    match path {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !path.starts_with('/') => Some("must start with slash"),
        _ if path.contains(' ') => Some("must not contain white-space"),
        _ if path.contains("//") => Some("must not contain double slash"),
        _ => match path.matches('*').count() {
            0 => None,
            1 if path.ends_with("/*") => None,
            _ => Some("wildcard can only do suffix matching"),
        },
    }
}

fn validate_level(level: &Value, complaints: &mut Complaints) {
    let kind = level.str_at("/spec/type");
    if (level.name() == EXEMPT) != (kind == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        complaints.invalid(SPEC.child("type"), kind, detail);
    }
    let (exempt, limited) = (level.map_at("/spec/exempt"), level.at("/spec/limited"));
    match kind {
        "Exempt" => {
            if limited.is_some() {
                complaints.forbidden(SPEC.child("limited"), "must be nil if the type is not Limited");
            }
            let at = SPEC.child("exempt");
            percent(level.i64_at("/spec/exempt/lendablePercent"), at.child("lendablePercent"), complaints);
        }
        "Limited" => {
            if exempt.is_some() {
                complaints.forbidden(SPEC.child("exempt"), "must be nil if the type is Limited");
            }
            match limited {
                None => {
                    complaints.required(SPEC.child("limited"), "must not be empty when type is Limited");
                }
                Some(limited) => validate_limited(limited, SPEC.child("limited"), complaints),
            }
        }
        other => complaints.not_supported(SPEC.child("type"), other, &["Exempt", "Limited"]),
    }
}

fn percent(value: Option<i64>, at: Path<'_>, complaints: &mut Complaints) {
    if let Some(value) = value.filter(|value| !(0..=100).contains(value)) {
        complaints.invalid(at, value, "must be between 0 and 100, inclusive");
    }
}

fn validate_limited(limited: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let shares = limited.i64_at("/nominalConcurrencyShares").unwrap_or(0);
    if shares < 0 {
        complaints.invalid(at.child("nominalConcurrencyShares"), shares, "must be a non-negative integer");
    }
    let response = at.child("limitResponse");
    let queuing = limited.at("/limitResponse/queuing").filter(|queuing| queuing.is_object());
    match (limited.str_at("/limitResponse/type"), queuing) {
        ("Reject", Some(_)) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            complaints.forbidden(response.child("queuing"), detail);
        }
        ("Reject", None) => {}
        ("Queue", None) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            complaints.required(response.child("queuing"), detail);
        }
        ("Queue", Some(queuing)) => validate_queuing(queuing, response.child("queuing"), complaints),
        (other, _) => complaints.not_supported(response.child("type"), other, &["Queue", "Reject"]),
    }
    percent(limited.i64_at("/lendablePercent"), at.child("lendablePercent"), complaints);
    let limit = limited.i64_at("/borrowingLimitPercent");
    if let Some(limit) = limit.filter(|limit| *limit < 0) {
        let detail = "if specified, must be a non-negative integer";
        complaints.invalid(at.child("borrowingLimitPercent"), limit, detail);
    }
}

fn validate_queuing(queuing: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let number = |field: &str| queuing.i64_at(&format!("/{field}")).unwrap_or(0);
    let (length, queues, hand) = (number("queueLengthLimit"), number("queues"), number("handSize"));
    let positive = "must be positive";
    if length <= 0 {
        complaints.invalid(at.child("queueLengthLimit"), length, positive);
    }
    if queues <= 0 {
        complaints.invalid(at.child("queues"), queues, positive);
    } else if queues > QUEUES_MAX {
        complaints.invalid(at.child("queues"), queues, format!("must not be greater than {QUEUES_MAX}"));
    }
    let at = at.child("handSize");
    if hand <= 0 {
        complaints.invalid(at, hand, positive);
    } else if hand > queues {
        complaints.invalid(at, hand, format!("should not be greater than queues ({queues})"));
    } else if (queues as f64).log2() * hand as f64 > f64::from(HASH_BITS) {
        // So many bits choose a hand of queues out of all of them.
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        );
        complaints.invalid(at, hand, detail);
    }
}
