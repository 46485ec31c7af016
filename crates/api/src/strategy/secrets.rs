//! Secrets: `stringData` is a way in, the type decides which entries there must be.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    Strategy,
    check::Complaints,
    config::{MAX_DATA, decoded_len, frozen},
    fill::fill_text,
    path::Path,
};
use crate::{names, object::ObjectExt};

const DATA: Path<'static> = Path::root("data");
const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    default,
    validate,
    validate_update: |new, old, _, complaints| {
        complaints.immutable(Path::root("type"), new, old, "/type");
        frozen(new, old, &["data"], complaints);
    },
    ..Strategy::of("", "Secret")
}];

fn default(secret: &mut Value) {
    fill_text(secret, "/type", "Opaque");
    let Some(Value::Object(plain)) = secret.remove_at("/stringData") else { return };
    if secret.map_at("/data").is_none() && !plain.is_empty() {
        secret.set_at("/data", Map::new());
    }
    let Some(data) = secret.at_mut("/data").and_then(Value::as_object_mut) else { return };
    for (key, value) in plain {
        if let Some(text) = value.as_str() {
            data.insert(key, STANDARD.encode(text).into());
        }
    }
}

fn validate(secret: &Value, complaints: &mut Complaints) {
    let mut size = 0;
    for (key, value) in secret.map_at("/data").into_iter().flatten() {
        complaints.each(DATA.key(key), key, names::config_key(key));
        size += decoded_len(value.as_str().unwrap_or_default());
    }
    if size > MAX_DATA {
        complaints.too_long(DATA, MAX_DATA);
    }
    let entry = |key: &str| secret.map_at("/data").and_then(|data| data.get(key)).and_then(Value::as_str);
    let mut demand = |key: &str| {
        if entry(key).is_none() {
            complaints.required(DATA.key(key), "");
        }
    };
    match secret.str_at("/type") {
        "kubernetes.io/service-account-token"
            if secret.annotation(SERVICE_ACCOUNT).is_none_or(str::is_empty) =>
        {
            complaints.required(Path::root("metadata.annotations").key(SERVICE_ACCOUNT), "");
        }
        "kubernetes.io/dockercfg" => json_entry(".dockercfg", entry(".dockercfg"), complaints),
        "kubernetes.io/dockerconfigjson" => {
            json_entry(".dockerconfigjson", entry(".dockerconfigjson"), complaints)
        }
        "kubernetes.io/basic-auth" if entry("username").is_none() && entry("password").is_none() => {
            demand("username");
            demand("password");
        }
        "kubernetes.io/ssh-auth" if entry("ssh-privatekey").is_none_or(str::is_empty) => {
            complaints.required(DATA.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            demand("tls.crt");
            demand("tls.key");
        }
        _ => {}
    }
}

/// An entry that must be a JSON document. The complaint never shows it.
fn json_entry(key: &str, entry: Option<&str>, complaints: &mut Complaints) {
    let at = DATA.key(key);
    let Some(entry) = entry else { return complaints.required(at, "") };
    let parsed =
        STANDARD.decode(entry).ok().map(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes));
    if !matches!(parsed, Some(Ok(_))) {
        complaints.invalid(at, "<secret contents redacted>", "must be a JSON object");
    }
}
