//! Config maps, service accounts, priority classes.

use serde_json::{Map, Value};

use super::{Strategy, check::Complaints, fill::fill_text, path::Path};
use crate::{meta, names, object::ObjectExt};

/// All entries of a config map or secret together.
pub(super) const MAX_DATA: usize = 1024 * 1024;
/// Above this, priorities belong to the system.
const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;
/// What the system itself brings along, and how much it may claim.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        validate: validate_map,
        validate_update: |new, old, _, complaints| frozen(new, old, &["data", "binaryData"], complaints),
        ..Strategy::of("", "ConfigMap")
    },
    Strategy {
        default: |class| fill_text(class, "/preemptionPolicy", "PreemptLowerPriority"),
        validate: validate_class,
        validate_update: |new, old, _, complaints| {
            if new.i64_at("/value").unwrap_or(0) != old.i64_at("/value").unwrap_or(0) {
                complaints.forbidden(Path::root("Value"), "may not be changed in an update.");
            }
            let policy = |class: &Value| class.str_at("/preemptionPolicy").to_owned();
            if policy(new) != policy(old) {
                complaints.invalid(Path::root("preemptionPolicy"), policy(new), "field is immutable");
            }
        },
        ..Strategy::of("scheduling.k8s.io", "PriorityClass")
    },
];

fn validate_map(map: &Value, complaints: &mut Complaints) {
    let (data, binary) = (map.map_at("/data"), map.map_at("/binaryData"));
    let (data_at, binary_at) = (Path::root("data"), Path::root("binaryData"));
    let mut size = 0;
    for (key, value) in data.into_iter().flatten() {
        complaints.each(data_at.key(key), key, names::config_key(key));
        if binary.is_some_and(|binary| binary.contains_key(key)) {
            complaints.invalid(data_at.key(key), key.as_str(), "duplicate of key present in binaryData");
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in binary.into_iter().flatten() {
        complaints.each(binary_at.key(key), key, names::config_key(key));
        size += decoded_len(value.as_str().unwrap_or_default());
    }
    if size > MAX_DATA {
        complaints.too_long(Path::root("[]"), MAX_DATA);
    }
}

/// How many bytes a base64 text stands for.
pub(super) fn decoded_len(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

/// `immutable: true` cannot be taken back, and fixes the data.
pub(super) fn frozen(new: &Value, old: &Value, fields: &[&str], complaints: &mut Complaints) {
    if !old.bool_at("/immutable") {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if !new.bool_at("/immutable") {
        complaints.forbidden(Path::root("immutable"), detail);
    }
    let none = Map::new();
    for field in fields {
        let entries =
            |object: &'_ Value| object.get(*field).and_then(Value::as_object).unwrap_or(&none).clone();
        if !meta::semantic_eq(Some(&entries(new).into()), Some(&entries(old).into())) {
            complaints.forbidden(Path::root(field), detail);
        }
    }
}

fn validate_class(class: &Value, complaints: &mut Complaints) {
    let (name, value) = (class.name(), class.i64_at("/value").unwrap_or(0));
    let at = Path::root("metadata.name");
    if name.starts_with("system-") {
        let known = SYSTEM_CLASSES.iter().find(|(known, _)| *known == name);
        let why = match known {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, expected)) if *expected != value => {
                Some(format!("value of {name} PriorityClass must be {expected}"))
            }
            Some(_) if class.bool_at("/globalDefault") => {
                Some(format!("globalDefault of {name} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(why) = why {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {why}"
            );
            complaints.forbidden(at, detail);
        }
    } else if value > HIGHEST_USER_PRIORITY {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
        complaints.forbidden(Path::root("value"), detail);
    }
    let policy = class.str_at("/preemptionPolicy");
    complaints.one_of(Path::root("preemptionPolicy"), policy, &["Never", "PreemptLowerPriority"]);
}
