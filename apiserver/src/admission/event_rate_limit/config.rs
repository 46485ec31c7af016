//! The section `EventRateLimit` of the admission configuration.

use api::{object::ObjectExt as _, status::FieldError};
use serde_json::Value;

use crate::admission::pod_security::config::joined;

const GROUP: &str = "eventratelimit.admission.k8s.io/";
/// How many keys are remembered when nothing is said.
const CACHE_SIZE: usize = 4096;

/// By what events are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Namespace,
    User,
    SourceAndObject,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Namespace, Self::Server, Self::SourceAndObject, Self::User];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Namespace => "Namespace",
            Self::User => "User",
            Self::SourceAndObject => "SourceAndObject",
        }
    }
}

/// One limit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit {
    pub(super) kind: Kind,
    /// Events a second.
    pub(super) qps: f64,
    /// Events at once.
    pub(super) burst: f64,
    /// Keys that are remembered; the one that was not seen for longest goes first.
    pub(super) keys: usize,
}

/// The limits, in order.
pub(super) fn read(section: &Value) -> Result<Vec<Limit>, String> {
    if section.kind() != "Configuration" || !section.api_version().starts_with(GROUP) {
        return Err(format!(
            "no kind {:?} is registered for version {:?}: write kind Configuration of {GROUP}v1alpha1",
            section.kind(),
            section.api_version()
        ));
    }
    let (mut limits, mut wrong) = (Vec::new(), Vec::new());
    let written = section.list_at("/limits");
    if written.is_empty() {
        wrong.push(FieldError::invalid("limits", Value::Array(Vec::new()), "must not be empty"));
    }
    for (at, limit) in written.iter().enumerate() {
        let name = limit.str_at("/type");
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        if kind.is_none() {
            let names = Kind::ALL.map(Kind::name);
            wrong.push(FieldError::not_supported(format!("limits[{at}].type"), name, &names));
        }
        let number = |field: &str| limit.i64_at(&format!("/{field}")).unwrap_or(0);
        let mut positive = |field: &str| {
            let value = number(field);
            if value <= 0 {
                wrong.push(FieldError::invalid(format!("limits[{at}].{field}"), value, "must be positive"));
            }
            value as f64
        };
        let (burst, qps) = (positive("burst"), positive("qps"));
        let keys = number("cacheSize");
        if keys < 0 && kind != Some(Kind::Server) {
            let field = format!("limits[{at}].cacheSize");
            wrong.push(FieldError::invalid(field, keys, "must not be negative"));
        }
        let keys = usize::try_from(keys).ok().filter(|keys| *keys > 0).unwrap_or(CACHE_SIZE);
        limits.extend(kind.map(|kind| Limit { kind, qps, burst, keys }));
    }
    if wrong.is_empty() { Ok(limits) } else { Err(joined(wrong)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn section(limits: Value) -> Value {
        json!({"kind": "Configuration", "apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "limits": limits})
    }

    #[test]
    fn what_is_right_is_read() {
        let limits = read(&section(json!([
            {"type": "Server", "qps": 10, "burst": 50},
            {"type": "Namespace", "qps": 1, "burst": 2, "cacheSize": 3},
        ])));
        let limit = |kind, qps, burst, keys| Limit { kind, qps, burst, keys };
        assert_eq!(
            limits.unwrap(),
            [limit(Kind::Server, 10.0, 50.0, 4096), limit(Kind::Namespace, 1.0, 2.0, 3)]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |limits: Value, words: &str| assert_eq!(read(&section(limits)).unwrap_err(), words);
        check(json!([]), "limits: Invalid value: []: must not be empty");
        check(
            json!([{"type": "Server", "burst": 0, "qps": 1}]),
            "limits[0].burst: Invalid value: 0: must be positive",
        );
        check(
            json!([{"type": "Pod", "burst": 1, "qps": 1}]),
            "limits[0].type: Unsupported value: \"Pod\": supported values: \"Namespace\", \"Server\", \
             \"SourceAndObject\", \"User\"",
        );
        check(
            json!([{"type": "User", "burst": 1, "qps": 1, "cacheSize": -1}]),
            "limits[0].cacheSize: Invalid value: -1: must not be negative",
        );
        assert!(read(&json!({"limits": []})).is_err());
    }
}
