//! Storage: volumes and claims, the classes that they name, and the drivers behind them.

mod attachments;
mod claims;
mod classes;
mod drivers;
mod volumes;

use serde_json::{Map, Value};

use super::{Strategy, check::Complaints, path::Path};
use crate::{names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");
const GROUP: &str = "storage.k8s.io";
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
/// Driver names are file names on the nodes.
const DRIVER_NAME_MAX: usize = 63;
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_SIZE_MAX: usize = 256 * 1024;

pub(super) static STRATEGIES: &[Strategy] = &[
    volumes::STRATEGY,
    claims::STRATEGY,
    classes::STORAGE_CLASS,
    classes::ATTRIBUTES_CLASS,
    classes::CAPACITY,
    drivers::DRIVER,
    drivers::NODE,
    attachments::STRATEGY,
];

/// Known modes; the one that admits a single pod stands alone.
fn access_modes(modes: &[Value], at: Path<'_>, complaints: &mut Complaints) {
    for mode in modes {
        let mode = mode.as_str().unwrap_or_default();
        if !ACCESS_MODES.contains(&mode) {
            complaints.not_supported(at, mode, ACCESS_MODES);
        }
    }
    let has = |wanted: fn(&str) -> bool| modes.iter().filter_map(Value::as_str).any(wanted);
    if has(|mode| mode == "ReadWriteOncePod")
        && has(|mode| mode != "ReadWriteOncePod" && ACCESS_MODES.contains(&mode))
    {
        complaints.forbidden(at, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Who makes the volumes of a class.
fn provisioner(name: &str, at: Path<'_>, complaints: &mut Complaints) {
    if name.is_empty() {
        return complaints.required(at, "");
    }
    let lower = name.to_lowercase();
    complaints.each(at, &lower, names::qualified_name(&lower));
}

fn driver_name(name: &str, at: Path<'_>, complaints: &mut Complaints) {
    if name.is_empty() {
        complaints.required(at, "");
    }
    if name.len() > DRIVER_NAME_MAX {
        complaints.too_long(at, DRIVER_NAME_MAX);
    }
    complaints.each(at, name, names::dns1123_subdomain(&name.to_lowercase()));
}

/// What a class hands to its driver. `demanded`: there must be something.
fn parameters(
    parameters: Option<&Map<String, Value>>,
    demanded: bool,
    at: Path<'_>,
    complaints: &mut Complaints,
) {
    let count = parameters.map_or(0, |map| map.len());
    if count > PARAMETERS_MAX {
        return complaints.too_long(at, PARAMETERS_MAX);
    }
    let mut size = 0;
    for (key, value) in parameters.into_iter().flatten() {
        if key.is_empty() {
            complaints.invalid(at, "", "field can not be empty.");
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > PARAMETERS_SIZE_MAX {
        complaints.too_long(at, PARAMETERS_SIZE_MAX);
    }
    if demanded && count == 0 {
        complaints.required(at, "must contain at least one key/value pair");
    }
}

/// Fields of a class that an update may not touch.
fn fixed(new: &Value, old: &Value, fields: &[&str], complaints: &mut Complaints) {
    for field in fields {
        let differ = match *field {
            "parameters" => !crate::meta::semantic_eq(new.get(*field), old.get(*field)),
            _ => new.str_at(&format!("/{field}")) != old.str_at(&format!("/{field}")),
        };
        if differ {
            complaints.forbidden(Path::root(field), format!("updates to {field} are forbidden."));
        }
    }
}
