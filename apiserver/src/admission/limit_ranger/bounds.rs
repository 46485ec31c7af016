//! The sentences about amounts that are too small, too large, or too far apart.

use api::{object::ObjectExt as _, quantity::Quantity};
use serde_json::Value;

use super::super::amounts::{self, Amounts, Side};

/// What of `pod` is out of `range`'s bounds.
pub(super) fn of_pod(range: &Value, pod: &Value) -> Vec<String> {
    let mut violations = Vec::new();
    for limit in range.list_at("/spec/limits") {
        match limit.str_at("/type") {
            "Container" => {
                for container in
                    pod.list_at("/spec/containers").iter().chain(pod.list_at("/spec/initContainers"))
                {
                    let requests = amounts::of_container(container, Side::Requests);
                    let limits = amounts::of_container(container, Side::Limits);
                    check(limit, "Container", &requests, &limits, &mut violations);
                }
            }
            "Pod" => {
                let (requests, limits) =
                    (amounts::of_pod(pod, Side::Requests), amounts::of_pod(pod, Side::Limits));
                check(limit, "Pod", &requests, &limits, &mut violations);
            }
            _ => {}
        }
    }
    violations
}

/// What of a claim is out of `range`'s bounds; only its requests count.
pub(super) fn of_claim(range: &Value, claim: &Value) -> Vec<String> {
    const KIND: &str = "PersistentVolumeClaim";
    let requests = amounts::read(claim.at("/spec/resources/requests"));
    let mut violations = Vec::new();
    for limit in range.list_at("/spec/limits").iter().filter(|l| l.str_at("/type") == KIND) {
        for (name, bound) in amounts::read(limit.at("/min")) {
            violations.extend(minimum(KIND, &name, bound, requests.get(&name), None));
        }
        for (name, bound) in amounts::read(limit.at("/max")) {
            violations.extend(match requests.get(&name) {
                None => Some(format!("maximum {name} usage per {KIND} is {bound}.  No request is specified")),
                Some(request) if *request > bound => {
                    Some(format!("maximum {name} usage per {KIND} is {bound}, but request is {request}"))
                }
                Some(_) => None,
            });
        }
    }
    violations
}

fn check(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts, violations: &mut Vec<String>) {
    for (name, bound) in amounts::read(limit.at("/min")) {
        violations.extend(minimum(kind, &name, bound, requests.get(&name), limits.get(&name)));
    }
    for (name, bound) in amounts::read(limit.at("/max")) {
        violations.extend(maximum(kind, &name, bound, requests.get(&name), limits.get(&name)));
    }
    for (name, bound) in amounts::read(limit.at("/maxLimitRequestRatio")) {
        violations.extend(ratio(kind, &name, bound, requests.get(&name), limits.get(&name)));
    }
}

fn minimum(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let says = format!("minimum {name} usage per {kind} is {bound}");
    match (request, limit) {
        (None, _) => Some(format!("{says}.  No request is specified")),
        (Some(request), _) if *request < bound => Some(format!("{says}, but request is {request}")),
        (_, Some(limit)) if *limit < bound => Some(format!("{says}, but limit is {limit}")),
        _ => None,
    }
}

fn maximum(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let says = format!("maximum {name} usage per {kind} is {bound}");
    match (limit, request) {
        (None, _) => Some(format!("{says}.  No limit is specified")),
        (Some(limit), _) if *limit > bound => Some(format!("{says}, but limit is {limit}")),
        (_, Some(request)) if *request > bound => Some(format!("{says}, but request is {request}")),
        _ => None,
    }
}

fn ratio(
    kind: &str,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let says = format!("{name} max limit to request ratio per {kind} is {bound}");
    let Some(request) = request.filter(|q| !q.is_zero()) else {
        return Some(format!("{says}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|q| !q.is_zero()) else {
        return Some(format!("{says}, but no limit is specified or limit is 0"));
    };
    let observed = limit.nanos() as f64 / request.nanos() as f64;
    let allowed = bound.nanos() as f64 / 1e9;
    (observed > allowed).then(|| format!("{says}, but provided ratio is {observed:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn upstreams_sentences() {
        let check = |limit: Value, resources: Value, words: &[&str]| {
            let range = json!({"spec": {"limits": [limit]}});
            let pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
            assert_eq!(of_pod(&range, &pod), words);
        };
        let min = json!({"type": "Container", "min": {"cpu": "100m"}});
        check(min.clone(), json!({}), &["minimum cpu usage per Container is 100m.  No request is specified"]);
        check(
            min.clone(),
            json!({"requests": {"cpu": "50m"}}),
            &["minimum cpu usage per Container is 100m, but request is 50m"],
        );
        check(
            min.clone(),
            json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "0.09"}}),
            &["minimum cpu usage per Container is 100m, but limit is 90m"],
        );
        check(min, json!({"requests": {"cpu": "100m"}}), &[]);
        let max = json!({"type": "Pod", "max": {"memory": "1Gi", "cpu": "1"}});
        check(
            max.clone(),
            json!({}),
            &[
                "maximum cpu usage per Pod is 1.  No limit is specified",
                "maximum memory usage per Pod is 1Gi.  No limit is specified",
            ],
        );
        check(
            max.clone(),
            json!({"limits": {"memory": "2Gi", "cpu": "1"}}),
            &["maximum memory usage per Pod is 1Gi, but limit is 2Gi"],
        );
        check(
            max,
            json!({"limits": {"memory": "1Gi", "cpu": "500m"}, "requests": {"cpu": "2"}}),
            &["maximum cpu usage per Pod is 1, but request is 2"],
        );
        let ratio = json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}});
        check(
            ratio.clone(),
            json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "200m"}}),
            &["cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000"],
        );
        check(ratio.clone(), json!({"limits": {"cpu": "400m"}, "requests": {"cpu": "200m"}}), &[]);
        check(
            ratio.clone(),
            json!({"limits": {"cpu": "1"}}),
            &[
                "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
            ],
        );
        check(
            ratio,
            json!({"requests": {"cpu": "1"}}),
            &["cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"],
        );
    }

    #[test]
    fn claims_are_bound_by_what_they_request() {
        let range = json!({"spec": {"limits": [
            {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}},
        ]}});
        let check = |storage: &str, words: &[&str]| {
            let claim = json!({"spec": {"resources": {"requests": {"storage": storage}}}});
            assert_eq!(of_claim(&range, &claim), words);
        };
        check("1Gi", &[]);
        check("512Mi", &["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi"]);
        check("3Gi", &["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"]);
    }
}
