//! What commands print for programs: kinds of `output.kubeadm.k8s.io` as JSON or YAML
//! (`cmd/kubeadm/app/util/output`).

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, ser::PrettyFormatter};

use crate::session::{Failure, Result, yaml};

/// API version of these kinds.
pub(crate) const API_VERSION: &str = "output.kubeadm.k8s.io/v1alpha3";

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
    Yaml,
}

/// `object` for programs: JSON in the order of its fields and four blanks deep, or YAML sorted by field, as
/// upstream's printers have them. Without the last line's end.
pub(crate) fn structured(object: &Value, as_yaml: bool) -> Result<String> {
    if as_yaml {
        return Ok(yaml("the output", &sorted(object))?.trim_end_matches('\n').to_owned());
    }
    let mut text = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    object
        .serialize(&mut serializer)
        .map_err(|e| Failure::new(format!("couldn't marshal the output: {e}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            fields.into_iter().map(|(name, field)| (name.clone(), sorted(field))).collect()
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_get_what_upstreams_printers_print() {
        let object = json!({"kind": "K", "apiVersion": API_VERSION, "list": [{"name": "a", "caName": "b"}], "none": null});
        let json = "{\n    \"kind\": \"K\",\n    \"apiVersion\": \"output.kubeadm.k8s.io/v1alpha3\",\n    \"list\": [\n        \
                    {\n            \"name\": \"a\",\n            \"caName\": \"b\"\n        }\n    ],\n    \"none\": null\n}";
        assert_eq!(structured(&object, false).expect("JSON"), json);
        let yaml =
            "apiVersion: output.kubeadm.k8s.io/v1alpha3\nkind: K\nlist:\n- caName: b\n  name: a\nnone: null";
        assert_eq!(structured(&object, true).expect("YAML"), yaml);
    }
}
